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
// Scratch on the stack: 197 KB of planes and up to 295 KB of sums (AVX-512; half of it with AVX2);
// `work` = slices x (dw + dbias). Multiply-adds: 4.5 C K a pixel, where the definition has 9.
// Memory: x (two rows more a strip) and dy once. Deterministic: fixed slices, fixed order.
#include <type_traits>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv_reader.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/planar.h"
#include "kernels/cpu/planar_transform.h"
#include "kernels/cpu/slices.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kTileOutputs = kLanes == 16 ? 8 : 3;  // times three accumulators
constexpr Index kPlaneVectors = 3072;
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
  Index image_height;  // of dy, before pooling and as far as it has winners
  Index blocks, tiles, height, strips, units, slices;

  Plan(const Conv2dShape& p, bool pooled) {
    constexpr Index most_slices = 16, least_units = 4;
    const Index pool = pooled ? 2 : 1, width = p.q() / pool * pool;
    image_height = p.p() / pool * pool;
    blocks = ceil_div(p.k, kMostPairs / p.c);
    tiles = ceil_div(width, kTilePixels);
    const Index planes = p.c + ceil_div(p.k, blocks);
    const Index most_rows = (kPlaneVectors / kTileComponents - (kTaps - 1) * p.c) / planes;
    height = ceil_div(image_height, max_of(1, ceil_div(image_height, most_rows)));
    strips = height ? ceil_div(image_height, height) : 0;
    units = ceil_div(p.n * tiles, kLanes) * strips;
    slices = max_of(1, min_of(most_slices, units / least_units));
  }
};

// d[(i K + k) rows + row] = component i of the gradient transform; adds the pixels to dbias[k].
void transform_gradient(PlanarReader& dy, Index first, Index rows, float* d, float* dbias) {
  const Index channels = dy.channels(), plane = channels * rows * kLanes;
  alignas(64) float pixels[kTilePixels][kPlanarChannels * kLanes];
  for (Index r = 0; r < rows; ++r, d += kLanes) {
    dy.read(first + r, pixels);
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
template <class Reader>
struct Strip {
  Reader x;
  PlanarReader dy;
  Index pad_h, first_row = 0, rows = 0;

  void place(const Plan& g, Index unit) {
    x.place(unit / g.strips * kLanes);
    dy.place(unit / g.strips * kLanes);
    first_row = unit % g.strips * g.height;
    rows = min_of(g.height, g.image_height - first_row);
  }
  Index lines() const { return rows + kTaps - 1; }
};

// Adds a strip to sums[i][c][k][r] and dbias[k], vectors over the lanes, while it fetches the next.
template <class Reader>
void add_strip(Strip<Reader>& strip, const Strip<Reader>* next, float* sums, float* dbias) {
  alignas(64) float planes[kPlaneVectors * kLanes];
  const Index C = strip.x.channels(), K = strip.dy.channels();
  const Index rows = strip.rows, lines = strip.lines();
  float* const v = planes;
  float* const d = planes + kTileComponents * C * lines * kLanes;
  alignas(64) float bias[kPlanarChannels * kLanes] = {};
  // The next strip's rows are fetched one by one, those of dy here and those of x below.
  transform_input(strip.x, strip.first_row - strip.pad_h, lines, lines, 0, v,
                  next ? &next->dy : nullptr, next ? next->first_row : 0);
  transform_gradient(strip.dy, strip.first_row, rows, d, bias);
  for (Index k = 0; k < K; ++k)
    store(dbias + k * kLanes, load(dbias + k * kLanes) + load(bias + k * kLanes));

  const Index tiles = ceil_div(K, kTileOutputs), calls = kTileComponents * tiles * C;
  const Index count = next ? next->lines() * kLanes : 0;
  Index call = 0;
  for (Index i = 0; i < kTileComponents; ++i) {
    for (Index t = 0; t < tiles; ++t) {
      const Index k = K * t / tiles, outputs = K * (t + 1) / tiles - k;
      const Outer outer = outer_of(std::make_integer_sequence<int, kTileOutputs>{}, outputs);
      for (Index c = 0; c < C; ++c, ++call) {
        for (Index j = count * call / calls; j < count * (call + 1) / calls; ++j)
          next->x.prefetch(next->first_row - next->pad_h + j / kLanes, j % kLanes, j % kLanes + 1);
        outer(rows, v + (i * C + c) * lines * kLanes, d + (i * K + k) * rows * kLanes,
              sums + ((i * C + c) * K + k) * kTaps * kLanes);
      }
    }
  }
}

// Strips [first, last): dw[k][r][s][c] and dbias[k] of the outputs of dy.
template <class Reader>
void add_slice(const Plan& g, const Strip<Reader>& unplaced, Index first, Index last, float* dw,
               float* dbias) {
  alignas(64) float sums[kTileComponents * kTaps * kMostPairs * kLanes];
  alignas(64) float bias[kPlanarChannels * kLanes] = {};
  const Index C = unplaced.x.channels(), K = unplaced.dy.channels(), products = C * K * kTaps;
  for (Index j = 0; j < kTileComponents * products; ++j) store(sums + j * kLanes, Vec{});
  Strip<Reader> strips[2] = {unplaced, unplaced};
  if (first < last) strips[0].place(g, first);
  for (Index unit = first; unit < last; ++unit) {
    Strip<Reader>& strip = strips[(unit - first) % 2];
    Strip<Reader>& next = strips[(unit - first + 1) % 2];
    if (unit + 1 < last) next.place(g, unit + 1);
    add_strip(strip, unit + 1 < last ? &next : nullptr, sums, bias);
  }
  sum_lanes(sums, kTileComponents * products);
  sum_lanes(bias, K);
  for (Index k = 0; k < K; ++k) {
    dbias[k] = bias[k];
    for (Index r = 0; r < kTaps; ++r)
      for (int s = 0; s < kTaps; ++s)
        for (Index c = 0; c < C; ++c, ++dw) {
          float total = 0;
          for (int i = 0; i < kTileComponents; ++i)
            total += static_cast<float>(filter_matrix.at[i][s]) *
                     sums[i * products + (c * K + k) * kTaps + r];
          *dw = total;
        }
  }
}

// dw and dbias of the pixels that x reads; the reader is made by make_reader(tiles).
template <class MakeReader>
void backward_filter(const Conv2dShape& p, MakeReader&& make_reader, const float* dy,
                     const std::uint8_t* winners, float* dw, float* dbias, void* work) {
  const Plan g(p, winners);
  const Index pool = winners ? 2 : 1;
  const auto reader = make_reader(g.tiles);
  using Reader = std::remove_const_t<decltype(reader)>;
  const PlanarImage dy_image(p.n, p.p() / pool, p.q() / pool, p.k);
  float* const dw_parts = static_cast<float*>(work);
  float* const dbias_parts = dw_parts + g.slices * p.w_size();
  parallel_for(g.slices * g.blocks, p.macs(), [&](Index task) {
    const Index slice = task / g.blocks, block = task % g.blocks;
    const Index k = p.k * block / g.blocks;
    PlanarImage outputs = dy_image;
    outputs.channels = p.k * (block + 1) / g.blocks - k;
    const Strip<Reader> strip{
        reader,
        PlanarReader(dy + k, winners ? winners + k : nullptr, outputs, g.tiles, 0, kTilePixels),
        p.pad_h};
    add_slice(g, strip, g.units * slice / g.slices, g.units * (slice + 1) / g.slices,
              dw_parts + slice * p.w_size() + k * p.r * p.s * p.c, dbias_parts + slice * p.k + k);
  });
  add_slices(dw_parts, g.slices, p.w_size(), dw);
  if (dbias) add_slices(dbias_parts, g.slices, p.k, dbias);
}

}  // namespace

std::size_t planar_backward_filter_workspace(const Conv2dShape& p) {
  const Index slices = max_of(Plan(p, false).slices, Plan(p, true).slices);
  return static_cast<std::size_t>(slices * (p.w_size() + p.k)) * sizeof(float);
}

void planar_backward_filter(const Conv2dShape& p, const float* x, const float* dy,
                            const std::uint8_t* winners, float* dw, float* dbias, void* work) {
  const auto reader = [&](Index tiles) {
    return PlanarReader(x, nullptr, {p.n, p.h, p.w, p.c}, tiles, -p.pad_w, kTileComponents);
  };
  backward_filter(p, reader, dy, winners, dw, dbias, work);
}

void planar_block_backward_filter(const Conv2dShape& first, const Conv2dShape& second,
                                  const float* x, const float* w1, const float* bias1,
                                  const float* dy, const std::uint8_t* winners, float* dw,
                                  float* dbias, void* work) {
  const auto reader = [&](Index tiles) {
    return ConvReader(first, x, w1, bias1, tiles, -second.pad_w);
  };
  backward_filter(second, reader, dy, winners, dw, dbias, work);
}

}  // namespace etude::ETUDE_BACKEND
