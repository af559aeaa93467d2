// Convolution 3 x 3 with stride 1, filter gradient, by Winograd's algorithm (winograd.h): the
// adjoint of the forward pass,
//
//   g[xi][k][c] = sum over tiles of d[xi][tile][k] v[xi][tile][c],   d = A dy A^T,  v = B^T x B,
//
// and dw = G^T g G. `work` holds d and v for as many tiles as the third-level cache does. Where
// that is all of them, a task is a register tile of kTileRows outputs x a panel of channels for
// every xi: its sums stay in the second-level cache and become dw there. Else g is in `work` too, a
// task is an xi times a run of channels that adds one chunk of tiles to it, and dw is made in the
// end.
//
// FLOPs: 2 kTile^2 tiles C K, and the transforms. Memory: x, dy and `work` once, g twice a chunk.
// Stack: kElements kTileRows panels of floats. Deterministic: every sum runs over the tiles in
// order, cut into fixed chunks.
#include "kernels/cpu/bias_gradient.h"
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/winograd_filter_rows.h"
#include "kernels/cpu/winograd_tiles.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Whether winograd_filter_rows.h does it. A tile is transformed there once for each pair of runs,
// in parallel tasks that never wait for each other: faster for one pair, whatever the processor.
// Without AVX-512, where the second-level cache was 512 KB, it was faster for all.
bool by_rows(const Conv2dShape& p) { return kLanes < 16 || (p.c <= kRun && p.k <= kRun); }

template <int M>
struct FilterPlan {
  static constexpr int kTile = Winograd<M>::kTile, kElements = kTile * kTile;
  static constexpr Index kSharedFloats = 3 * 512 * 1024;
  static constexpr Index kTileStep = 16;  // tiles transformed by an item

  TileGrid grid;
  Index x_runs, dy_runs, chunk, chunks;
  Index g_stride;  // of g [kElements][k][g_stride]
  Index d_floats, v_floats, g_floats;

  explicit FilterPlan(const Conv2dShape& p)
      : grid(p.n, p.p(), p.q(), M),
        x_runs(TileRuns::runs_of(p.c)),
        dy_runs(TileRuns::runs_of(p.k)) {
    const Index tile_floats = kElements * (x_runs + dy_runs) * kRunStride;
    chunks = max_of(1, ceil_div(grid.count() * tile_floats, kSharedFloats));
    chunk = max_of(kTileStep, round_up(ceil_div(grid.count(), chunks), kTileStep));
    chunks = max_of(1, ceil_div(grid.count(), chunk));
    g_stride = round_up(p.c, kLanes);
    d_floats = TileRuns::size(kElements, p.k, chunk);
    v_floats = TileRuns::size(kElements, p.c, chunk);
    g_floats = chunks == 1 ? 0 : kElements * p.k * g_stride;
  }
};

// dw[k] = G^T g G for the channels [c, c + count); element xi of g at g + xi step.
template <int M>
void write_filter(const Conv2dShape& p, const float* g, Index step, Index k, Index c, Index count,
                  float* dw) {
  constexpr int tile = Winograd<M>::kTile;
  float* const to = dw + k * 9 * p.c + c;
  for_each_vector(count, [&](Index i, auto access) {
    transform_2d<tile, 3, Winograd<M>::filter_gradient>(
        [&](int r, int s) { return load(g + (r * tile + s) * step + i); },
        [&](int r, int s, Vec v) { access.store(to + (3 * r + s) * p.c + i, v); });
  });
}

// All tiles at once: kTileRows outputs from k0 on, a panel of channels from c0 on.
template <int M>
void multiply_all(const Conv2dShape& p, const TileRuns& d, const TileRuns& v, Index tiles, Index k0,
                  Index rows, Index c0, float* dw) {
  constexpr Index size = kTileRows * kPanelWidth + 16;
  alignas(64) float g[FilterPlan<M>::kElements * size];
  const Index count = min_of(kPanelWidth, p.c - c0);
  const int vectors = static_cast<int>(ceil_div(count, kLanes));
  for (Index xi = 0; xi < FilterPlan<M>::kElements; ++xi)
    run_outer_product(
        rows, {tiles, d.at(xi, k0 / kRun, 0) + k0 % kRun, v.at(xi, c0 / kRun, 0) + c0 % kRun,
               g + xi * size, kPanelWidth, vectors, false});
  for (Index i = 0; i < rows; ++i)
    write_filter<M>(p, g + i * kPanelWidth, size, k0 + i, c0, count, dw);
}

// A chunk of tiles for one xi: all outputs, one run of channels, added to g[k][stride].
void multiply_chunk(const Conv2dShape& p, const TileRuns& d, const TileRuns& v, Index tiles,
                    Index xi, Index run, bool accumulate, float* g, Index stride) {
  const Index c_end = min_of(kRun, p.c - run * kRun);
  for (Index c = 0; c < c_end; c += kPanelWidth) {
    const int vectors = static_cast<int>(ceil_div(min_of(kPanelWidth, c_end - c), kLanes));
    for (Index k_run = 0; k_run < d.runs; ++k_run) {
      const Index k_end = min_of(kRun, p.k - k_run * kRun);
      for (Index k = 0; k < k_end; k += kTileRows)
        run_outer_product(
            min_of(kTileRows, k_end - k),
            {tiles, d.at(xi, k_run, 0) + k, v.at(xi, run, 0) + c,
             g + (k_run * kRun + k) * stride + run * kRun + c, stride, vectors, accumulate});
    }
  }
}

}  // namespace

template <int M>
std::size_t winograd_backward_filter_workspace(const Conv2dShape& p) {
  const auto bias_bytes = static_cast<std::size_t>(bias_gradient_work(p.k)) * sizeof(float);
  if (by_rows(p)) return winograd_rows_workspace<M>(p) + bias_bytes;
  const FilterPlan<M> plan(p);
  const Index floats = plan.d_floats + plan.v_floats + plan.g_floats;
  return static_cast<std::size_t>(floats) * sizeof(float) + bias_bytes;
}

template <int M>
void winograd_backward_filter(const Conv2dShape& p, const float* x, const float* dy,
                              const std::uint8_t* winners, float* dw, float* dbias, void* work) {
  using Transforms = Winograd<M>;
  float* const free = static_cast<float*>(work) + bias_gradient_work(p.k);
  const Index pool = winners ? 2 : 1, pixels = p.n * (p.p() / pool) * (p.q() / pool);
  if (dbias) bias_gradient(dy, pixels, p.k, dbias, static_cast<float*>(work));

  const TiledImage inputs{x, p.h, p.w, p.c, M, p.pad_h, p.pad_w};
  const TiledImage gradients{dy, p.p(), p.q(), p.k, M, 0, 0, winners};
  if (by_rows(p)) return winograd_rows_backward_filter<M>(p, inputs, gradients, dw, free);
  const FilterPlan<M> plan(p);
  const TileRuns d{free, plan.chunk, plan.dy_runs};
  const TileRuns v{d.data + plan.d_floats, plan.chunk, plan.x_runs};
  float* const g = v.data + plan.v_floats;
  const Index work_per_tile = plan.kElements * p.c * p.k, total = plan.grid.count();
  Index first = 0;
  do {  // once even without tiles: dw is zero
    const Index tiles = min_of(plan.chunk, total - first);
    const Index steps = ceil_div(tiles, plan.kTileStep), runs = plan.dy_runs + plan.x_runs;
    parallel_for(runs * steps, tiles * plan.kElements * (p.c + p.k), [&](Index item) {
      const Index run = item / steps, t = item % steps * plan.kTileStep;
      const Index count = min_of(plan.kTileStep, tiles - t);
      if (run < plan.dy_runs)
        transform_tiles<M, plan.kTile, Transforms::gradient>(gradients, plan.grid, first + t, count,
                                                             run, d, t);
      else
        transform_tiles<plan.kTile, plan.kTile, Transforms::input>(inputs, plan.grid, first + t,
                                                                   count, run - plan.dy_runs, v, t);
    });
    if (plan.chunks == 1) {
      constexpr Index run_groups = ceil_div(kRun, kTileRows);
      const Index groups = plan.dy_runs * run_groups, panels = ceil_div(p.c, kPanelWidth);
      parallel_for(groups * panels, tiles * work_per_tile, [&](Index item) {
        const Index group = item % groups;
        const Index k = group % run_groups * kTileRows, run = group / run_groups;
        const Index rows = min_of(kTileRows, min_of(kRun, p.k - run * kRun) - k);
        if (rows > 0)
          multiply_all<M>(p, d, v, tiles, run * kRun + k, rows, item / groups * kPanelWidth, dw);
      });
      return;
    }
    parallel_for(plan.kElements * plan.x_runs, tiles * work_per_tile, [&](Index item) {
      const Index xi = item / plan.x_runs;
      multiply_chunk(p, d, v, tiles, xi, item % plan.x_runs, first > 0,
                     g + xi * p.k * plan.g_stride, plan.g_stride);
    });
    first += plan.chunk;
  } while (first < total);
  parallel_for(p.k, plan.g_floats, [&](Index k) {
    write_filter<M>(p, g + k * plan.g_stride, p.k * plan.g_stride, k, 0, p.c, dw);
  });
}

#define ETUDE_WINOGRAD(M)                                                                   \
  template std::size_t winograd_backward_filter_workspace<M>(const Conv2dShape&);           \
  template void winograd_backward_filter<M>(const Conv2dShape&, const float*, const float*, \
                                            const std::uint8_t*, float*, float*, void*);
ETUDE_WINOGRAD(2)
ETUDE_WINOGRAD(4)

}  // namespace etude::ETUDE_BACKEND
