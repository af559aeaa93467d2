// Convolution of few channels, filter gradient:
//
//   dw[k][r][s][c] = sum over i of G[i][s] (sum over rows p and tiles of d_i[k][p] v_i[c][p + r])
//   dbias[k]       = sum of dy
//
// with the input transform v and the gradient transform d = A dy (planar.h, planar_transform.h).
// A task is a slice of the strips times a block of outputs, all of them while C K <= 256. It
// transforms a strip of x and of dy into planes and adds their products to 6 x C x K x 3 vectors of
// sums, in register tiles of up to kTileOutputs outputs x the three row taps, each summing a strip
// from zero: the total is a tree of short sums. At its end the lanes are summed and G applied. Then
// the slices are added in order.
//
// Scratch on the stack: 262 KB of planes and up to 295 KB of sums (AVX-512; half of it with AVX2);
// `work` = slices x (dw + dbias). Multiply-adds: 4.5 C K a pixel, where the definition has 9.
// Memory: x (two rows more a strip) and dy once. Deterministic: fixed slices, fixed order.
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/planar.h"
#include "kernels/cpu/planar_transform.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr Index kTaps = 3;
constexpr int kTileOutputs = kLanes == 16 ? 8 : 3;  // times three accumulators
constexpr Index kPlaneVectors = 4096;
constexpr Index kMostPairs = 256;  // of a channel and an output: bounds the sums

// sums[k kTaps + r] += sum over rows of d[k rows + row] v[row + r]
template <int Outputs>
void planar_outer(Index rows, const float* v, const float* d, float* sums) {
  Vec acc[Outputs][kTaps];
  for (int k = 0; k < Outputs; ++k)
    for (int r = 0; r < kTaps; ++r) acc[k][r] = Vec{};
  for (Index row = 0; row < rows; ++row) {
    const Vec line[kTaps] = {load(v + row * kLanes), load(v + (row + 1) * kLanes),
                             load(v + (row + 2) * kLanes)};
#pragma GCC unroll 8
    for (int k = 0; k < Outputs; ++k) {
      const Vec gradient = load(d + (k * rows + row) * kLanes);
#pragma GCC unroll 3
      for (int r = 0; r < kTaps; ++r) acc[k][r] = fma(gradient, line[r], acc[k][r]);
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < Outputs; ++k)
#pragma GCC unroll 3
    for (int r = 0; r < kTaps; ++r, sums += kLanes) store(sums, load(sums) + acc[k][r]);
}

using Outer = void (*)(Index, const float*, const float*, float*);
template <int... I>
Outer outer_of(std::integer_sequence<int, I...>, Index outputs) {
  constexpr Outer tiles[] = {planar_outer<I + 1>...};
  return tiles[outputs - 1];
}

struct Plan {
  PlanarImage x, dy;
  Index blocks, tiles, height, strips, units, slices;

  explicit Plan(const Conv2dShape& p) : x{p.n, p.h, p.w, p.c}, dy{p.n, p.p(), p.q(), p.k} {
    constexpr Index most_slices = 16, least_units = 4;
    blocks = ceil_div(p.k, kMostPairs / p.c);
    tiles = ceil_div(dy.width, kTilePixels);
    const Index planes = p.c + ceil_div(p.k, blocks);
    const Index most_rows = (kPlaneVectors / kTileComponents - (kTaps - 1) * p.c) / planes;
    height = ceil_div(dy.height, ceil_div(dy.height, most_rows));
    strips = ceil_div(dy.height, height);
    units = ceil_div(dy.n * tiles, kLanes) * strips;
    slices = max_of(1, min_of(most_slices, units / least_units));
  }
};

// d[(i K + k) rows + row] = component i of the gradient transform; adds the pixels to dbias[k].
void transform_gradient(const float* dy, const PlanarImage& image, const LaneColumn* columns,
                        Index first, Index rows, float* d, float* dbias) {
  const Index channels = image.channels, plane = channels * rows * kLanes;
  alignas(64) float pixels[kTilePixels][kPlanarChannels * kLanes];
  for (Index r = 0; r < rows; ++r, d += kLanes) {
    for (int j = 0; j < kTilePixels; ++j)
      load_pixels(dy + (first + r) * image.row(), columns[j], channels, pixels[j]);
    for (Index k = 0; k < channels; ++k) {
      Vec gradient[kTilePixels], component[kTileComponents];
#pragma GCC unroll 4
      for (int j = 0; j < kTilePixels; ++j) gradient[j] = load(pixels[j] + k * kLanes);
      gradient_transform(gradient, component);
#pragma GCC unroll 6
      for (int i = 0; i < kTileComponents; ++i)
        store(d + i * plane + k * rows * kLanes, component[i]);
      float* const bias = dbias + k * kLanes;
      store(bias, load(bias) + ((gradient[0] + gradient[1]) + (gradient[2] + gradient[3])));
    }
  }
}

// A strip and the rows that are read for it: x's, then dy's.
struct Strip {
  Index first_row, rows, x_first;
  LaneColumn x[kTileComponents], dy[kTilePixels];

  void set(const Plan& g, const Conv2dShape& p, Index unit) {
    const Index first_lane = unit / g.strips * kLanes;
    first_row = unit % g.strips * g.height;
    rows = min_of(g.height, g.dy.height - first_row);
    x_first = first_row - p.pad_h;
    lane_columns(g.x, g.tiles, first_lane, -p.pad_w, kTileComponents, x);
    lane_columns(g.dy, g.tiles, first_lane, 0, kTilePixels, dy);
  }
  Index lines() const { return rows + kTaps - 1; }
  // The tiles to read, numbered row by row.
  Index count() const { return (lines() + rows) * kLanes; }
  // Inlined by force: GCC takes a call that only prefetches for one without effect.
  ETUDE_INLINE void prefetch(const Plan& g, const float* x_image, const float* dy_image,
                             Index first, Index last) const {
    for (Index i = first; i < last; ++i) {
      const Index row = i / kLanes, lane = i % kLanes, h = x_first + row;
      if (row >= lines())
        prefetch_tiles(dy_image + (first_row + row - lines()) * g.dy.row(), dy[0], lane, lane + 1,
                       g.dy.channels);
      else if (h >= 0 && h < g.x.height)
        prefetch_tiles(x_image + h * g.x.row(), x[0], lane, lane + 1, g.x.channels);
    }
  }
};

// Adds a strip to sums[i][c][k][r] and dbias[k], vectors over the lanes, while it fetches the next.
void add_strip(const Plan& g, const Strip& strip, const Strip* next, const float* x,
               const float* dy, float* sums, float* dbias) {
  alignas(64) float planes[kPlaneVectors * kLanes];
  const Index C = g.x.channels, K = g.dy.channels, rows = strip.rows, lines = strip.lines();
  float* const v = planes;
  float* const d = planes + kTileComponents * C * lines * kLanes;
  alignas(64) float bias[kPlanarChannels * kLanes] = {};
  transform_input(x, g.x, strip.x, strip.x_first, lines, lines, v);
  transform_gradient(dy, g.dy, strip.dy, strip.first_row, rows, d, bias);
  for (Index k = 0; k < K; ++k)
    store(dbias + k * kLanes, load(dbias + k * kLanes) + load(bias + k * kLanes));

  const Index tiles = ceil_div(K, kTileOutputs), calls = kTileComponents * tiles * C;
  Index call = 0;
  for (Index i = 0; i < kTileComponents; ++i) {
    for (Index t = 0; t < tiles; ++t) {
      const Index k = K * t / tiles, outputs = K * (t + 1) / tiles - k;
      const Outer outer = outer_of(std::make_integer_sequence<int, kTileOutputs>{}, outputs);
      for (Index c = 0; c < C; ++c, ++call) {
        if (next)
          next->prefetch(g, x, dy, next->count() * call / calls,
                         next->count() * (call + 1) / calls);
        outer(rows, v + (i * C + c) * lines * kLanes, d + (i * K + k) * rows * kLanes,
              sums + ((i * C + c) * K + k) * kTaps * kLanes);
      }
    }
  }
}

// sums[j] = sum of the lanes of vectors[j], in place.
void sum_lanes(float* vectors, Index count) {
  for (Index j = 0; j < count; j += kLanes) {
    Vec square[kLanes];
    for (Index l = 0; l < kLanes; ++l)
      square[l] = j + l < count ? load(vectors + (j + l) * kLanes) : Vec{};
    transpose(square);
    for (int half = kLanes / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) square[l] += square[l + half];
    store_n(vectors + j, square[0], min_of(kLanes, count - j));
  }
}

// Strips [first, last) and the outputs of g.dy: dw[k][r][s][c] and dbias[k].
void add_slice(const Plan& g, const Conv2dShape& p, const float* x, const float* dy, Index first,
               Index last, float* dw, float* dbias) {
  alignas(64) float sums[kTileComponents * kTaps * kMostPairs * kLanes];
  alignas(64) float bias[kPlanarChannels * kLanes] = {};
  const Index products = p.c * g.dy.channels * kTaps;
  for (Index j = 0; j < kTileComponents * products; ++j) store(sums + j * kLanes, Vec{});
  Strip strips[2];
  if (first < last) strips[0].set(g, p, first);
  for (Index unit = first; unit < last; ++unit) {
    const Strip& strip = strips[(unit - first) % 2];
    Strip& next = strips[(unit - first + 1) % 2];
    if (unit + 1 < last) next.set(g, p, unit + 1);
    add_strip(g, strip, unit + 1 < last ? &next : nullptr, x, dy, sums, bias);
  }
  sum_lanes(sums, kTileComponents * products);
  sum_lanes(bias, g.dy.channels);
  for (Index k = 0; k < g.dy.channels; ++k) {
    dbias[k] = bias[k];
    for (Index r = 0; r < kTaps; ++r)
      for (int s = 0; s < kTaps; ++s)
        for (Index c = 0; c < p.c; ++c, ++dw) {
          float total = 0;
          for (int i = 0; i < kTileComponents; ++i)
            total += static_cast<float>(filter_matrix.at[i][s]) *
                     sums[i * products + (c * g.dy.channels + k) * kTaps + r];
          *dw = total;
        }
  }
}

}  // namespace

std::size_t planar_backward_filter_workspace(const Conv2dShape& p) {
  return static_cast<std::size_t>(Plan(p).slices * (p.w_size() + p.k)) * sizeof(float);
}

void planar_backward_filter(const Conv2dShape& p, const float* x, const float* dy, float* dw,
                            float* dbias, void* work) {
  const Plan g(p);
  float* const dw_parts = static_cast<float*>(work);
  float* const dbias_parts = dw_parts + g.slices * p.w_size();
  parallel_for(g.slices * g.blocks, p.macs(), [&](Index task) {
    const Index slice = task / g.blocks, block = task % g.blocks;
    const Index k = p.k * block / g.blocks;
    Plan part = g;
    part.dy.channels = p.k * (block + 1) / g.blocks - k;
    add_slice(part, p, x, dy + k, g.units * slice / g.slices, g.units * (slice + 1) / g.slices,
              dw_parts + slice * p.w_size() + k * p.r * p.s * p.c, dbias_parts + slice * p.k + k);
  });
  const auto add_parts = [&](const float* parts, Index size, float* sum) {
    for_each_vector(size, [&](Index i, auto access) {
      Vec total{};
      for (Index slice = 0; slice < g.slices; ++slice)
        total += access.load(parts + slice * size + i);
      access.store(sum + i, total);
    });
  };
  add_parts(dw_parts, p.w_size(), dw);
  if (dbias) add_parts(dbias_parts, p.k, dbias);
}

}  // namespace etude::ETUDE_BACKEND
