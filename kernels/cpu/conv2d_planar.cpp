// Convolution of few channels, forward and data gradient:
//
//   y[n][p][4 t + j][k] = sum over i of A[i][j] m_i,   m_i = sum over r, c of u_i[k][r][c] v_i[c][p
//   + r]
//
// with the input transform v (planar.h) and the filter transform u, which is packed once a call, in
// `work`, as [k tile][component i][c][r][k]. The data gradient is the same with the filter turned
// about, the roles of C and K exchanged and padding 2 - pad.
//
// A task is a strip, usually as high as the image. It walks down in steps of kStepRows rows, with
// the planes of the rows that the step's taps meet in the first-level cache: transforms kStepRows
// new rows (the last two of the step before are kept); multiplies, component by component, register
// tiles of kStepRows rows x up to five outputs; transforms the products to pixels, adds the bias,
// takes the ReLU and writes NHWC. Meanwhile the rows of the next step are on their way.
//
// Scratch on the stack: at most 74 KB of planes and 49 KB of products (AVX-512).
// Multiply-adds: 4.5 C K a pixel, where the definition has 9. Memory: x once, y once.
// Deterministic: every output is one sum in the order c, r, whoever computes it.
#include <utility>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/planar.h"
#include "kernels/cpu/planar_transform.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr Index kTaps = 3;
constexpr int kStepRows = kLanes == 16 ? 4 : 2;
constexpr int kTileOutputs = 5;  // kStepRows kTileOutputs accumulators beside the rows of a plane
constexpr Index kLines = kStepRows + kTaps - 1;  // rows of a step's planes

// m[(k kTileComponents) kStepRows + row] = sum over c, r of u[c][r][k] v[c kLines + row + r]
template <int Rows, int Outputs>
void planar_tile(Index channels, const float* v, const float* u, float* m) {
  Vec acc[Rows][Outputs];
  for (int i = 0; i < Rows; ++i)
    for (int k = 0; k < Outputs; ++k) acc[i][k] = Vec{};
  for (Index c = 0; c < channels; ++c, v += kLines * kLanes, u += kTaps * Outputs) {
    Vec line[Rows + kTaps - 1];
#pragma GCC unroll 8
    for (int i = 0; i < Rows + kTaps - 1; ++i) line[i] = load(v + i * kLanes);
#pragma GCC unroll 3
    for (int r = 0; r < kTaps; ++r) {
#pragma GCC unroll 8
      for (int k = 0; k < Outputs; ++k) {
        const Vec weight = splat(u[r * Outputs + k]);
#pragma GCC unroll 8
        for (int i = 0; i < Rows; ++i) acc[i][k] = fma(weight, line[i + r], acc[i][k]);
      }
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < Outputs; ++k)
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i)
      store(m + (k * kTileComponents * kStepRows + i) * kLanes, acc[i][k]);
}

using Tile = void (*)(Index, const float*, const float*, float*);
template <int... I>
Tile tile_of(std::integer_sequence<int, I...>, Index rows, Index outputs) {
  static constexpr Tile tiles[kTileOutputs][kStepRows] = {{planar_tile<I + 1, 1>...},
                                                          {planar_tile<I + 1, 2>...},
                                                          {planar_tile<I + 1, 3>...},
                                                          {planar_tile<I + 1, 4>...},
                                                          {planar_tile<I + 1, 5>...}};
  return tiles[outputs - 1][rows - 1];
}
Tile tile_of(Index rows, Index outputs) {
  return tile_of(std::make_integer_sequence<int, kStepRows>{}, rows, outputs);
}

// Outputs k are worked on in tiles of nearly equal width: tile i is [first(i), first(i + 1)).
struct OutputTiles {
  Index outputs, count;
  explicit OutputTiles(Index outputs) : outputs(outputs), count(ceil_div(outputs, kTileOutputs)) {}
  Index first(Index i) const { return outputs * i / count; }
};

// The filter of a pass: element (output, row tap, column tap, channel).
struct Filter {
  const float* w;
  Index output_stride, row_stride, column_stride, channel_stride;
};

void pack_filter(const Filter& f, Index channels, const OutputTiles& tiles, float* u) {
  for (Index t = 0; t < tiles.count; ++t) {
    const Index first = tiles.first(t), last = tiles.first(t + 1);
    for (int i = 0; i < kTileComponents; ++i)
      for (Index c = 0; c < channels; ++c)
        for (Index r = 0; r < kTaps; ++r)
          for (Index k = first; k < last; ++k) {
            const float* const w =
                f.w + k * f.output_stride + r * f.row_stride + c * f.channel_stride;
            const double(&g)[kTaps] = filter_matrix.at[i];
            const double a = w[0], b = w[f.column_stride], d = w[2 * f.column_stride];
            *u++ = static_cast<float>(g[0] * a + g[1] * b + g[2] * d);
          }
  }
}

struct Output {
  float* y;
  const float* bias;
  bool relu;
  std::uint8_t* winners = nullptr;  // max-pool 2x2, after the ReLU
};

// One pass: y [n, p, q, k] from x, where output pixel (i, j) meets source pixels (i + r - pad_h,
// j + s - pad_w). With winners y is pooled: `to` is [n, p / 2, q / 2, k].
struct PlanarPass {
  const float* x;
  PlanarImage from, to;
  Index height, width;  // of the output before pooling, as far as it is needed
  Index pad_h, pad_w;
  const std::uint8_t* from_winners = nullptr;  // `x` is the gradient of pooled pixels
  Index tiles() const { return ceil_div(width, kTilePixels); }
  Index lanes() const { return to.n * tiles(); }
  // Few strips of tiles: cut them, at a cost of two rows each, so that there is work for all
  // threads.
  Index strip_height() const {
    constexpr Index enough_tasks = 64, least_height = 16;
    const Index cuts = min_of(ceil_div(enough_tasks, max_of(1, ceil_div(lanes(), kLanes))),
                              max_of(1, height / least_height));
    return round_up(ceil_div(height, cuts), kStepRows);
  }
};

// The pixels of output k in a row, before bias.
ETUDE_INLINE void output_pixels(const float* m, Vec (&y)[kTilePixels]) {
  Vec products[kTileComponents];
#pragma GCC unroll 6
  for (int i = 0; i < kTileComponents; ++i) products[i] = load(m + i * kStepRows * kLanes);
  output_transform(products, y);
}

// A row of the output from its products m[k][component][kStepRows].
void finish_row(const float* m, const LaneColumn* columns, Index channels, const Output& out,
                float* row) {
  alignas(64) float pixels[kTilePixels][kPlanarChannels * kLanes];
  for (Index k = 0; k < channels; ++k, m += kTileComponents * kStepRows * kLanes) {
    Vec y[kTilePixels];
    output_pixels(m, y);
    const Vec bias = splat(out.bias ? out.bias[k] : 0);
#pragma GCC unroll 4
    for (int j = 0; j < kTilePixels; ++j) {
      y[j] += bias;
      store(pixels[j] + k * kLanes, out.relu ? relu(y[j]) : y[j]);
    }
  }
  for (int j = 0; j < kTilePixels; ++j) store_pixels(pixels[j], columns[j], channels, row);
}

// A row of pooled outputs from the products of two rows.
void finish_pooled_row(const float* m, const LaneColumn* columns, Index channels, const Output& out,
                       Index row_offset) {
  alignas(64) float pixels[2][kPlanarChannels * kLanes];
  alignas(64) std::int32_t winners[2][kPlanarChannels * kLanes];
  for (Index k = 0; k < channels; ++k, m += kTileComponents * kStepRows * kLanes) {
    Vec y[2][kTilePixels];
    output_pixels(m, y[0]);
    output_pixels(m + kLanes, y[1]);
    const Vec bias = splat(out.bias ? out.bias[k] : 0);
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      Vec best = y[0][2 * j] + bias;
      IntVec winner{};
#pragma GCC unroll 3
      for (int tap = 1; tap < 4; ++tap) {
        const Vec v = y[tap / 2][2 * j + tap % 2] + bias;
        const IntVec wins = (v > best) | (v != v);
        best = wins ? v : best;
        winner = wins ? splat(tap) : winner;
      }
      const IntVec dead = best <= Vec{};
      store(pixels[j] + k * kLanes, dead ? Vec{} : best);
      *reinterpret_cast<IntVec*>(winners[j] + k * kLanes) = dead ? splat(kNoWinner) : winner;
    }
  }
  for (int j = 0; j < 2; ++j) {
    store_pixels(pixels[j], columns[j], channels, out.y + row_offset);
    store_codes(winners[j], columns[j], channels, out.winners + row_offset);
  }
}

// The last rows of a step's planes are the first of the next.
void keep_lines(Index planes, float* v) {
  for (Index i = 0; i < planes; ++i, v += kLines * kLanes)
    for (Index r = 0; r < kTaps - 1; ++r) store(v + r * kLanes, load(v + (r + kStepRows) * kLanes));
}

void planar_strip(const PlanarPass& g, const float* u, Index first_lane, Index first_row,
                  Index rows, const Output& out) {
  alignas(64) float v[kPlanarChannels * kTileComponents * kLines * kLanes];
  alignas(64) float m[kPlanarChannels * kTileComponents * kStepRows * kLanes];
  PlanarReader x(g.x, g.from_winners, g.from, g.tiles(), -g.pad_w, kTileComponents);
  x.place(first_lane);
  const Index pool = out.winners ? 2 : 1, channels = g.from.channels;
  const int pixels = static_cast<int>(kTilePixels / pool);
  LaneColumn to[kTilePixels];
  lane_columns(g.to, g.tiles(), first_lane, pixels, 0, pixels, to);
  const OutputTiles tiles(g.to.channels);
  transform_input(x, first_row - g.pad_h, kTaps - 1, kLines, v);
  for (Index row = first_row; row < first_row + rows; row += kStepRows) {
    const Index live = min_of(kStepRows, first_row + rows - row);
    const Index new_row = row - g.pad_h + kTaps - 1;
    transform_input(x, new_row, live, kLines, v + (kTaps - 1) * kLanes);
    const Index calls = tiles.count * kTileComponents;
    for (Index call = 0; call < calls; ++call) {
      const Index t = call / kTileComponents, i = call % kTileComponents;
      const Index first = kLanes * call / calls, last = kLanes * (call + 1) / calls;
      for (Index h = new_row + live; h < new_row + 2 * live; ++h) x.prefetch(h, first, last);
      for (Index r = row; r < row + live; r += pool)
        prefetch_tiles(out.y + r / pool * g.to.row(), to[0], first, last, pixels * g.to.pixel);
      const Index k = tiles.first(t), outputs = tiles.first(t + 1) - k;
      tile_of(live, outputs)(channels, v + i * channels * kLines * kLanes,
                             u + kTaps * channels * (kTileComponents * k + i * outputs),
                             m + (k * kTileComponents + i) * kStepRows * kLanes);
    }
    for (Index i = 0; i < live; i += pool) {
      const Index offset = (row + i) / pool * g.to.row();
      if (out.winners)
        finish_pooled_row(m + i * kLanes, to, g.to.channels, out, offset);
      else
        finish_row(m + i * kLanes, to, g.to.channels, out, out.y + offset);
    }
    keep_lines(kTileComponents * channels, v);
  }
}

void planar_pass(const PlanarPass& g, const Filter& filter, const Output& out, float* u) {
  pack_filter(filter, g.from.channels, OutputTiles(g.to.channels), u);
  const Index height = g.strip_height(), strips = ceil_div(g.height, height);
  const Index pixels = g.to.n * g.height * g.width;
  parallel_for(ceil_div(g.lanes(), kLanes) * strips,
               pixels * kTaps * kTaps * g.from.channels * g.to.channels, [&](Index task) {
                 const Index row = task % strips * height;
                 planar_strip(g, u, task / strips * kLanes, row, min_of(height, g.height - row),
                              out);
               });
}

std::size_t filter_bytes(const Conv2dShape& p) {
  return static_cast<std::size_t>(kTileComponents * kTaps * p.c * p.k) * sizeof(float);
}

void forward(const Conv2dShape& p, const float* x, const float* w, const Output& out, void* work) {
  const Index pool = out.winners ? 2 : 1, P = p.p() / pool, Q = p.q() / pool;
  const PlanarPass g{x,      {p.n, p.h, p.w, p.c}, {p.n, P, Q, p.k}, pool * P, pool * Q, p.pad_h,
                     p.pad_w};
  const Filter filter{w, p.r * p.s * p.c, p.s * p.c, p.c, 1};
  planar_pass(g, filter, out, static_cast<float*>(work));
}

}  // namespace

std::size_t planar_forward_workspace(const Conv2dShape& p) { return filter_bytes(p); }

void planar_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                    bool relu, float* y, void* work) {
  forward(p, x, w, {y, bias, relu}, work);
}

void planar_pool_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                         float* y, std::uint8_t* winners, void* work) {
  forward(p, x, w, {y, bias, true, winners}, work);
}

std::size_t planar_backward_data_workspace(const Conv2dShape& p) { return filter_bytes(p); }

void planar_backward_data(const Conv2dShape& p, const float* dy, const std::uint8_t* winners,
                          const float* w, float* dx, void* work) {
  const Index pool = winners ? 2 : 1;
  const PlanarPass g{dy,
                     {p.n, p.p() / pool, p.q() / pool, p.k},
                     {p.n, p.h, p.w, p.c},
                     p.h,
                     p.w,
                     kTaps - 1 - p.pad_h,
                     kTaps - 1 - p.pad_w,
                     winners};
  const Filter turned{w + (p.r * p.s - 1) * p.c, 1, -p.s * p.c, -p.c, p.r * p.s * p.c};
  planar_pass(g, turned, {dx, nullptr, false}, static_cast<float*>(work));
}

}  // namespace etude::ETUDE_BACKEND
