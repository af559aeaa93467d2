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
constexpr Name names[] = {{ConvAlgorithm::gather, "gather"},
                          {ConvAlgorithm::planar, "planar"},
                          {ConvAlgorithm::winograd2, "winograd2"},
                          {ConvAlgorithm::winograd4, "winograd4"}};

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
bool applies(ConvAlgorithm algorithm, const Conv2dShape& p, ConvPass) {
  switch (algorithm) {
    case ConvAlgorithm::gather:
      return true;
    case ConvAlgorithm::planar:
      return p.r == 3 && p.s == 3 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
             p.dilation_w == 1 && p.c > 0 && p.c <= 32 && p.k > 0 && p.k <= 32;
    case ConvAlgorithm::winograd2:
    case ConvAlgorithm::winograd4:
      return p.r == 3 && p.s == 3 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
             p.dilation_w == 1;
  }
  return false;
}

// Planar lanes are tiles of four pixels of the output row. It needs most of the widest vectors'
// lanes; and with one channel in and many out, what it saves in arithmetic it loses in transposes.
// Its filter gradient needs many pixels besides: to have time for the sums of its lanes, and
// because the gradient of a weight that is exactly zero (a tap whose few products all have a factor
// of zero) becomes a rounding error there, which Adam, dividing by it, would take for a gradient.
bool planar_pays(const Conv2dShape& p, ConvPass pass) {
  constexpr Index enough_pixels = 2048;
  const bool data = pass == ConvPass::backward_data;
  const Index tiles = p.n * (((data ? p.w : p.q()) + 3) / 4), vectors = (tiles + 15) / 16;
  if (3 * tiles < 2 * 16 * vectors || (!data && p.c <= 2 && p.k > 16)) return false;
  return pass != ConvPass::backward_filter || p.n * p.p() * p.q() >= enough_pixels;
}

ConvAlgorithm fastest(const Conv2dShape& p, ConvPass pass) {
  if (applies(ConvAlgorithm::planar, p, pass) && planar_pays(p, pass)) return ConvAlgorithm::planar;
  return ConvAlgorithm::gather;
}

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
