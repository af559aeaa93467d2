// Modelled times on GPUs that are not there. They rank variants of a kernel; they predict nothing:
// latency, caches and clock rates under load are left out.
#pragma once

#include <string>
#include <vector>

#include "bench/counters.h"

namespace etude::bench {

struct Gpu {
  const char* name;
  int arch;          // 80 for sm_80
  double flops;      // float32, a multiply-add counts as two; per second
  double bandwidth;  // of memory, bytes a second
  int sms;           // multiprocessors
  int lanes;         // float32 multiply-adds a clock on each
  double clock() const { return flops / (2.0 * lanes * sms); }  // that its peak implies
};

// From data sheets.
const std::vector<Gpu>& gpus();
const Gpu* find_gpu(const std::string& name);  // by a part of a device's name; null: none

// What the gate's table (kernels/cuda/gate.csv) says of a kernel on an architecture.
struct Compiled {
  double math_share = 1;  // FFMAs among the instructions of the main loop
  int blocks = 0;         // a multiprocessor; 0: not known
};
// Of the kernel's row; of its family where templates differ; the default where there is none.
Compiled find_compiled(const std::string& kernel, int arch);
Compiled find_compiled(const std::string& table, const std::string& kernel, int arch);

struct ModelTime {
  double seconds = 0;
  const char* bound = "";  // "compute", "memory", "shared memory"
  double waves = 0;        // of blocks; 0: not known
};

// max(flops / (peak x math share), bytes / bandwidth, wavefronts / (one a clock and
// multiprocessor)) x wave quantisation + 3 us. The instructions that are issued beside the FFMAs
// are in the share. Wave quantisation: with w = blocks / (multiprocessors x blocks on each) waves,
// ceil(w) / w. `counted` is null where the kernel was not counted: then only FLOPs and bytes.
ModelTime model_time(const Gpu& gpu, double flops, double bytes, const Counters* counted,
                     const Compiled& compiled);

}  // namespace etude::bench
