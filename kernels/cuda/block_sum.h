// Sums over a block in an order that its size alone fixes, and what deterministic sums over a grid
// are built from.
//
// The pattern: a thread adds the few numbers that it loads at a time in float, as a tree; what it
// adds up over time, and all sums over threads and blocks, are double. That is one double addition
// for 16 numbers, which the slow float64 units of consumer GPUs hide behind the loads, and it is as
// accurate as a sum in double but for the rounding of the trees. Blocks leave their sums in a
// workspace; a last block adds them in order. No atomics: the same bits on every run and GPU.
#pragma once

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// The sum over the lanes of a warp, in each of them: pairs 16 apart, then 8, ...
template <class V>
__device__ V warp_sum(V value) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kAllLanes, value, offset);
  return value;
}

// The sum over a block of kThreads threads, in each of them: of each warp, then of the warps' sums.
// All threads must come. Contains barriers: what was written to shared memory before is visible
// after it.
template <int kThreads, class V>
__device__ V block_sum(V value) {
  static_assert(kThreads % kWarp == 0 && kThreads <= kWarp * kWarp);
  constexpr int kWarps = kThreads / kWarp;
  __shared__ V totals[kWarps];
  value = warp_sum(value);
  __syncthreads();  // those of a sum before this one have been read
  if (threadIdx.x % kWarp == 0) totals[threadIdx.x / kWarp] = value;
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  return warp_sum(lane < kWarps ? totals[lane] : V{0});
}

// The sum of `count` doubles by one block: thread t adds elements t, t + kThreads, ...
template <int kThreads>
__device__ double block_sum_of(const double* values, Index count) {
  double total = 0;
#pragma unroll 4
  for (Index i = threadIdx.x; i < count; i += kThreads) total += values[i];
  return block_sum<kThreads>(total);
}

}  // namespace etude::ETUDE_BACKEND
