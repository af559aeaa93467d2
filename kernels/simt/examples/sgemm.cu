// C = A B in float32, row-major; M, N multiples of 64, K of 8. A block makes a 64 x 64 tile of C
// with 64 threads, each 8 x 8 of it in registers; A and B pass through shared memory 8 deep, A
// transposed, so that both are read as float4. 2 M N K FLOPs; each input is read from global
// memory N / 64 and M / 64 times.
#include "examples/examples.h"
#include "launch.h"

namespace examples {

constexpr int kBM = 64, kBN = 64, kBK = 8, kT = 8;

__global__ void sgemm_tiled(int n, int k, const float* a, const float* b, float* c) {
  __shared__ __align__(16) float as[kBK][kBM];
  __shared__ __align__(16) float bs[kBK][kBN];
  const int t = static_cast<int>(threadIdx.x);
  const int row0 = static_cast<int>(blockIdx.y) * kBM, col0 = static_cast<int>(blockIdx.x) * kBN;
  const int ty = t / (kBN / kT) * kT, tx = t % (kBN / kT) * kT;

  float sum[kT][kT] = {};
  for (int k0 = 0; k0 < k; k0 += kBK) {
    // A: thread t reads row t of the tile, 8 floats. B: eight threads a row, 8 floats each.
    const float* from = a + (row0 + t) * k + k0;
    const float4 a0 = *reinterpret_cast<const float4*>(from);
    const float4 a1 = *reinterpret_cast<const float4*>(from + 4);
    as[0][t] = a0.x, as[1][t] = a0.y, as[2][t] = a0.z, as[3][t] = a0.w;
    as[4][t] = a1.x, as[5][t] = a1.y, as[6][t] = a1.z, as[7][t] = a1.w;
    from = b + (k0 + t / 8) * n + col0 + t % 8 * 8;
    float* to = &bs[t / 8][t % 8 * 8];
    *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(from);
    *reinterpret_cast<float4*>(to + 4) = *reinterpret_cast<const float4*>(from + 4);
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < kBK; ++kk) {
      float u[kT], v[kT];
#pragma unroll
      for (int i = 0; i < kT; i += 4) {
        *reinterpret_cast<float4*>(u + i) = *reinterpret_cast<const float4*>(&as[kk][ty + i]);
        *reinterpret_cast<float4*>(v + i) = *reinterpret_cast<const float4*>(&bs[kk][tx + i]);
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
    for (int j = 0; j < kT; j += 4) {
      float* to = c + (row0 + ty + i) * n + col0 + tx + j;
      *reinterpret_cast<float4*>(to) =
          make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
    }
}

cudaError_t sgemm(int m, int n, int k, const float* a, const float* b, float* c,
                  cudaStream_t stream) {
  if (m % kBM || n % kBN || k % kBK) return cudaErrorInvalidValue;
  const dim3 grid(n / kBN, m / kBM);
  return simt::launch({.grid = grid, .block = kBM * kBN / (kT * kT), .stream = stream},
                      sgemm_tiled, n, k, a, b, c);
}

}  // namespace examples
