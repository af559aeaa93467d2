#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline_primitives.h>

#include "kernels/simt/launch.h"
#include "language.h"

namespace language {

namespace cg = cooperative_groups;

__global__ void indices_kernel(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned size = blockDim.x * blockDim.y * blockDim.z;
  out[block * size + thread] = block * 10000 + thread;
}
cudaError_t indices(dim3 grid, dim3 block, unsigned* out) {
  return simt::launch({.grid = grid, .block = block}, indices_kernel, out);
}

__global__ void shuffles_kernel(double* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const int x = lane * 10;
  out[0 * 32 + lane] = __shfl_sync(~0u, x, 3, 8);
  out[1 * 32 + lane] = __shfl_up_sync(~0u, static_cast<float>(x), 2, 16);
  out[2 * 32 + lane] = __shfl_down_sync(~0u, static_cast<long long>(x), 3, 8);
  out[3 * 32 + lane] = __shfl_xor_sync(~0u, x, 1);
  out[4 * 32 + lane] = __shfl_xor_sync(~0u, x, 4, 4);
  out[5 * 32 + lane] = __shfl_sync(~0u, x + 0.5, 9);
}
cudaError_t shuffles(double* out) {
  return simt::launch({.grid = 1, .block = 32}, shuffles_kernel, out);
}

__global__ void votes_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[0 * 32 + lane] = static_cast<int>(__ballot_sync(~0u, lane % 2));
  out[1 * 32 + lane] = __any_sync(~0u, lane == 7);
  out[2 * 32 + lane] = __all_sync(~0u, lane < 31);
  out[3 * 32 + lane] = static_cast<int>(__match_any_sync(~0u, lane % 5));
  out[4 * 32 + lane] = __reduce_add_sync(~0u, lane);
  out[5 * 32 + lane] = __reduce_min_sync(~0u, -lane);
  out[6 * 32 + lane] = static_cast<int>(__reduce_max_sync(~0u, threadIdx.x ^ 5u));
}
cudaError_t votes(int* out) { return simt::launch({.grid = 1, .block = 32}, votes_kernel, out); }

__global__ void half_warps_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const unsigned mask = lane < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  int x = lane;
  for (int round = 0; round < (lane < 16 ? 2 : 4); ++round)
    x += __shfl_xor_sync(mask, x, 1 << round);
  __syncwarp(mask);
  out[lane] = x;
}
cudaError_t half_warps(int* out) {
  return simt::launch({.grid = 1, .block = 32}, half_warps_kernel, out);
}

__global__ void coalesced_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane % 3 == 0) {
    const auto group = cg::coalesced_threads();
    out[lane] = static_cast<int>(group.size() * 100 + group.thread_rank());
  } else if (lane % 3 == 1) {
    const auto group = cg::coalesced_threads();
    out[lane] = cg::reduce(group, lane, cg::plus<int>());
  } else {
    const auto group = cg::coalesced_threads();
    out[lane] = group.shfl(lane, 1);
  }
}
cudaError_t coalesced(int* out) {
  return simt::launch({.grid = 1, .block = 32}, coalesced_kernel, out);
}

__global__ void barrier_votes_kernel(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  out[t * 3] = __syncthreads_count(t < 40);
  out[t * 3 + 1] = __syncthreads_and(t < 40);
  out[t * 3 + 2] = __syncthreads_or(t < 40);
}
cudaError_t barrier_votes(int* out) {
  return simt::launch({.grid = 1, .block = 100}, barrier_votes_kernel, out);
}

__global__ void atomics_kernel(unsigned* w, float* sum) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&w[0], i);
  atomicSub(&w[1], 1u);
  atomicMin(&w[2], 100 + i);
  atomicMax(&w[3], i);
  atomicAnd(&w[4], ~(1u << i % 8));
  atomicOr(&w[5], 1u << i % 8);
  atomicXor(&w[6], i);
  atomicInc(&w[7], 9u);
  atomicDec(&w[8], 9u);
  atomicAdd(sum, 0.5f);
  unsigned seen = w[10], old;
  do {
    old = seen;
    seen = atomicCAS(&w[10], old, old + 3);
  } while (seen != old);
}
cudaError_t atomics(unsigned* words, float* sum) {
  return simt::launch({.grid = 10, .block = 100}, atomics_kernel, words, sum);
}

__global__ void reverse_kernel(int n, int* x) {
  SIMT_DYNAMIC_SHARED(int, all);
  __shared__ int last;
  const int t = static_cast<int>(threadIdx.x);
  all[t] = x[t];
  if (t == 0) last = n - 1;
  __syncthreads();
  x[t] = all[last - t];
}
cudaError_t reverse(int n, int* x, std::size_t shared_bytes) {
  return simt::launch({.grid = 1, .block = static_cast<unsigned>(n), .shared_bytes = shared_bytes},
                      reverse_kernel, n, x);
}
cudaError_t allow_reverse(int bytes) {
  return cudaFuncSetAttribute(reverse_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

__constant__ float table[4];
__device__ float factor = 2.0f;
__global__ void constant_kernel(float* out) { out[threadIdx.x] = table[threadIdx.x] * factor; }
cudaError_t set_table(const float* values) {
  return cudaMemcpyToSymbol(table, values, sizeof table);
}
cudaError_t constant(float* out) {
  return simt::launch({.grid = 1, .block = 4}, constant_kernel, out);
}

template <class T>
__device__ T untouched() {
  __shared__ T value[2];
  if (blockIdx.x == 1000) value[threadIdx.x] = T(0.0f);  // never
  return value[1];
}
__global__ void poison_kernel(float* out, int* as_int) {
  out[0] = untouched<float>();
  out[1] = __half2float(untouched<__half>());
  out[2] = __bfloat162float(untouched<__nv_bfloat16>());
  SIMT_DYNAMIC_SHARED(float, dynamic);
  out[3] = dynamic[1];
  *as_int = untouched<int>();
}
cudaError_t poison(float* out, int* as_int) {
  return simt::launch({.grid = 1, .block = 1, .shared_bytes = 8}, poison_kernel, out, as_int);
}

__global__ void ended_lanes_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane >= 20) return;
  out[lane] = __popc(__ballot_sync(~0u, 1));
  __syncwarp();
  out[lane] += __shfl_xor_sync(~0u, lane, 1);
}
cudaError_t ended_lanes(int* out) {
  return simt::launch({.grid = 1, .block = 32}, ended_lanes_kernel, out);
}

__global__ void tiles_kernel(int* sums, int* ranks) {
  const auto block = cg::this_thread_block();
  const auto tile = cg::tiled_partition<4>(cg::tiled_partition<16>(block));
  const auto direct = cg::tiled_partition<4>(block);
  const int t = static_cast<int>(block.thread_rank());
  sums[t] = cg::reduce(direct, t, cg::plus<int>());
  ranks[t] = static_cast<int>(tile.meta_group_rank() * 100 + tile.thread_rank() * 10 +
                              direct.meta_group_rank() % 10);
  if (direct.any(t == 5)) sums[t] += 1000;
  block.sync();
}
cudaError_t tiles(int* sums, int* ranks) {
  return simt::launch({.grid = 1, .block = 64}, tiles_kernel, sums, ranks);
}

__global__ void count_blocks_kernel(unsigned* counter) {
  __syncthreads();
  atomicAdd(counter, 1u);
}
cudaError_t count_blocks(unsigned blocks, unsigned* counter) {
  return simt::launch({.grid = blocks, .block = 2}, count_blocks_kernel, counter);
}

__global__ void copies_kernel(const int* x, int* out) {
  __shared__ __align__(16) int buffer[3][4];
  if (threadIdx.x != 0) return;
  __pipeline_memcpy_async(buffer[0], x, 16);
  __pipeline_commit();
  __pipeline_memcpy_async(buffer[1], x + 4, 8, 4);  // the second int is zero
  __pipeline_memcpy_async(&buffer[1][2], x + 6, 4);
  __pipeline_commit();
  __pipeline_memcpy_async(buffer[2], x + 8, 16, 16);  // nothing is read
  __pipeline_commit();
  __pipeline_wait_prior(2);
  for (int i = 0; i < 4; ++i) out[i] = buffer[0][i];
  __pipeline_wait_prior(0);
  for (int i = 0; i < 3; ++i) out[4 + i] = buffer[1][i];
  for (int i = 0; i < 4; ++i) out[7 + i] = buffer[2][i];
}
cudaError_t copies(const int* x, int* out) {
  return simt::launch({.grid = 1, .block = 32}, copies_kernel, x, out);
}

}  // namespace language
