// C = A B in float32, row-major; M, N multiples of 64, K of 8. A block makes a 64 x 64 tile of C
// with 64 threads, each 8 x 8 of it in registers, as four 4 x 4 pieces 32 apart so that a quarter
// warp's float4 lie side by side. A and B pass through shared memory 8 deep, A transposed; its
// padding puts the two halves of a row that neighbouring lanes store into different banks.
// 2 M N K FLOPs; A is read N / 64 times, B M / 64 times.
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

constexpr int kBM = 64, kBN = 64, kBK = 8, kT = 8, kPad = 4;

__device__ const float4& vec(const float& x) { return reinterpret_cast<const float4&>(x); }
__device__ float4& vec(float& x) { return reinterpret_cast<float4&>(x); }

__global__ void sgemm_tiled(int n, int k, const float* a, const float* b, float* c) {
  __shared__ __align__(16) float as[kBK][kBM + kPad];
  __shared__ __align__(16) float bs[kBK][kBN];
  const int t = static_cast<int>(threadIdx.x);
  const int row0 = static_cast<int>(blockIdx.y) * kBM, col0 = static_cast<int>(blockIdx.x) * kBN;
  const int ty = t / 8 * 4, tx = t % 8 * 4;

  float sum[kT][kT] = {};
  for (int k0 = 0; k0 < k; k0 += kBK) {
    for (int half = 0; half < 2; ++half) {
      // A: two threads a row. B: sixteen threads a row.
      const int ar = half * 32 + t / 2, ak = t % 2 * 4;
      const float4 av = vec(a[(row0 + ar) * k + k0 + ak]);
      as[ak][ar] = av.x, as[ak + 1][ar] = av.y, as[ak + 2][ar] = av.z, as[ak + 3][ar] = av.w;
      const int br = half * 4 + t / 16, bc = t % 16 * 4;
      vec(bs[br][bc]) = vec(b[(k0 + br) * n + col0 + bc]);
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < kBK; ++kk) {
      float u[kT], v[kT];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 p = vec(as[kk][half * 32 + ty]), q = vec(bs[kk][half * 32 + tx]);
        u[half * 4] = p.x, u[half * 4 + 1] = p.y, u[half * 4 + 2] = p.z, u[half * 4 + 3] = p.w;
        v[half * 4] = q.x, v[half * 4 + 1] = q.y, v[half * 4 + 2] = q.z, v[half * 4 + 3] = q.w;
      }
#pragma unroll
      for (int i = 0; i < kT; ++i)
#pragma unroll
        for (int j = 0; j < kT; ++j) sum[i][j] = fmaf(u[i], v[j], sum[i][j]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kT; ++i)
#pragma unroll
    for (int j = 0; j < kT; j += 4)
      vec(c[(row0 + i / 4 * 32 + ty + i % 4) * n + col0 + j * 8 + tx]) =
          make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
}

cudaError_t sgemm(int m, int n, int k, const float* a, const float* b, float* c,
                  cudaStream_t stream) {
  if (m % kBM || n % kBN || k % kBK) return cudaErrorInvalidValue;
  const dim3 grid(n / kBN, m / kBM);
  return simt::launch({.grid = grid, .block = kBM * kBN / (kT * kT), .stream = stream}, sgemm_tiled,
                      n, k, a, b, c);
}

}  // namespace examples
