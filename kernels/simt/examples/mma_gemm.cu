// C = A B on tensor cores: A row-major M x K, B as N x K (row n holds column n), both fp16 or
// bf16, C float32; M and N multiples of 32, K of 16. A block of 4 warps makes a 32 x 32 tile, each
// warp 16 x 16 of it. Rows in shared memory are 16 numbers and 8 of padding apart: the 16-byte
// rows of an 8 x 8 matrix then lie in different banks, and ldmatrix has no conflicts.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/tensor_core.h"

namespace examples {

constexpr int kTile = 32, kDepth = 16, kPitch = kDepth + 8;

template <class T>
__global__ void mma_tiles(int n, int k, const T* a, const T* b, float* c) {
  __shared__ __align__(16) T as[kTile][kPitch];
  __shared__ __align__(16) T bs[kTile][kPitch];
  const int t = static_cast<int>(threadIdx.x), warp = t / 32, lane = t % 32;
  const int row0 = static_cast<int>(blockIdx.y) * kTile,
            col0 = static_cast<int>(blockIdx.x) * kTile;
  const int wm = warp / 2 * 16, wn = warp % 2 * 16;  // this warp's corner of the tile

  float sum[2][4] = {};
  for (int k0 = 0; k0 < k; k0 += kDepth) {
    // 64 chunks of 8 numbers of A, then of B, one a thread.
    const int r = t % 64 / 2, chunk = t % 2 * 8;
    const T* from = t < 64 ? a + (row0 + r) * k + k0 + chunk : b + (col0 + r) * k + k0 + chunk;
    T* to = t < 64 ? &as[r][chunk] : &bs[r][chunk];
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
    __syncthreads();
    // The four 8 x 8 pieces of A in the order of its registers; of B two for each 8 columns.
    std::uint32_t fa[4], fb[4];
    simt::ldmatrix(fa, &as[wm + lane % 16][lane / 16 * 8]);
    simt::ldmatrix(fb, &bs[wn + lane / 16 * 8 + lane % 8][lane / 8 % 2 * 8]);
    const std::uint32_t b0[2] = {fb[0], fb[1]}, b1[2] = {fb[2], fb[3]};
    if constexpr (std::is_same_v<T, __half>) {
      simt::mma_m16n8k16_f16(sum[0], fa, b0);
      simt::mma_m16n8k16_f16(sum[1], fa, b1);
    } else {
      simt::mma_m16n8k16_bf16(sum[0], fa, b0);
      simt::mma_m16n8k16_bf16(sum[1], fa, b1);
    }
    __syncthreads();
  }
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 2; ++i) {
      float* to = c + (row0 + wm + lane / 4 + i * 8) * n + col0 + wn + half * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(to) = make_float2(sum[half][i * 2], sum[half][i * 2 + 1]);
    }
}

// The same with tf32: numbers are float, a warp's fragments are loaded element by element.
__global__ void mma_tiles_tf32(int n, int k, const float* a, const float* b, float* c) {
  constexpr int kPitch32 = 8 + 4;
  __shared__ float as[kTile][kPitch32], bs[kTile][kPitch32];
  const int t = static_cast<int>(threadIdx.x), warp = t / 32, lane = t % 32;
  const int row0 = static_cast<int>(blockIdx.y) * kTile,
            col0 = static_cast<int>(blockIdx.x) * kTile;
  const int wm = warp / 2 * 16, wn = warp % 2 * 16, g = lane / 4, q = lane % 4;

  float sum[2][4] = {};
  for (int k0 = 0; k0 < k; k0 += 8) {
    for (int i = t; i < kTile * 8; i += static_cast<int>(blockDim.x)) {
      as[i / 8][i % 8] = simt::to_tf32(a[(row0 + i / 8) * k + k0 + i % 8]);
      bs[i / 8][i % 8] = simt::to_tf32(b[(col0 + i / 8) * k + k0 + i % 8]);
    }
    __syncthreads();
    const float fa[4] = {as[wm + g][q], as[wm + g + 8][q], as[wm + g][q + 4],
                         as[wm + g + 8][q + 4]};
    for (int half = 0; half < 2; ++half) {
      const float fb[2] = {bs[wn + half * 8 + g][q], bs[wn + half * 8 + g][q + 4]};
      simt::mma_m16n8k8_tf32(sum[half], fa, fb);
    }
    __syncthreads();
  }
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 2; ++i) {
      float* to = c + (row0 + wm + g + i * 8) * n + col0 + wn + half * 8 + q * 2;
      *reinterpret_cast<float2*>(to) = make_float2(sum[half][i * 2], sum[half][i * 2 + 1]);
    }
}

cudaError_t mma_gemm(MmaType type, int m, int n, int k, const void* a, const void* b, float* c,
                     cudaStream_t stream) {
  if (m % kTile || n % kTile || k % kDepth) return cudaErrorInvalidValue;
  const simt::LaunchShape shape{.grid = dim3(n / kTile, m / kTile), .block = 128, .stream = stream};
  switch (type) {
    case MmaType::Half:
      return simt::launch(shape, mma_tiles<__half>, n, k, static_cast<const __half*>(a),
                          static_cast<const __half*>(b), c);
    case MmaType::Bfloat16:
      return simt::launch(shape, mma_tiles<__nv_bfloat16>, n, k,
                          static_cast<const __nv_bfloat16*>(a),
                          static_cast<const __nv_bfloat16*>(b), c);
    case MmaType::Tf32:
      return simt::launch(shape, mma_tiles_tf32, n, k, static_cast<const float*>(a),
                          static_cast<const float*>(b), c);
  }
  return cudaErrorInvalidValue;
}

}  // namespace examples
