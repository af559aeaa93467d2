// The sum of n floats in an order that n alone fixes: each block sums a chunk, one more block sums
// the blocks' results. Within a warp by shuffles, between warps through shared memory.
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

constexpr int kBlock = 256;
constexpr int kPerThread = 8;

__device__ float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_down_sync(0xffffffffu, value, offset);
  return value;  // in lane 0
}

__global__ void block_sums(int n, const float* x, float* sums) {
  __shared__ float of_warp[kBlock / 32];
  const int first = static_cast<int>(blockIdx.x) * kBlock * kPerThread;
  float sum = 0;
  for (int k = 0; k < kPerThread; ++k) {
    const int i = first + k * kBlock + static_cast<int>(threadIdx.x);
    if (i < n) sum += x[i];
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = warp_sum(threadIdx.x < kBlock / 32 ? of_warp[threadIdx.x] : 0.0f);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
  }
}

int reduce_scratch(int n) { return (n + kBlock * kPerThread - 1) / (kBlock * kPerThread); }

cudaError_t reduce(int n, const float* x, float* scratch, float* sum, cudaStream_t stream) {
  const int blocks = reduce_scratch(n);
  if (blocks > kBlock * kPerThread) return cudaErrorInvalidValue;
  const cudaError_t error =
      simt::launch({.grid = static_cast<unsigned>(blocks), .block = kBlock, .stream = stream},
                   block_sums, n, x, scratch);
  if (error != cudaSuccess) return error;
  return simt::launch({.grid = 1, .block = kBlock, .stream = stream}, block_sums, blocks, scratch,
                      sum);
}

}  // namespace examples
