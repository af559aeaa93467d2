// Small kernels that nvcc and the emulator compile from the same files. Pointers are to device
// memory; each call returns the launch's error.
#pragma once

#include <cuda_runtime.h>

namespace examples {

cudaError_t vector_add(int n, const float* x, const float* y, float* z, cudaStream_t stream);

// `scratch` holds reduce_scratch(n) floats; n <= 2^22.
int reduce_scratch(int n);
cudaError_t reduce(int n, const float* x, float* scratch, float* sum, cudaStream_t stream);

enum class Transpose { Naive, Tiled, Padded };
cudaError_t transpose(Transpose how, int rows, int cols, const float* x, float* y,
                      cudaStream_t stream);

// C = A B, row-major; m and n multiples of 64, k of 8.
cudaError_t sgemm(int m, int n, int k, const float* a, const float* b, float* c,
                  cudaStream_t stream);

}  // namespace examples
