// How the threads of the batch norm kernels lie on a tensor [rows, C], and sums over its rows.
//
// The tensor is read as float4 one after the other, whatever C is. Vector v holds the channels
// 4 v ... 4 v + 3 (mod C), and that repeats every V = C / gcd(C, 4) vectors: a *line*, which is 1,
// 2 or 4 rows of x. A thread that steps by whole lines stays on its four channels, so they live in
// registers, and a warp reads 512 bytes that lie side by side. For 10 channels, 4 V = 20:
//
//   channels   0 1 2 3 | 4 5 6 7 | 8 9 0 1 | 2 3 4 5 | 6 7 8 9     one line: 2 rows, V = 5
//   thread        0    |    1    |    2    |    3    |    4        of 255: 51 lines at once
//
// The 4 V *columns* of a line are summed each by itself; column j belongs to channel j % C. The
// last line may be incomplete, and may end within a vector.
//
// A block takes a tile of up to 32 vectors of the line and a slice of the lines. Sums over rows
// have two levels: a block leaves one partial per column in the workspace, and a second kernel adds
// the partials. The cut into slices depends on the shape only, and so does the order of additions.
#pragma once

#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {

struct BatchNormTiling {
  // The kernels ask for __launch_bounds__(256, 2): told less, ptxas gives up loads in flight, or
  // spills, for a third or fourth block on an SM, which memory-bound kernels do not need.
  static constexpr int kThreads = 256;
  static constexpr int kTileVectors = 32;  // at most

  int channels;
  int vectors;      // V
  int copies_log2;  // rows in a line: 1, 2 or 4
  Index lines;      // complete ones
  int rest;         // elements of the incomplete line behind them

  int tile_vectors, tile_lines;  // of a block's threads
  int tiles, slices;
  Index slice_lines;

  int columns() const { return 4 * vectors; }
  unsigned blocks() const { return static_cast<unsigned>(Index{tiles} * slices); }
};

// About 1024 blocks, of at least 4 and at most `most` vectors a thread.
BatchNormTiling tile_batch_norm(const BatchNormShape& p, int most);

// So few rows that a block has all rows of its channels, with at most 8 vectors a thread; and the
// tiling for that, a single slice.
bool few_rows(const BatchNormShape& p);
BatchNormTiling tile_few_rows(const BatchNormShape& p);

// ---- on the device ----------------------------------------------------------------------------

// A thread's vectors: the same one of every tile_lines-th line.
struct BatchNormPlace {
  int lane, row;      // vector within the tile, line within the tile
  int vector;         // within the line
  bool active;        // the last threads of a block, and of the last tile, have no column
  int count;          // complete lines
  int rest;           // elements of one more vector, in the incomplete line: 0 to 4
  Index first, step;  // offset of the first, distance to the next, in elements

  __device__ BatchNormPlace(const BatchNormTiling& t, int slice, int tile) {
    const int thread = static_cast<int>(threadIdx.x);
    row = thread / t.tile_vectors;
    lane = thread - row * t.tile_vectors;
    vector = tile * t.tile_vectors + lane;
    active = row < t.tile_lines && vector < t.vectors;
    const Index begin = slice * t.slice_lines;
    const int lines = static_cast<int>(min_of(t.slice_lines, t.lines - begin));
    count = active && row < lines ? ceil_div(lines - row, t.tile_lines) : 0;
    const bool last = active && lines < t.slice_lines && row + count * t.tile_lines == lines;
    rest = last ? max_of(0, min_of(4, t.rest - 4 * vector)) : 0;
    first = 4 * ((begin + row) * t.vectors + vector);
    step = Index{4} * t.tile_lines * t.vectors;
  }

  // Rows that element j of the thread's vectors has seen.
  __device__ float rows(int j) const { return static_cast<float>(count + (j < rest)); }
};

// Rows of a slice that column `column` has.
__device__ inline float rows_of_column(const BatchNormTiling& t, int slice, int column) {
  const Index lines = t.lines + (column < t.rest) - slice * t.slice_lines;
  return static_cast<float>(max_of(Index{0}, min_of(t.slice_lines, lines)));
}

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};

// body(Count<n>, offset, access) for the thread's vectors, n = 4 at a time (`step` apart) as long
// as there are so many: it loads all of them before it uses one, for four in flight.
template <class Body>
__device__ inline void for_each_vector(const BatchNormPlace& place, Body&& body) {
  Index at = place.first;
  int i = 0;
#pragma unroll 1
  for (; i + 4 <= place.count; i += 4, at += 4 * place.step) body(Count<4>{}, at, WholeQuad{});
#pragma unroll 1
  for (; i < place.count; ++i, at += place.step) body(Count<1>{}, at, WholeQuad{});
  if (place.rest > 0) body(Count<1>{}, at, PartQuad{0, place.rest});
}

// Sums of a and of b over the rows of the block's threads, for the threads of row 0. Pairwise, in a
// fixed order. For all threads of the block, once in a kernel.
__device__ inline void sum_over_rows(const BatchNormTiling& t, const BatchNormPlace& place, Quad& a,
                                     Quad& b) {
  __shared__ float4 sum_a[BatchNormTiling::kThreads], sum_b[BatchNormTiling::kThreads];
  const int me = static_cast<int>(threadIdx.x);
  const auto put = [&] {
    sum_a[me] = make_float4(a.e[0], a.e[1], a.e[2], a.e[3]);
    sum_b[me] = make_float4(b.e[0], b.e[1], b.e[2], b.e[3]);
  };
  put();
  for (int rows = t.tile_lines; rows > 1;) {
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (place.row < rows - half) {
      const float4 u = sum_a[me + half * t.tile_vectors], v = sum_b[me + half * t.tile_vectors];
      a.e[0] += u.x, a.e[1] += u.y, a.e[2] += u.z, a.e[3] += u.w;
      b.e[0] += v.x, b.e[1] += v.y, b.e[2] += v.z, b.e[3] += v.w;
      put();
    }
    rows = half;
  }
}

// Sums of a and of b over threadIdx.y, whose count is a power of two, for the threads of row 0.
// For blocks of kFinishChannels in x; all threads, once in a kernel.
inline constexpr int kFinishChannels = 8, kFinishRows = 128;
__device__ inline void sum_over_finish_rows(float& a, float& b) {
  __shared__ float sum_a[kFinishRows * kFinishChannels], sum_b[kFinishRows * kFinishChannels];
  const int me = static_cast<int>(threadIdx.y) * kFinishChannels + static_cast<int>(threadIdx.x);
  sum_a[me] = a, sum_b[me] = b;
  for (int half = static_cast<int>(blockDim.y) / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.y) < half) {
      sum_a[me] = a += sum_a[me + half * kFinishChannels];
      sum_b[me] = b += sum_b[me + half * kFinishChannels];
    }
  }
}

// The launch that adds the partials of all slices: 8 channels a block, since 8 floats are a sector,
// and about 4 partials a thread.
LaunchShape finish_shape(const BatchNormTiling& t, Stream s);

}  // namespace etude::ETUDE_BACKEND
