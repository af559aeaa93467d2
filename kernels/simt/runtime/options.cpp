#include <cstdlib>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/simt/simt.h"

namespace simt {

namespace {

std::uint64_t number(std::string_view name, std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const auto value = std::strtoull(copy.c_str(), &end, 10);
  if (copy.empty() || copy[0] == '-' || *end != '\0')
    throw std::invalid_argument(std::string(name) + ": expected a number, found '" + copy + "'");
  return value;
}

[[noreturn]] void reject(const char* name, std::string_view text, const char* expected) {
  throw std::invalid_argument(std::string(name) + ": expected " + expected + ", found '" +
                              std::string(text) + "'");
}

std::mutex mutex;
std::optional<Options> current;

}  // namespace

Options options_from_environment() {
  Options o;
  if (const char* text = std::getenv("SIMT_ORDER")) {
    const std::string_view value = text;
    if (value == "forward") {
      o.order = Order::Forward;
    } else if (value == "reverse") {
      o.order = Order::Reverse;
    } else if (value.starts_with("random:")) {
      o.order = Order::Random;
      o.seed = number("SIMT_ORDER", value.substr(7));
    } else {
      reject("SIMT_ORDER", value, "forward, reverse or random:SEED");
    }
  }
  if (const char* text = std::getenv("SIMT_CP_ASYNC")) {
    const std::string_view value = text;
    if (value != "deferred" && value != "eager")
      reject("SIMT_CP_ASYNC", value, "deferred or eager");
    o.eager_copies = value == "eager";
  }
  if (const char* text = std::getenv("SIMT_THREADS"))
    o.host_threads = static_cast<int>(number("SIMT_THREADS", text));
  if (const char* text = std::getenv("SIMT_POISON")) o.poison = number("SIMT_POISON", text) != 0;
  if (const char* text = std::getenv("SIMT_CHECKS")) o.checks = number("SIMT_CHECKS", text) != 0;
  if (const char* text = std::getenv("SIMT_GUARD_HOST"))
    o.guard_host = number("SIMT_GUARD_HOST", text) != 0;
  if (const char* text = std::getenv("SIMT_STACK")) o.stack_bytes = number("SIMT_STACK", text);
  return o;
}

Options options() {
  const std::lock_guard lock(mutex);
  if (!current) current = options_from_environment();
  return *current;
}

void set_options(const Options& options) {
  const std::lock_guard lock(mutex);
  current = options;
}

}  // namespace simt
