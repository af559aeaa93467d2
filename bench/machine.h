// What this machine can do at most, measured: the yardsticks that rows are given in percent of.
#pragma once

#include <string_view>

namespace etude::bench {

struct Machine {
  double flops;             // float32 multiply-adds count as two; per second, all threads
  double bytes_per_second;  // of a copy far larger than the caches, read and written bytes, all
                            // threads
};

// Takes a fraction of a second. `isa` is one of engine/device.h's names.
Machine measure_machine(std::string_view isa, int threads);

}  // namespace etude::bench
