// ETUDE_LOG=kernels: which kernel runs for which problem, on stderr, each line once.
#pragma once

#include <string>

namespace etude {

bool log_kernels();
// Thread-safe. Call it only where log_kernels() is true, so that nothing is formatted in vain.
void log_kernel(const std::string& line);

}  // namespace etude
