#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

// z[i] = x[i] + y[i], one thread an element.
__global__ void add(int n, const float* x, const float* y, float* z) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) z[i] = x[i] + y[i];
}

cudaError_t vector_add(int n, const float* x, const float* y, float* z, cudaStream_t stream) {
  constexpr int kBlock = 256;
  const auto blocks = static_cast<unsigned>((n + kBlock - 1) / kBlock);
  return simt::launch({.grid = blocks, .block = kBlock, .stream = stream}, add, n, x, y, z);
}

}  // namespace examples
