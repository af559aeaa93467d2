// y[c][r] = x[r][c] in three ways, to see what they cost: for a warp, the naive kernel's store
// touches 32 sectors; the tile makes load and store coalesced, but its columns lie in one bank of
// shared memory; one more column of padding spreads them over all.
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

constexpr int kTile = 32;
constexpr int kRows = 8;  // of the tile that a block's threads cover at a time

__global__ void transpose_naive(int rows, int cols, const float* x, float* y) {
  const int c = static_cast<int>(blockIdx.x * kTile + threadIdx.x);
  for (int k = 0; k < kTile; k += kRows) {
    const int r = static_cast<int>(blockIdx.y * kTile + threadIdx.y) + k;
    if (r < rows && c < cols) y[c * rows + r] = x[r * cols + c];
  }
}

template <int Pad>
__global__ void transpose_tiled(int rows, int cols, const float* x, float* y) {
  __shared__ float tile[kTile][kTile + Pad];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int r0 = static_cast<int>(blockIdx.y) * kTile, c0 = static_cast<int>(blockIdx.x) * kTile;
  for (int k = ty; k < kTile; k += kRows)
    if (r0 + k < rows && c0 + tx < cols) tile[k][tx] = x[(r0 + k) * cols + c0 + tx];
  __syncthreads();
  for (int k = ty; k < kTile; k += kRows)
    if (c0 + k < cols && r0 + tx < rows) y[(c0 + k) * rows + r0 + tx] = tile[tx][k];
}

cudaError_t transpose(Transpose how, int rows, int cols, const float* x, float* y,
                      cudaStream_t stream) {
  const dim3 grid((cols + kTile - 1) / kTile, (rows + kTile - 1) / kTile);
  const simt::LaunchShape shape{.grid = grid, .block = dim3(kTile, kRows), .stream = stream};
  switch (how) {
    case Transpose::Naive:
      return simt::launch(shape, transpose_naive, rows, cols, x, y);
    case Transpose::Tiled:
      return simt::launch(shape, transpose_tiled<0>, rows, cols, x, y);
    case Transpose::Padded:
      return simt::launch(shape, transpose_tiled<1>, rows, cols, x, y);
  }
  return cudaErrorInvalidValue;
}

}  // namespace examples
