// Reductions to few numbers, in an order that the shape fixes (block_sum.h).
//
// sum: y = x[0] + ... + x[n - 1].
//   A block of 256 threads adds tiles of 4096 neighbouring elements, 4 float4 a thread, all four
//   on their way at once; up to 1024 blocks, each with the same number of tiles. Their sums go to
//   the workspace as double, and one more block adds those; a single tile needs no second launch.
//   Numbers may cancel to nearly nothing, so a thread's 16 are added with compensation, as good as
//   in double at a price that every GPU can pay. 4 n bytes, 6 n additions: bound by memory
//   (0.12 ms for 10^8 elements at 3350 GB/s).
//
// mean_std: x [outer, L, inner] -> y [outer, 2, inner], over the axis of length L:
//   mean = sum x / L,   std = sqrt(sum (x - mean)^2 / L)
//   A block makes up to 32 neighbouring columns of one `outer`: lanes lie along `inner` (as many as
//   the power of two that covers it, at most 32), the rest of the 256 threads along L, so that a
//   warp reads whole 128-byte lines, or with few columns neighbouring rows. Two passes: the second
//   reads what the first left in L1 or L2. Sums are of x - x[first row], which is exact zero in a
//   column of equal numbers: its std is then exactly 0, which backward needs. 4 bytes an element
//   and 4 operations.
//   backward: dx = (dmean + dstd (x - mean) / std) / L; the same mapping, one pass, 8 bytes an
//   element.
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;

// ---- sum ---------------------------------------------------------------------------------------

constexpr int kVectors = 4;  // float4 a thread and tile
constexpr int kTile = kThreads * kVectors * 4;
constexpr Index kMostBlocks = 1024;

Index tiles_per_block(Index n) { return ceil_div(ceil_div(n, Index{kTile}), kMostBlocks); }
Index sum_blocks(Index n) { return ceil_div(n, tiles_per_block(n) * kTile); }

// A sum of floats and what its roundings have lost.
struct Compensated {
  float sum, lost = 0;
};

// Knuth's two-sum: six additions, no branch.
__device__ Compensated operator+(const Compensated& a, const Compensated& b) {
  const float sum = a.sum + b.sum, from_b = sum - a.sum, from_a = sum - from_b;
  return {sum, ((a.sum - from_a) + (b.sum - from_b)) + (a.lost + b.lost)};
}

// The sum of this thread's quads of a tile.
template <class Access>
__device__ double sum_of_quads(Access access, const float* x) {
  Compensated part[kVectors];
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    const Quad q = access(at).load(x + at);
    part[v] =
        (Compensated{q.e[0]} + Compensated{q.e[1]}) + (Compensated{q.e[2]} + Compensated{q.e[3]});
  }
  const Compensated all = (part[0] + part[1]) + (part[2] + part[3]);
  // What an infinite sum has lost is NaN.
  return static_cast<double>(all.sum) + static_cast<double>(all.lost == all.lost ? all.lost : 0);
}

// Block b adds tiles [b tiles, (b + 1) tiles). One of `partial` and `y` is given.
__global__ void sum_tiles(Index n, Index tiles, const float* x, double* partial, float* y) {
  const Index first = Index{blockIdx.x} * tiles * kTile;
  const Index last = min_of(n, first + tiles * kTile);
  double total = 0;
  Index tile = first;
  for (; tile + kTile <= last; tile += kTile) total += sum_of_quads(WholeRange{}, x + tile);
  if (tile < last) {
    const int left = static_cast<int>(last - tile);
    total += sum_of_quads(PartRange{0, left}, x + tile);
  }
  total = block_sum<kThreads>(total);
  if (threadIdx.x != 0) return;
  if (partial)
    partial[blockIdx.x] = total;
  else
    *y = static_cast<float>(total);
}

__global__ void sum_partials(Index count, const double* partial, float* y) {
  const double total = block_sum_of<kThreads>(partial, count);
  if (threadIdx.x == 0) *y = static_cast<float>(total);
}

// ---- mean and deviation ------------------------------------------------------------------------

constexpr int kRows = 8;  // rows that a thread reads at a time

// Where a thread of a [rows, lanes] block stands in x [outer, length, inner].
struct Column {
  int rows, row;       // rows of threads in the block, and this thread's
  Index outer, inner;  // this thread's column
  bool inside;         // the column exists
};

__device__ Column column_of(const MeanStdShape& p, int lanes) {
  const int strips = static_cast<int>(ceil_div(p.inner, Index{lanes}));
  const int thread = static_cast<int>(threadIdx.x);
  Column c;
  c.rows = kThreads / lanes;
  c.row = thread / lanes;
  c.outer = blockIdx.x / strips;
  c.inner = Index{static_cast<int>(blockIdx.x) % strips} * lanes + thread % lanes;
  c.inside = c.inner < p.inner;
  return c;
}

// Over the rows of the thread's column: the sum of f(x). Every thread of a column gets the total.
template <class F>
__device__ double column_sum(const MeanStdShape& p, const Column& c, int lanes, const float* column,
                             F f) {
  __shared__ double totals[kThreads];
  double total = 0;
  if (c.inside) {
    for (Index l0 = c.row; l0 < p.length; l0 += Index{c.rows} * kRows) {
      float part = 0;
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const Index l = l0 + r * c.rows;
        if (l < p.length) part += f(column[l * p.inner]);
      }
      total += static_cast<double>(part);
    }
  }
  const int thread = static_cast<int>(threadIdx.x);
  __syncthreads();  // the sums before this one have been read
  totals[thread] = total;
  __syncthreads();
  for (int half = kThreads / 2; half >= lanes; half /= 2) {
    if (thread < half) totals[thread] += totals[thread + half];
    __syncthreads();
  }
  return totals[thread % lanes];
}

__global__ void column_mean_std(MeanStdShape p, int lanes, const float* x, float* y) {
  const Column c = column_of(p, lanes);
  const float* column = x + c.outer * p.length * p.inner + c.inner;
  const float base = c.inside ? *column : 0;
  const auto count = static_cast<double>(p.length);
  const double offset =
      column_sum(p, c, lanes, column, [base](float v) { return v - base; }) / count;
  const double mean = static_cast<double>(base) + offset;
  // Squares about the mean rounded to float, and what the rounding adds to them taken off.
  const float centre = static_cast<float>(mean);
  const double slip = mean - static_cast<double>(centre);
  const double squares = column_sum(p, c, lanes, column, [centre](float v) {
    const float d = v - centre;
    return d * d;
  });
  if (!c.inside || c.row != 0) return;
  const double variance = squares / count - slip * slip;
  float* out = y + c.outer * 2 * p.inner + c.inner;
  out[0] = centre;
  out[p.inner] = sqrtf(static_cast<float>(variance < 0 ? 0 : variance));
}

__global__ void column_mean_std_gradient(MeanStdShape p, int lanes, float scale, const float* x,
                                         const float* y, const float* dy, float* dx) {
  const Column c = column_of(p, lanes);
  if (!c.inside) return;
  const Index at_mean = c.outer * 2 * p.inner + c.inner, at_std = at_mean + p.inner;
  const float mean = y[at_mean], std = y[at_std];
  const float offset = dy[at_mean] * scale;
  const float slope = std == 0 ? 0 : dy[at_std] / std * scale;
  const Index at = c.outer * p.length * p.inner + c.inner;
  for (Index l0 = c.row; l0 < p.length; l0 += Index{c.rows} * kRows) {
    float v[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const Index l = l0 + r * c.rows;
      v[r] = l < p.length ? x[at + l * p.inner] : 0;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const Index l = l0 + r * c.rows;
      if (l < p.length) dx[at + l * p.inner] = fmaf(slope, v[r] - mean, offset);
    }
  }
}

// Threads of a block that lie along `inner`.
int lanes_for(Index inner) {
  int lanes = 1;
  while (lanes < inner && lanes < kWarp) lanes *= 2;
  return lanes;
}

LaunchShape column_blocks(Stream s, const MeanStdShape& p, int lanes) {
  return {.grid = grid_for(p.outer * ceil_div(p.inner, Index{lanes}), 1),
          .block = kThreads,
          .stream = stream_of(s)};
}

}  // namespace

std::size_t sum_workspace(Index n) {
  const Index blocks = n == 0 ? 0 : sum_blocks(n);
  return blocks > 1 ? static_cast<std::size_t>(blocks) * sizeof(double) : 0;
}

void sum(Stream s, Index n, const T* x, T* y, void* work) {
  if (n == 0) return memory_zero(s, y, sizeof(float));
  const Index blocks = sum_blocks(n);
  double* partial = blocks > 1 ? static_cast<double*>(work) : nullptr;
  ETUDE_CUDA(launch({.grid = grid_for(blocks, 1), .block = kThreads, .stream = stream_of(s)},
                    sum_tiles, n, tiles_per_block(n), x, partial, y));
  if (partial)
    ETUDE_CUDA(launch({.grid = 1, .block = kThreads, .stream = stream_of(s)}, sum_partials, blocks,
                      partial, y));
}

void mean_std_forward(Stream s, const MeanStdShape& p, const T* x, T* y) {
  const int lanes = lanes_for(p.inner);
  ETUDE_CUDA(launch(column_blocks(s, p, lanes), column_mean_std, p, lanes, x, y));
}

void mean_std_backward(Stream s, const MeanStdShape& p, const T* x, const T* y, const T* dy,
                       T* dx) {
  const int lanes = lanes_for(p.inner);
  const float scale = static_cast<float>(1 / static_cast<double>(p.length));
  ETUDE_CUDA(
      launch(column_blocks(s, p, lanes), column_mean_std_gradient, p, lanes, scale, x, y, dy, dx));
}

}  // namespace etude::ETUDE_BACKEND
