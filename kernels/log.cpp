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

}  // namespace etude
