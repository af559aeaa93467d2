// Convolution 3 x 3 with stride 1, filter gradient, by Winograd's algorithm (winograd.h), without
// an array of transformed tiles: for few channels, and for processors whose second-level cache is
// small.
//
//   g[xi][k][c] = sum over tiles of d[xi][tile][k] v[xi][tile][c],   d = A dy A^T,  v = B^T x B,
//
// falls apart into the rows of the element xi: row i of v needs row i of B^T alone, at most M lines
// of the tile. So a task, a slice of the tiles times kRun outputs times kRun channels, walks over
// chunks of tiles, and for each row i over blocks: it transforms row i of a block, and adds the
// products to the kTile sums of that row. Block and sums are in the second-level cache; the pixels
// of a chunk, read kTile times, in the third, in the order of memory. In the end the task makes
// G^T g G, which is linear, and the slices are added in order.
//
// FLOPs: 2 kTile^2 tiles C K, and the transforms, once for each pair of runs. Memory: x and dy once
// for each run of the other side. `work`: slices x (dw), if there is more than one. Stack: g and a
// block, 850 KB. Deterministic: fixed slices, each sum over the tiles in order, cut into blocks.
#include "kernels/cpu/winograd_filter_rows.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/slices.h"
#include "kernels/cpu/winograd_tiles.h"

namespace etude::ETUDE_BACKEND {
namespace {

inline constexpr Index kBlockTiles = 64, kChunkTiles = 2 * kBlockTiles;
inline constexpr Index kSums = kRun * kRun + 16;  // of an element: an odd number of cache lines

template <int M>
struct RowsPlan {
  static constexpr int kTile = Winograd<M>::kTile;
  TileGrid grid;
  Index k_runs, c_runs, slices, slice_tiles;

  explicit RowsPlan(const Conv2dShape& p)
      : grid(p.n, p.p(), p.q(), M), k_runs(TileRuns::runs_of(p.k)), c_runs(TileRuns::runs_of(p.c)) {
    constexpr Index enough_tasks = 8;
    slices = min_of(ceil_div(enough_tasks, k_runs * c_runs), grid.count() / kChunkTiles);
    slices = max_of(slices, 1);
    slice_tiles = max_of(round_up(ceil_div(grid.count(), slices), kChunkTiles), kChunkTiles);
    slices = max_of(ceil_div(grid.count(), slice_tiles), 1);
  }
};

void clear_pixels(float* line, Index begin, Index end) {
  for (Index i = begin * kRun; i < end * kRun; ++i) line[i] = 0;
}

// The pixels [w, w + count) of one line of tiles as a sum of their lines, line[x][channel of the
// run]: what a row of B^T or A makes of each column. Zero outside the image.
//
// `row` has at most M entries that are not zero.
template <int M, int In>
void sum_lines(const TiledImage& image, Index n, Index h, Index w, Index count, Index run,
               const float (&row)[In], float* line) {
  const Index begin = min_of(count, max_of(0, -w)), C = image.channels;
  const Index end = max_of(begin, min_of(count, image.width - w));
  const float* from[M];
  Vec factor[M];
  int terms = 0;
  for (Index i = max_of(0, -h); i < min_of(In, image.height - h); ++i)
    if (row[i] != 0) {
      from[terms] = image.data + ((n * image.height + h + i) * image.width + w) * C + run * kRun;
      factor[terms++] = splat(row[i]);
    }
  if (terms == 0) return clear_pixels(line, 0, count);
  for (int i = terms; i < M; ++i) {
    from[i] = from[0];
    factor[i] = Vec{};
  }
  clear_pixels(line, 0, begin);
  for (Index x = begin; x < end; ++x)
    for_each_vector(min_of(kRun, C - run * kRun), [&](Index c, auto access) {
      Vec sum = factor[0] * access.load(from[0] + x * C + c);
#pragma GCC unroll 4
      for (int i = 1; i < M; ++i) sum = fma(factor[i], access.load(from[i] + x * C + c), sum);
      store(line + x * kRun + c, sum);
    });
  clear_pixels(line, end, count);
}

// The same for the gradient of an image that was max-pooled: a window's gradient belongs to the one
// pixel that won. h, w and count are even. The sums are those of the unpooled image, bit for bit.
template <int M>
void sum_pooled_lines(const TiledImage& image, Index n, Index h, Index w, Index count, Index run,
                      const float (&row)[M], float* line) {
  const Index height = image.height / 2, width = image.width / 2, C = image.channels;
  const Index windows = min_of(height - h / 2, M / 2);
  const Index end = max_of(0, min_of(count / 2, width - w / 2));
  for (Index x = 0; x < end; ++x)
    for_each_vector(min_of(kRun, C - run * kRun), [&](Index c, auto access) {
      Vec left{}, right{};
      for (Index i = 0; i < windows; ++i) {
        const Index at = ((n * height + h / 2 + i) * width + w / 2 + x) * C + run * kRun + c;
        const Vec dy = access.load(image.data + at);
        const IntVec winner = load_bytes_n(image.winners + at, access.n);
        const Vec factor = winner > splat(1) ? splat(row[2 * i + 1]) : splat(row[2 * i]);
        left = fma(factor, (winner == splat(0)) | (winner == splat(2)) ? dy : Vec{}, left);
        right = fma(factor, (winner == splat(1)) | (winner == splat(3)) ? dy : Vec{}, right);
      }
      store(line + 2 * x * kRun + c, left);
      store(line + (2 * x + 1) * kRun + c, right);
    });
  clear_pixels(line, 2 * end, count);
}

// Elements (row, 0), (row, 1), ... of the tiles [first, first + count), the channels of `run`, in
// rows 0, 1, ... of `to`.
template <int M, int In, auto Transform>
void transform_row(const TiledImage& image, const TileGrid& grid, Index first, Index count,
                   Index run, const float (&row)[In], const TileRuns& to) {
  constexpr int tile = Winograd<M>::kTile;
  constexpr Index most = 12;  // tiles whose line stays in the first-level cache
  alignas(64) float line[(most * M + In - M) * kRun];
  const Index channels = min_of(kRun, image.channels - run * kRun);
  const Index step = TileRuns::run_size(to.tiles);
  for (Index t = 0; t < count;) {
    const Index n = (first + t) / (grid.rows * grid.columns), j = (first + t) % grid.columns;
    const Index h = (first + t) / grid.columns % grid.rows * M - image.pad_h;
    const Index tiles = min_of(most, min_of(count - t, grid.columns - j));
    const Index w = j * M - image.pad_w, pixels = tiles * M + In - M;
    if constexpr (In == M) {
      if (image.winners)
        sum_pooled_lines<M>(image, n, h, w, pixels, run, row, line);
      else
        sum_lines<M>(image, n, h, w, pixels, run, row, line);
    } else {
      sum_lines<M>(image, n, h, w, pixels, run, row, line);
    }
    for (Index i = 0; i < tiles; ++i, ++t)
      for (Index c = 0; c < channels; c += kLanes) {
        Vec sums[In], elements[tile];
#pragma GCC unroll 8
        for (int x = 0; x < In; ++x) sums[x] = load(line + (i * M + x) * kRun + c);
        Transform(sums, elements);
#pragma GCC unroll 8
        for (int x = 0; x < tile; ++x) store(to.at(0, 0, t) + x * step + c, elements[x]);
      }
  }
}

template <int M>
struct Sums {
  static constexpr int kTile = Winograd<M>::kTile;
  alignas(64) float g[kTile * kTile * kSums];

  // The products of `tiles` tiles of row `row`, for k_count x c_count weights.
  void add(const TileRuns& d, const TileRuns& v, Index tiles, int row, Index k_count, Index c_count,
           bool accumulate) {
    for (Index j = 0; j < kTile; ++j)
      for (Index c = 0; c < c_count; c += kPanelWidth)
        for (Index k = 0; k < k_count; k += kTileRows)
          run_outer_product(
              min_of(kTileRows, k_count - k),
              {tiles, d.at(j, 0, 0) + k, v.at(j, 0, 0) + c,
               g + (row * kTile + j) * kSums + k * kRun + c, kRun,
               static_cast<int>(ceil_div(min_of(kPanelWidth, c_count - c), kLanes)), accumulate});
  }
  // dw[k][tap][c] = G^T g G, outputs `stride` floats apart, taps `channels`.
  void write(Index k_count, Index c_count, Index stride, Index channels, float* dw) const {
    for (Index k = 0; k < k_count; ++k)
      for_each_vector(c_count, [&](Index c, auto access) {
        transform_2d<kTile, 3, Winograd<M>::filter_gradient>(
            [&](int r, int s) { return load(g + (r * kTile + s) * kSums + k * kRun + c); },
            [&](int r, int s, Vec v) {
              access.store(dw + k * stride + (3 * r + s) * channels + c, v);
            });
      });
  }
};

}  // namespace

template <int M>
std::size_t winograd_rows_workspace(const Conv2dShape& p) {
  const RowsPlan<M> plan(p);
  return plan.slices > 1 ? static_cast<std::size_t>(plan.slices * p.w_size()) * sizeof(float) : 0;
}

template <int M>
void winograd_rows_backward_filter(const Conv2dShape& p, const TiledImage& inputs,
                                   const TiledImage& gradients, float* dw, float* work) {
  using Transforms = Winograd<M>;
  constexpr int tile = Transforms::kTile;
  const RowsPlan<M> plan(p);
  const TileGrid& grid = plan.grid;
  if (grid.count() == 0) {
    for (Index i = 0; i < p.w_size(); ++i) dw[i] = 0;
    return;
  }
  const Index pairs = plan.k_runs * plan.c_runs;
  float* const parts = plan.slices > 1 ? work : dw;
  parallel_for(plan.slices * pairs, grid.count() * tile * tile * p.c * p.k, [&](Index item) {
    constexpr Index size = TileRuns::size(tile, kRun, kBlockTiles);
    alignas(64) float block[2 * size];
    Sums<M> sums;
    const TileRuns d{block, kBlockTiles, 1}, v{block + size, kBlockTiles, 1};
    const Index slice = item / pairs, k_run = item / plan.c_runs % plan.k_runs;
    const Index c_run = item % plan.c_runs, k = k_run * kRun, c = c_run * kRun;
    const Index k_count = min_of(kRun, p.k - k), c_count = min_of(kRun, p.c - c);
    const Index first = slice * plan.slice_tiles;
    const Index last = min_of(grid.count(), first + plan.slice_tiles);
    for (Index chunk = first; chunk < last; chunk += kChunkTiles)
      for (int row = 0; row < tile; ++row)
        for (Index t = chunk; t < min_of(last, chunk + kChunkTiles); t += kBlockTiles) {
          const Index count = min_of(kBlockTiles, last - t);
          transform_row<M, M, Transforms::gradient>(gradients, grid, t, count, k_run,
                                                    Transforms::kGradient[row], d);
          transform_row<M, tile, Transforms::input>(inputs, grid, t, count, c_run,
                                                    Transforms::kInput[row], v);
          sums.add(d, v, count, row, k_count, c_count, t > first);
        }
    sums.write(k_count, c_count, 9 * p.c, p.c, parts + slice * p.w_size() + k * 9 * p.c + c);
  });
  if (plan.slices > 1) add_slices(work, plan.slices, p.w_size(), dw);
}

#define ETUDE_WINOGRAD(M)                                                               \
  template std::size_t winograd_rows_workspace<M>(const Conv2dShape&);                  \
  template void winograd_rows_backward_filter<M>(const Conv2dShape&, const TiledImage&, \
                                                 const TiledImage&, float*, float*);
ETUDE_WINOGRAD(2)
ETUDE_WINOGRAD(4)

}  // namespace etude::ETUDE_BACKEND
