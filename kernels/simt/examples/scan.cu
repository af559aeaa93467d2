// Inclusive prefix sums of rows of up to 1024 ints, a block a row: shuffles within a warp, shared
// memory between warps.
#include <cooperative_groups.h>

#include "kernels/simt/examples/examples.h"
#include "kernels/simt/launch.h"

namespace examples {

namespace cg = cooperative_groups;

__global__ void scan_rows(int cols, const int* x, int* y) {
  __shared__ int of_warp[32];
  const cg::thread_block block = cg::this_thread_block();
  const auto warp = cg::tiled_partition<32>(block);
  const int c = static_cast<int>(block.thread_rank());
  const int at = static_cast<int>(blockIdx.x) * cols + c;
  int sum = c < cols ? x[at] : 0;
  for (unsigned delta = 1; delta < 32; delta *= 2) {
    const int before = warp.shfl_up(sum, delta);
    if (warp.thread_rank() >= delta) sum += before;
  }
  if (warp.thread_rank() == 31) of_warp[warp.meta_group_rank()] = sum;
  block.sync();
  for (unsigned w = 0; w < warp.meta_group_rank(); ++w) sum += of_warp[w];
  if (c < cols) y[at] = sum;
}

cudaError_t scan(int rows, int cols, const int* x, int* y, cudaStream_t stream) {
  if (cols > 1024) return cudaErrorInvalidValue;
  const auto threads = static_cast<unsigned>((cols + 31) / 32 * 32);
  return simt::launch({.grid = static_cast<unsigned>(rows), .block = threads, .stream = stream},
                      scan_rows, cols, x, y);
}

}  // namespace examples
