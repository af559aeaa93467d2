// Kernels of which is known what the compiler makes of them: the gate reads an undocumented format,
// and shows here that it reads it right.
#include <cuda_runtime.h>

namespace calibration {

// 256 numbers live at once, more than there are registers.
__global__ void spills(const float* x, float* y, int n) {
  float a[256];
#pragma unroll
  for (int i = 0; i < 256; ++i) a[i] = x[i * n + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 256; ++i) y[i * n + threadIdx.x] = a[255 - i] * a[i * 7 % 256];
}

// An array that is indexed at run time lies in local memory, without a spill.
__global__ void local_array(const float* x, float* y, int n) {
  float a[512];
  for (int i = 0; i < 512; ++i) a[i] = x[i * n];
  for (int i = 0; i < n; ++i) y[i] = a[(i * i + static_cast<int>(threadIdx.x)) & 511];
}

// A pointer of which nobody knows where it points.
__global__ void generic_load(const float* x, float* y, int n) {
  __shared__ float s[256];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const float* p = n > 3 ? s : x;
  y[threadIdx.x] = p[n];
}

__global__ void generic_store(float* y, int n) {
  __shared__ float s[256];
  s[threadIdx.x] = 0;
  float* p = n > 3 ? s : y;
  p[n] = 1;
  __syncthreads();
  y[threadIdx.x + 5] = s[threadIdx.x ^ 1];
}

__global__ void float_red(float* y) { atomicAdd(y + threadIdx.x, 1.0f); }
__global__ void double_red(double* y) { atomicAdd(y + threadIdx.x, 1.0); }
__global__ void float_atomic(float* y) { y[threadIdx.x] = atomicAdd(y + 1000, 1.0f); }
__global__ void shared_float_atomic(float* y) {
  __shared__ float s;
  if (threadIdx.x == 0) s = 0;
  __syncthreads();
  atomicAdd(&s, y[threadIdx.x]);
  __syncthreads();
  *y = s;
}

// Atomics on integers are as good in any order.
__global__ void integer_atomics(int* y, unsigned long long* z) {
  atomicAdd(y + threadIdx.x, 1);
  atomicMax(y + 1, static_cast<int>(threadIdx.x));
  z[threadIdx.x] = atomicAdd(z + 1000, 3ull);
  __shared__ int s;
  if (threadIdx.x == 0) s = 0;
  __syncthreads();
  atomicMax(&s, y[threadIdx.x + 7]);
  __syncthreads();
  *y = s;
}

__global__ void __launch_bounds__(384, 2) bounded(const float* x, float* y) {
  __shared__ float s[384];
  extern __shared__ float dynamic[];
  s[threadIdx.x] = x[threadIdx.x];
  dynamic[threadIdx.x] = x[threadIdx.x + 384];
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x ^ 1] + dynamic[threadIdx.x ^ 2];
}

// 64 FFMAs and a loop around them; before and behind it loops with fewer, and code without.
__global__ void ffma_loop(const float* x, float* y, int n) {
  float a[8], b[8], sum[8][8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    a[i] = x[threadIdx.x + i];
    b[i] = x[threadIdx.x + 8 + i];
  }
  float start = 0;
#pragma unroll 1
  for (int i = 0; i < n; ++i) start = fmaf(start, a[i & 1], 1.0f);
#pragma unroll
  for (int i = 0; i < 64; ++i) sum[i / 8][i % 8] = start;
#pragma unroll 1
  for (int k = 0; k < n; ++k)
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
  float total = 0;
#pragma unroll
  for (int i = 0; i < 64; ++i) total += sum[i / 8][i % 8];
  y[threadIdx.x] = total;
}

// The same loop, in the middle of another that has FFMAs of its own.
__global__ void nested_ffma_loop(const float* x, float* y, int n, int m) {
  float sum[32] = {};
#pragma unroll 1
  for (int r = 0; r < m; ++r) {
    const float a = x[threadIdx.x + r], b = fmaf(a, a, 1.0f);
#pragma unroll 1
    for (int k = 0; k < n; ++k)
#pragma unroll
      for (int i = 0; i < 32; ++i) sum[i] = fmaf(a, b, sum[i]);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum[i] = fmaf(b, sum[i], a);
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < 32; ++i) total += sum[i];
  y[threadIdx.x] = total;
}

__global__ void no_loop(const float* x, float* y) {
  y[threadIdx.x] = fmaf(x[threadIdx.x], 2.0f, 1.0f);
}

}  // namespace calibration

namespace etude::cuda {
namespace {
struct Rule {
  int n;
};
template <int N, bool B, class T>
__global__ void templated(T* y, Rule rule) {
  y[threadIdx.x] = static_cast<T>(N + B + rule.n);
}
}  // namespace
void launch_templated(float* y) { templated<4, true, float><<<1, 1>>>(y, Rule{1}); }
}  // namespace etude::cuda
