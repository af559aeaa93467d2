#include "kernels/log.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

namespace etude {

bool log_kernels() {
  static const bool on = [] {
    const char* value = std::getenv("ETUDE_LOG");
    return value && std::strstr(value, "kernels") != nullptr;
  }();
  return on;
}

void log_kernel(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> seen;
  const std::lock_guard lock(mutex);
  if (seen.insert(line).second) std::fprintf(stderr, "kernel: %s\n", line.c_str());
}

std::string text_of(const Conv2dShape& p) {
  const auto pair = [](const char* name, Index a, Index b, Index usual) {
    if (a == usual && b == usual) return std::string();
    return std::string(" ") + name + " " + std::to_string(a) + "x" + std::to_string(b);
  };
  return std::to_string(p.n) + "x" + std::to_string(p.h) + "x" + std::to_string(p.w) + "x" +
         std::to_string(p.c) + " -> " + std::to_string(p.k) + ", " + std::to_string(p.r) + "x" +
         std::to_string(p.s) + pair("stride", p.stride_h, p.stride_w, 1) +
         pair("pad", p.pad_h, p.pad_w, 0) + pair("dilation", p.dilation_h, p.dilation_w, 1);
}

}  // namespace etude
