// Counts of the 256 values of bytes: each block counts in shared memory with atomics, then adds to
// the result with atomics. Integers, so the order does not matter.
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

__global__ void histogram_bytes(int n, const unsigned char* x, unsigned* counts) {
  __shared__ unsigned local[256];
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
  __syncthreads();
  const int stride = static_cast<int>(gridDim.x * blockDim.x);
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += stride)
    atomicAdd(&local[x[i]], 1u);
  __syncthreads();
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&counts[i], local[i]);
}

cudaError_t histogram(int n, const unsigned char* x, unsigned* counts, cudaStream_t stream) {
  return simt::launch({.grid = 8, .block = 128, .stream = stream}, histogram_bytes, n, x, counts);
}

}  // namespace examples
