// Convolution 3 x 3 with stride 1, forward and data gradient, by Winograd's algorithm (winograd.h).
//
// With xi an element of a transformed tile, the element-wise products summed over channels are
// matrix products, one for each xi,
//
//   m[xi][tile][k] = sum over c of v[xi][tile][c] u[xi][c][k],    v = B^T x B,  u = G w G^T,
//
// and y = A^T m A. What is transformed once and kept, and what a thread makes for itself in its
// second-level cache, depends on the problem (Plan):
//   many tiles, few channels   u is in `work`; a task transforms a block of tiles and multiplies it
//                              with every panel of u
//   few tiles, many channels   v is in `work`, for as many tiles as the third-level cache holds; a
//                              task is a panel of outputs times a group of tiles: it transforms the
//                              panel's filters kRun channels at a time, and adds to m
// In both m is one panel wide, never leaves the cache, and is transformed at once, with bias and
// ReLU.
//
// FLOPs: 2 kTile^2 tiles C K, and the transforms. Memory: x once for each of (M + 2)^2 / M^2
// pixels, y once, w once a group of tiles, `work` once. Stack: kScratch floats. Deterministic:
// every output is one sum in the order of the channels, cut at fixed places.
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/output_statistics.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/winograd_tiles.h"

namespace etude::ETUDE_BACKEND {
namespace {

inline constexpr Index kTileStep = 12;  // blocks of tiles are multiples of it: of every kTileRows
static_assert(kTileStep % kTileRows == 0 && kRun % kPanelWidth == 0);

// Filter of channel c and output k at w[k output_stride + tap tap_stride + c channel_stride], the
// taps in reverse order if rotated.
struct Filters {
  const float* w;
  Index output_stride, tap_stride, channel_stride;
  bool rotated;
};

// A forward pass, or a data gradient as one over dy.
struct Problem {
  TiledImage source;
  Filters filters;
  float* y;  // [n, height, width, outputs]
  Index n, height, width, outputs;
  Epilogue then;
  std::uint8_t* winners = nullptr;  // max-pool 2x2 after the ReLU: y [n, height / 2, width / 2, k]

  TileGrid grid(int m) const { return {n, height, width, m}; }
};

Problem forward_problem(const Conv2dShape& p, int m) {
  return {{nullptr, p.h, p.w, p.c, m, p.pad_h, p.pad_w},
          {nullptr, 9 * p.c, p.c, 1, false},
          nullptr,
          p.n,
          p.p(),
          p.q(),
          p.k,
          {}};
}

// dx[h] meets dy[h + pad - r] with tap r: a forward pass with padding 2 - pad and tap 2 - r.
Problem backward_problem(const Conv2dShape& p, int m) {
  return {{nullptr, p.p(), p.q(), p.k, m, 2 - p.pad_h, 2 - p.pad_w},
          {nullptr, 1, p.c, 9 * p.c, true},
          nullptr,
          p.n,
          p.h,
          p.w,
          p.c,
          {}};
}

template <int M>
struct Plan {
  static constexpr int kElements = Winograd<M>::kTile * Winograd<M>::kTile;
  // Floats of a thread: a block of transformed tiles or kRun channels of a panel of filters, and m.
  static constexpr Index kBlockFloats = 140 * 1024;
  static constexpr Index kBlockTiles = M == 2 ? 48 : 24;  // enough to read u at leisure
  static constexpr Index kGroupTiles = M == 2 ? 144 : 72;
  static constexpr Index kPanelStep = kRun * kPanelWidth + 16;
  static constexpr Index kPanelFloats = kElements * kPanelStep;
  static constexpr Index m_step(Index tiles) { return tiles * kPanelWidth + 16; }  // an odd line
  static constexpr Index kScratch = max_of(kBlockFloats + kElements * m_step(kBlockTiles),
                                           kPanelFloats + kElements * m_step(kGroupTiles));
  static constexpr Index kSharedFloats = 2 * 1024 * 1024;  // of v in `work`

  Index channels, outputs, tiles;
  bool tiles_local;
  Index block;  // tiles a task
  Index chunk;  // tiles in `work`

  explicit Plan(const Problem& q)
      : channels(q.source.channels), outputs(q.outputs), tiles(q.grid(M).count()) {
    constexpr Index enough_tasks = 8;
    tiles_local = TileRuns::size(kElements, channels, kBlockTiles / 2) <= kBlockFloats &&
                  tiles >= enough_tasks * kBlockTiles;
    if (tiles_local) {
      block = TileRuns::size(kElements, channels, kBlockTiles) <= kBlockFloats ? kBlockTiles
                                                                               : kBlockTiles / 2;
      chunk = 0;
      return;
    }
    const Index most = kSharedFloats / TileRuns::size(kElements, channels, kTileStep) * kTileStep;
    const Index chunks = ceil_div(tiles, max_of(most, kTileStep));
    chunk = even_part(tiles, chunks);
    block = even_part(chunk, ceil_div(chunk, kGroupTiles));
  }
  static Index even_part(Index count, Index parts) {
    return max_of(kTileStep, round_up(ceil_div(count, max_of(parts, 1)), kTileStep));
  }
  Index groups(Index tiles_of_chunk) const { return ceil_div(tiles_of_chunk, block); }
  // Tasks that compute different pixels.
  Index parts() const {
    if (tiles_local) return groups(tiles);
    return tiles / chunk * groups(chunk) + groups(tiles % chunk);
  }
  Index work_floats() const {
    return tiles_local ? kElements * channels * round_up(outputs, kLanes)
                       : TileRuns::size(kElements, channels, chunk);
  }
};

Index vectors_of(Index outputs) { return min_of(ceil_div(outputs, kLanes), kTileVectors); }

// u[xi][c][k] = G w G^T for `live` outputs from `first` on and the channels [channel, channel +
// count).
template <int M>
void transform_filters(const Filters& f, Index first, Index live, Index channel, Index count,
                       float* u, Index step) {
  constexpr int tile = Winograd<M>::kTile;
  const Index width = round_up(live, kLanes);
  for (Index k = 0; k < live; k += kLanes) {
    const Index outputs = min_of(kLanes, live - k);
    for (Index c = 0; c < count; c += kLanes) {
      const Index channels = min_of(kLanes, count - c);
      Vec w[9][kLanes];
      for (Index tap = 0; tap < 9; ++tap) {
        const float* const from = f.w + (first + k) * f.output_stride +
                                  (f.rotated ? 8 - tap : tap) * f.tap_stride +
                                  (channel + c) * f.channel_stride;
        if (f.channel_stride == 1) {
          for (Index i = 0; i < kLanes; ++i)
            w[tap][i] = i < outputs ? load_n(from + i * f.output_stride, channels) : Vec{};
          transpose(w[tap]);
        } else {
          for (Index i = 0; i < channels; ++i)
            w[tap][i] = load_n(from + i * f.channel_stride, outputs);
        }
      }
      for (Index i = 0; i < channels; ++i) {
        float* const to = u + (c + i) * width + k;
        transform_2d<3, tile, Winograd<M>::filter>(
            [&](int r, int s) { return w[3 * r + s][i]; },
            [&](int r, int s, Vec v) { store(to + (r * tile + s) * step, v); });
      }
    }
  }
}

// m (+)= v u for `count` tiles from row `tile` of v on; channels of v from `run` on.
template <int M>
void multiply_tiles(const TileRuns& v, Index run, Index tile, Index count, Index depth,
                    const float* u, Index u_step, int vectors, bool accumulate, float* m,
                    Index m_step) {
  for (Index xi = 0; xi < Plan<M>::kElements; ++xi)
    for (Index t = 0; t < count; t += kTileRows) {
      const bool last = t + kTileRows >= count;
      const float* const next = last ? v.at(min_of(xi + 1, Plan<M>::kElements - 1), run, tile)
                                     : v.at(xi, run, tile + t + kTileRows);
      run_product(min_of(kTileRows, count - t),
                  {depth, v.at(xi, run, tile + t), TileRuns::run_size(v.tiles), u + xi * u_step,
                   m + xi * m_step + t * vectors * kLanes, vectors, accumulate, next});
    }
}

// y = A^T m A, and the epilogue, for `count` tiles from `first` on and `live` outputs from `k`
// on.
template <int M>
void write_tiles(const Problem& q, const float* m, Index m_step, Index first, Index count, Index k,
                 Index live) {
  constexpr int tile = Winograd<M>::kTile;
  const TileGrid grid = q.grid(M);
  const Index width = round_up(live, kLanes);
  for (Index t = 0; t < count; ++t) {
    const Index n = (first + t) / (grid.rows * grid.columns);
    const Index h = (first + t) / grid.columns % grid.rows * M, w = (first + t) % grid.columns * M;
    const Index rows = min_of(M, q.height - h), columns = min_of(M, q.width - w);
    const Index corner = ((n * q.height + h) * q.width + w) * q.outputs + k;
    for_each_vector(live, [&](Index i, auto access) {
      const float* const from = m + t * width + i;
      const Vec bias = q.then.bias ? access.load(q.then.bias + k + i) : Vec{};
      const Vec scale = q.then.scale ? access.load(q.then.scale + k + i) : Vec{};
      transform_2d<tile, M, Winograd<M>::output>(
          [&](int r, int s) { return load(from + (r * tile + s) * m_step); },
          [&](int r, int s, Vec v) {
            if (r >= rows || s >= columns) return;
            const Index at = corner + (r * q.width + s) * q.outputs + i;
            if (q.then.bias) v = q.then.scale ? fma(v, scale, bias) : v + bias;
            if (q.then.residual) v += access.load(q.then.residual + at);
            if (q.then.relu) v = relu(v);
            access.store(q.y + at, v);
          });
    });
  }
}

// The same with pooling: the maximum of every whole window 2 x 2, and its tap 2 r + s.
template <int M>
void write_pooled_tiles(const Problem& q, const float* m, Index m_step, Index first, Index count,
                        Index k, Index live) {
  constexpr int tile = Winograd<M>::kTile, windows = M / 2;
  const TileGrid grid = q.grid(M);
  const Index width = round_up(live, kLanes), P = q.height / 2, Q = q.width / 2;
  for (Index t = 0; t < count; ++t) {
    const Index n = (first + t) / (grid.rows * grid.columns);
    const Index h = (first + t) / grid.columns % grid.rows * windows;
    const Index w = (first + t) % grid.columns * windows;
    const Index rows = min_of(windows, P - h), columns = min_of(windows, Q - w);
    const Index at = ((n * P + h) * Q + w) * q.outputs + k;
    for_each_vector(live, [&](Index i, auto access) {
      const float* const from = m + t * width + i;
      const Vec bias = q.then.bias ? access.load(q.then.bias + k + i) : Vec{};
      Vec y[M][M];
      transform_2d<tile, M, Winograd<M>::output>(
          [&](int r, int s) { return load(from + (r * tile + s) * m_step); },
          [&](int r, int s, Vec v) { y[r][s] = v + bias; });
      for (Index a = 0; a < rows; ++a)
        for (Index b = 0; b < columns; ++b) {
          Vec best = y[2 * a][2 * b];
          IntVec winner{};
          for (int tap = 1; tap < 4; ++tap) {
            const Vec v = y[2 * a + tap / 2][2 * b + tap % 2];
            const IntVec wins = (v > best) | (v != v);
            best = wins ? v : best;
            winner = wins ? splat(tap) : winner;
          }
          const Index to = at + (a * Q + b) * q.outputs + i;
          access.store(q.y + to, relu(best));
          store_bytes_n(q.winners + to, winner, access.n);
        }
    });
  }
}

// The statistics of what write_tiles wrote, as part `part`.
template <int M>
void write_tile_statistics(const Problem& q, Index first, Index count, Index k, Index live,
                           Index part) {
  const TileGrid grid = q.grid(M);
  const auto for_each_run = [&](auto&& run) {
    for (Index t = first, tiles; t < first + count; t += tiles) {
      tiles = min_of(first + count - t, grid.columns - t % grid.columns);
      const Index n = t / (grid.rows * grid.columns);
      const Index h = t / grid.columns % grid.rows * M, w = t % grid.columns * M;
      for (Index row = h; row < min_of(h + M, q.height); ++row)
        run(q.y + ((n * q.height + row) * q.width + w) * q.outputs + k,
            min_of(tiles * M, q.width - w));
    }
  };
  write_statistics(StatisticsPart(q.then.statistics, q.outputs, part), k, live, q.outputs,
                   for_each_run);
}

template <int M>
void write(const Problem& q, const float* m, Index m_step, Index first, Index count, Index k,
           Index live, Index part) {
  if (q.winners)
    write_pooled_tiles<M>(q, m, m_step, first, count, k, live);
  else
    write_tiles<M>(q, m, m_step, first, count, k, live);
  if (q.then.statistics) write_tile_statistics<M>(q, first, count, k, live, part);
}

// Many tiles, few channels: the filters first, then a task for each block of tiles.
template <int M>
void multiply_local_tiles(const Problem& q, const Plan<M>& plan, float* u) {
  const Index C = plan.channels, runs = TileRuns::runs_of(C);
  const Index panels = ceil_div(q.outputs, kPanelWidth),
              panel_size = plan.kElements * C * kPanelWidth;
  const auto live = [&](Index panel) {
    return min_of(kPanelWidth, q.outputs - panel * kPanelWidth);
  };
  const auto step = [&](Index panel) { return C * round_up(live(panel), kLanes); };
  parallel_for(panels * runs, plan.work_floats(), [&](Index item) {
    const Index panel = item / runs, c = item % runs * kRun;
    transform_filters<M>(q.filters, panel * kPanelWidth, live(panel), c, min_of(kRun, C - c),
                         u + panel * panel_size + c * round_up(live(panel), kLanes), step(panel));
  });
  const TileGrid grid = q.grid(M);
  parallel_for(ceil_div(plan.tiles, plan.block), plan.tiles * plan.kElements * C * q.outputs,
               [&](Index item) {
                 alignas(64) float scratch[Plan<M>::kScratch];
                 const TileRuns v{scratch, plan.block, runs};
                 float* const m = scratch + TileRuns::size(plan.kElements, C, plan.block);
                 const Index m_step = plan.m_step(plan.block);
                 const Index first = item * plan.block;
                 const Index count = min_of(plan.block, plan.tiles - first);
                 for (Index run = 0; run < runs; ++run)
                   transform_tiles<Winograd<M>::kTile, Winograd<M>::kTile, Winograd<M>::input>(
                       q.source, grid, first, count, run, v, 0);
                 for (Index panel = 0; panel < panels; ++panel) {
                   multiply_tiles<M>(v, 0, 0, count, C, u + panel * panel_size, step(panel),
                                     static_cast<int>(vectors_of(live(panel))), false, m, m_step);
                   write<M>(q, m, m_step, first, count, panel * kPanelWidth, live(panel), item);
                 }
               });
}

// Few tiles, many channels: the tiles first, then a task for each panel of outputs and group of
// tiles.
template <int M>
void multiply_shared_tiles(const Problem& q, const Plan<M>& plan, float* work) {
  const Index C = plan.channels, runs = TileRuns::runs_of(C);
  const Index panels = ceil_div(q.outputs, kPanelWidth);
  const TileGrid grid = q.grid(M);
  const TileRuns v{work, plan.chunk, runs};
  for (Index begin = 0; begin < plan.tiles; begin += plan.chunk) {
    const Index tiles = min_of(plan.chunk, plan.tiles - begin);
    const Index steps = ceil_div(tiles, kTileStep), groups = plan.groups(tiles);
    const Index parts_before = begin / plan.chunk * plan.groups(plan.chunk);
    parallel_for(runs * steps, tiles * plan.kElements * C, [&](Index item) {
      const Index run = item / steps, t = item % steps * kTileStep;
      transform_tiles<Winograd<M>::kTile, Winograd<M>::kTile, Winograd<M>::input>(
          q.source, grid, begin + t, min_of(kTileStep, tiles - t), run, v, t);
    });
    parallel_for(groups * panels, tiles * plan.kElements * C * q.outputs, [&](Index item) {
      alignas(64) float scratch[Plan<M>::kScratch];
      const Index t = item / panels * plan.block, count = min_of(plan.block, tiles - t);
      const Index k = item % panels * kPanelWidth, live = min_of(kPanelWidth, q.outputs - k);
      const int vectors = static_cast<int>(vectors_of(live));
      float* const u = scratch;
      float* const m = scratch + plan.kPanelFloats;
      const Index u_step = plan.kPanelStep, m_step = plan.m_step(plan.block);
      for (Index run = 0; run < runs; ++run) {
        const Index c = run * kRun, depth = min_of(kRun, C - c);
        transform_filters<M>(q.filters, k, live, c, depth, u, u_step);
        multiply_tiles<M>(v, run, t, count, depth, u, u_step, vectors, run > 0, m, m_step);
      }
      write<M>(q, m, m_step, begin + t, count, k, live, parts_before + item / panels);
    });
  }
}

template <int M>
void solve(const Problem& q, void* work) {
  const Plan<M> plan(q);
  if (plan.tiles == 0) return;
  if (plan.tiles_local)
    multiply_local_tiles<M>(q, plan, static_cast<float*>(work));
  else
    multiply_shared_tiles<M>(q, plan, static_cast<float*>(work));
}

std::size_t bytes(Index floats) { return static_cast<std::size_t>(floats) * sizeof(float); }

}  // namespace

template <int M>
std::size_t winograd_forward_workspace(const Conv2dShape& p) {
  return bytes(Plan<M>(forward_problem(p, M)).work_floats());
}

template <int M>
Index winograd_statistics_parts(const Conv2dShape& p) {
  return Plan<M>(forward_problem(p, M)).parts();
}

template <int M>
void winograd_forward(const Conv2dShape& p, const float* x, const float* w,
                      const Epilogue& epilogue, float* y, void* work) {
  Problem q = forward_problem(p, M);
  q.source.data = x;
  q.filters.w = w;
  q.y = y;
  q.then = epilogue;
  solve<M>(q, work);
}

template <int M>
void winograd_pool_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                           float* y, std::uint8_t* winners, void* work) {
  Problem q = forward_problem(p, M);
  q.source.data = x;
  q.filters.w = w;
  q.y = y;
  q.then.bias = bias;
  q.winners = winners;
  solve<M>(q, work);
}

template <int M>
std::size_t winograd_backward_data_workspace(const Conv2dShape& p) {
  return bytes(Plan<M>(backward_problem(p, M)).work_floats());
}

template <int M>
void winograd_backward_data(const Conv2dShape& p, const float* dy, const std::uint8_t* winners,
                            const float* w, float* dx, void* work) {
  Problem q = backward_problem(p, M);
  q.source.data = dy;
  q.source.winners = winners;
  q.filters.w = w;
  q.y = dx;
  solve<M>(q, work);
}

#define ETUDE_WINOGRAD(M)                                                                        \
  template std::size_t winograd_forward_workspace<M>(const Conv2dShape&);                        \
  template Index winograd_statistics_parts<M>(const Conv2dShape&);                               \
  template void winograd_forward<M>(const Conv2dShape&, const float*, const float*,              \
                                    const Epilogue&, float*, void*);                             \
  template void winograd_pool_forward<M>(const Conv2dShape&, const float*, const float*,         \
                                         const float*, float*, std::uint8_t*, void*);            \
  template std::size_t winograd_backward_data_workspace<M>(const Conv2dShape&);                  \
  template void winograd_backward_data<M>(const Conv2dShape&, const float*, const std::uint8_t*, \
                                          const float*, float*, void*);
ETUDE_WINOGRAD(2)
ETUDE_WINOGRAD(4)

}  // namespace etude::ETUDE_BACKEND
