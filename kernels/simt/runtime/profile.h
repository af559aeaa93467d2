// Collects what the counters of all host threads found, launch by launch.
#pragma once

#include "kernels/simt/runtime/counter.h"

namespace simt::detail {

bool profiling();
// A host thread's counts of the launch that is running.
void add_counts(CountsByPc&& counts);
// The launch is over: sectors that several lines or host threads touched are counted once.
void close_launch(const Launch& launch);

}  // namespace simt::detail
