// ETUDE_LOG=kernels: which kernel runs for which problem, on stderr, each line once.
#pragma once

#include <string>

#include "kernels/shapes.h"

namespace etude {

bool log_kernels();
// Thread-safe. Call it only where log_kernels() is true, so that nothing is formatted in vain.
void log_kernel(const std::string& line);

// The problem for such lines and for errors: "2x7x5x10 -> 10, 3x3 pad 1x1".
std::string text_of(const Conv2dShape& p);

}  // namespace etude
