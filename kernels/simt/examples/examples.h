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

// Inclusive prefix sums of each row; cols <= 1024.
cudaError_t scan(int rows, int cols, const int* x, int* y, cudaStream_t stream);

// y[i] = (x[i-1] + x[i] + x[i+1]) / 3, with zeros beyond the ends.
cudaError_t smooth(int n, const float* x, float* y, cudaStream_t stream);

// Adds to counts[256].
cudaError_t histogram(int n, const unsigned char* x, unsigned* counts, cudaStream_t stream);

// C = A B^T on tensor cores: A is m x k, B n x k, both row-major and of the type's numbers (float
// for tf32); m and n multiples of 32, k of 16. fp16, bf16 and tf32 need sm_80.
enum class MmaType { Half, Bfloat16, Tf32 };
cudaError_t mma_gemm(MmaType type, int m, int n, int k, const void* a, const void* b, float* c,
                     cudaStream_t stream);

}  // namespace examples
