#include "kernels/cpu/conv2d_algorithm.h"

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "kernels/log.h"

namespace etude {
namespace {

struct Name {
  ConvAlgorithm algorithm;
  const char* text;
};
constexpr Name names[] = {{ConvAlgorithm::gather, "gather"}};

// ETUDE_CONV_CPU, read once.
std::optional<ConvAlgorithm> preferred() {
  static const std::optional<ConvAlgorithm> chosen = []() -> std::optional<ConvAlgorithm> {
    const char* value = std::getenv("ETUDE_CONV_CPU");
    if (!value || !*value) return {};
    std::string expected;
    for (const Name& name : names) {
      if (std::string(name.text) == value) return name.algorithm;
      expected += (expected.empty() ? "" : ", ") + std::string(name.text);
    }
    throw std::runtime_error("ETUDE_CONV_CPU=" + std::string(value) + ": expected one of " +
                             expected);
  }();
  return chosen;
}

// Whether an algorithm can compute the pass at all.
bool applies(ConvAlgorithm algorithm, const Conv2dShape&, ConvPass) {
  switch (algorithm) {
    case ConvAlgorithm::gather:
      return true;
  }
  return false;
}

ConvAlgorithm fastest(const Conv2dShape&, ConvPass) { return ConvAlgorithm::gather; }

void log_choice(const Conv2dShape& p, ConvPass pass, ConvAlgorithm algorithm) {
  static const char* const passes[] = {"conv2d_forward", "conv2d_backward_data",
                                       "conv2d_backward_filter"};
  std::string line = "cpu " + std::string(passes[static_cast<int>(pass)]) + " " + text_of(p) + ": ";
  for (const Name& name : names)
    if (name.algorithm == algorithm) line += name.text;
  if (preferred() && *preferred() != algorithm) line += " (what ETUDE_CONV_CPU names does not fit)";
  log_kernel(line);
}

}  // namespace

ConvAlgorithm conv2d_algorithm(const Conv2dShape& p, ConvPass pass) {
  const ConvAlgorithm wanted = preferred().value_or(fastest(p, pass));
  const ConvAlgorithm algorithm = applies(wanted, p, pass) ? wanted : ConvAlgorithm::gather;
  if (log_kernels()) log_choice(p, pass, algorithm);
  return algorithm;
}

}  // namespace etude
