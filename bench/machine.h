// What this machine can do at most, measured: the yardsticks that rows are given in percent of.
#pragma once

#include <cstddef>
#include <string_view>

#include "engine/device.h"

namespace etude::bench {

struct Machine {
  double flops;             // float32 multiply-adds count as two; per second, all threads
  double bytes_per_second;  // of a copy far larger than the caches, read and written bytes, all
                            // threads
};

// Takes a fraction of a second. `isa` is one of engine/device.h's names.
Machine measure_machine(std::string_view isa, int threads);

// Of a GPU: a copy on the device, measured; the multiply-adds of its data sheet (0: not in the
// table of gpu_model.h).
Machine measure_gpu(Device device);

// Bytes of the largest cache; a round number where the system does not tell.
std::size_t last_level_cache();

}  // namespace etude::bench
