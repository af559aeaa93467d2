// y[i] = (x[i-1] + x[i] + x[i+1]) / 3 with zeros beyond the ends. A block walks over its part in
// tiles; while one tile is computed, the next is on its way through cp.async.
#include <cuda_pipeline_primitives.h>

#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

constexpr int kTile = 128;  // elements, and threads
constexpr int kTilesPerBlock = 8;
constexpr int kLead = 4;  // so that the tile starts on a 16-byte boundary

__global__ void smooth_tiles(int n, const float* x, float* y) {
  SIMT_DYNAMIC_SHARED(float, shared);  // two tiles, each with a margin at both ends
  constexpr int kPitch = kLead + kTile + kLead;
  const int t = static_cast<int>(threadIdx.x);
  const int first = static_cast<int>(blockIdx.x) * kTile * kTilesPerBlock;

  const auto fetch = [&](int tile) {
    float* to = shared + tile % 2 * kPitch;
    const int i = first + tile * kTile;
    for (int k = t; k < kPitch; k += kTile) {
      const int from = i - kLead + k;
      const bool inside = from >= 0 && from < n;
      __pipeline_memcpy_async(to + k, inside ? x + from : x, 4, inside ? 0 : 4);
    }
    __pipeline_commit();
  };

  fetch(0);
  for (int tile = 0; tile < kTilesPerBlock; ++tile) {
    if (tile + 1 < kTilesPerBlock) {
      fetch(tile + 1);
      __pipeline_wait_prior(1);
    } else {
      __pipeline_wait_prior(0);
    }
    __syncthreads();  // everybody's part of this tile is there
    const float* at = shared + tile % 2 * kPitch + kLead + t;
    const int i = first + tile * kTile + t;
    if (i < n) y[i] = (at[-1] + at[0] + at[1]) / 3.0f;
    __syncthreads();  // before it is overwritten
  }
}

cudaError_t smooth(int n, const float* x, float* y, cudaStream_t stream) {
  constexpr int kPart = kTile * kTilesPerBlock;
  const auto blocks = static_cast<unsigned>((n + kPart - 1) / kPart);
  const std::size_t bytes = 2 * (kLead + kTile + kLead) * sizeof(float);
  return simt::launch({.grid = blocks, .block = kTile, .shared_bytes = bytes, .stream = stream},
                      smooth_tiles, n, x, y);
}

}  // namespace examples
