// What the CUDA kernels of a problem move, counted on the emulator: the provider etude:simt.
#pragma once

#include <optional>
#include <string>

#include "bench/runner.h"

namespace etude::bench {

// Of all launches of one call; kernel, blocks and lanes are those of the kernel that does the work
// (the most accesses to shared memory, else to global memory).
struct Counters {
  std::string kernel;  // "conv2d_implicit_gemm<64, 64, 4, ...>"
  double scale = 1;    // the counts are of a call with 1 / scale as many images, times scale
  double bytes = 0;    // distinct 32-byte sectors of each launch, in bytes
  double sectors = 0, ideal_sectors = 0;        // of global loads: fetched; what their bytes fill
  double wavefronts = 0, ideal_wavefronts = 0;  // of shared loads and stores
  double blocks = 0;
  double lanes = 0;  // active in a warp, of 32

  double traffic(double algorithmic) const { return algorithmic > 0 ? bytes / algorithmic : 1; }
  double loads() const { return ideal_sectors > 0 ? sectors / ideal_sectors : 1; }
  double waves() const { return ideal_wavefronts > 0 ? wavefronts / ideal_wavefronts : 1; }
};

// False where the build has no emulator that counts.
bool can_count();
// Counts a call, on fewer images where the problem is large. Nothing for problems that are too
// large even so, and for whole pieces of work.
std::optional<Counters> count(const Problem& problem);

}  // namespace etude::bench
