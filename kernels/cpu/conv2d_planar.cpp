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
};

// One pass: y [n, p, q, k] from x, where output pixel (i, j) meets source pixels (i + r - pad_h,
// j + s - pad_w).
struct PlanarPass {
  PlanarImage from, to;
  Index pad_h, pad_w;
  Index tiles() const { return ceil_div(to.width, kTilePixels); }
  Index lanes() const { return to.n * tiles(); }
  // Few strips of tiles: cut them, at a cost of two rows each, so that there is work for all
  // threads.
  Index strip_height() const {
    constexpr Index enough_tasks = 64, least_height = 16;
    const Index cuts = min_of(ceil_div(enough_tasks, max_of(1, ceil_div(lanes(), kLanes))),
                              max_of(1, to.height / least_height));
    return round_up(ceil_div(to.height, cuts), kStepRows);
  }
};

// Row `row` of the output from its products m[k][component][kStepRows].
void finish_row(const float* m, const LaneColumn* columns, Index channels, const Output& out,
                float* row) {
  alignas(64) float pixels[kTilePixels][kPlanarChannels * kLanes];
  for (Index k = 0; k < channels; ++k, m += kTileComponents * kStepRows * kLanes) {
    Vec products[kTileComponents], y[kTilePixels];
#pragma GCC unroll 6
    for (int i = 0; i < kTileComponents; ++i) products[i] = load(m + i * kStepRows * kLanes);
    output_transform(products, y);
    const Vec bias = splat(out.bias ? out.bias[k] : 0);
#pragma GCC unroll 4
    for (int j = 0; j < kTilePixels; ++j) {
      y[j] += bias;
      store(pixels[j] + k * kLanes, out.relu ? relu(y[j]) : y[j]);
    }
  }
  for (int j = 0; j < kTilePixels; ++j) store_pixels(pixels[j], columns[j], channels, row);
}

// The last rows of a step's planes are the first of the next.
void keep_lines(Index planes, float* v) {
  for (Index i = 0; i < planes; ++i, v += kLines * kLanes)
    for (Index r = 0; r < kTaps - 1; ++r) store(v + r * kLanes, load(v + (r + kStepRows) * kLanes));
}

void planar_strip(const PlanarPass& g, const float* x, const float* u, Index first_lane,
                  Index first_row, Index rows, const Output& out) {
  alignas(64) float v[kPlanarChannels * kTileComponents * kLines * kLanes];
  alignas(64) float m[kPlanarChannels * kTileComponents * kStepRows * kLanes];
  LaneColumn from[kTileComponents], to[kTilePixels];
  lane_columns(g.from, g.tiles(), first_lane, -g.pad_w, kTileComponents, from);
  lane_columns(g.to, g.tiles(), first_lane, 0, kTilePixels, to);
  const Index channels = g.from.channels;
  const OutputTiles tiles(g.to.channels);
  transform_input(x, g.from, from, first_row - g.pad_h, kTaps - 1, kLines, v);
  for (Index row = first_row; row < first_row + rows; row += kStepRows) {
    const Index live = min_of(kStepRows, first_row + rows - row);
    const Index new_row = row - g.pad_h + kTaps - 1;
    transform_input(x, g.from, from, new_row, live, kLines, v + (kTaps - 1) * kLanes);
    const Index calls = tiles.count * kTileComponents;
    for (Index call = 0; call < calls; ++call) {
      const Index t = call / kTileComponents, i = call % kTileComponents;
      const Index first = kLanes * call / calls, last = kLanes * (call + 1) / calls;
      for (Index h = max_of(0, new_row + live); h < min_of(g.from.height, new_row + 2 * live); ++h)
        prefetch_tiles(x + h * g.from.row(), from[0], first, last, channels);
      for (Index r = row; r < row + live; ++r)
        prefetch_tiles(out.y + r * g.to.row(), to[0], first, last, g.to.channels);
      const Index k = tiles.first(t), outputs = tiles.first(t + 1) - k;
      tile_of(live, outputs)(channels, v + i * channels * kLines * kLanes,
                             u + kTaps * channels * (kTileComponents * k + i * outputs),
                             m + (k * kTileComponents + i) * kStepRows * kLanes);
    }
    for (Index i = 0; i < live; ++i)
      finish_row(m + i * kLanes, to, g.to.channels, out, out.y + (row + i) * g.to.row());
    keep_lines(kTileComponents * channels, v);
  }
}

void planar_pass(const PlanarPass& g, const float* x, const Filter& filter, const Output& out,
                 float* u) {
  pack_filter(filter, g.from.channels, OutputTiles(g.to.channels), u);
  const Index height = g.strip_height(), strips = ceil_div(g.to.height, height);
  const Index pixels = g.to.n * g.to.height * g.to.width;
  parallel_for(ceil_div(g.lanes(), kLanes) * strips,
               pixels * kTaps * kTaps * g.from.channels * g.to.channels, [&](Index task) {
                 const Index row = task % strips * height;
                 planar_strip(g, x, u, task / strips * kLanes, row,
                              min_of(height, g.to.height - row), out);
               });
}

std::size_t filter_bytes(const Conv2dShape& p) {
  return static_cast<std::size_t>(kTileComponents * kTaps * p.c * p.k) * sizeof(float);
}

}  // namespace

std::size_t planar_forward_workspace(const Conv2dShape& p) { return filter_bytes(p); }

void planar_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                    bool relu, float* y, void* work) {
  const PlanarPass g{{p.n, p.h, p.w, p.c}, {p.n, p.p(), p.q(), p.k}, p.pad_h, p.pad_w};
  const Filter filter{w, p.r * p.s * p.c, p.s * p.c, p.c, 1};
  planar_pass(g, x, filter, {y, bias, relu}, static_cast<float*>(work));
}

std::size_t planar_backward_data_workspace(const Conv2dShape& p) { return filter_bytes(p); }

void planar_backward_data(const Conv2dShape& p, const float* dy, const float* w, float* dx,
                          void* work) {
  const PlanarPass g{{p.n, p.p(), p.q(), p.k}, {p.n, p.h, p.w, p.c}, 2 - p.pad_h, 2 - p.pad_w};
  const Filter turned{w + (p.r * p.s - 1) * p.c, 1, -p.s * p.c, -p.c, p.r * p.s * p.c};
  planar_pass(g, dy, turned, {dx, nullptr, false}, static_cast<float*>(work));
}

}  // namespace etude::ETUDE_BACKEND
