// Blocks of a kernel that fit on one multiprocessor, by the toolkit's own formulas.
#pragma once

#include "tests/gate/cubin.h"

namespace etude::gate {

// `threads` a block and `dynamic_shared` bytes beside its static ones. Throws for an architecture
// of which the limits are not listed.
int blocks_per_multiprocessor(const Kernel& kernel, int arch, int threads,
                              std::int64_t dynamic_shared = 0);

}  // namespace etude::gate
