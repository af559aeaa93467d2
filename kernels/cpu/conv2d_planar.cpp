// Convolution of few channels, forward and data gradient, alone and with pooling (planar_strip.h).
// The data gradient is a forward pass over dy with the filter turned about, the roles of C and K
// exchanged and padding 2 - pad. A task is a strip. Memory: x once, y once.
#include <utility>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv_reader.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/planar_strip.h"

namespace etude::ETUDE_BACKEND {
namespace {

template <int Rows, int Outputs>
void planar_tile(Index channels, const float* v, Index first_line, const float* u, float* m) {
  Index at[Rows + kTaps - 1];
  for (int i = 0; i < Rows + kTaps - 1; ++i) at[i] = (first_line + i) % kStepLines * kLanes;
  Vec acc[Rows][Outputs];
  for (int i = 0; i < Rows; ++i)
    for (int k = 0; k < Outputs; ++k) acc[i][k] = Vec{};
  for (Index c = 0; c < channels; ++c, v += kStepLines * kLanes, u += kTaps * Outputs) {
    Vec line[Rows + kTaps - 1];
#pragma GCC unroll 8
    for (int i = 0; i < Rows + kTaps - 1; ++i) line[i] = load(v + at[i]);
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

using Tile = void (*)(Index, const float*, Index, const float*, float*);
template <int... I>
Tile tile_of(std::integer_sequence<int, I...>, Index rows, Index outputs) {
  static constexpr Tile tiles[kTileOutputs][kStepRows] = {{planar_tile<I + 1, 1>...},
                                                          {planar_tile<I + 1, 2>...},
                                                          {planar_tile<I + 1, 3>...},
                                                          {planar_tile<I + 1, 4>...},
                                                          {planar_tile<I + 1, 5>...}};
  return tiles[outputs - 1][rows - 1];
}

// y [n, p, q, k] from the pixels that x reads.
template <class Reader, class Finish>
void planar_pass(const Reader& x, Index pad_h, const StripGrid& grid, Index outputs,
                 const PlanarFilter& filter, const Finish& finish, float* u) {
  const Index channels = x.channels();
  pack_filter(filter, channels, outputs, u);
  const Index macs = grid.n * grid.height * grid.width * kTaps * kTaps * channels * outputs;
  parallel_for(grid.strips(), macs, [&](Index strip) {
    Reader reader = x;
    Finish writer = finish;
    reader.place(grid.first_lane(strip));
    writer.place(grid.first_lane(strip));
    planar_strip(reader, pad_h, u, outputs, grid.first_row(strip), grid.rows(strip), writer);
  });
}

}  // namespace

PlanarFilter forward_filter(const Conv2dShape& p, const float* w) {
  return {w, p.r * p.s * p.c, p.s * p.c, p.c, 1};
}
PlanarFilter turned_filter(const Conv2dShape& p, const float* w) {
  return {w + (p.r * p.s - 1) * p.c, 1, -p.s * p.c, -p.c, p.r * p.s * p.c};
}

std::size_t packed_filter_bytes(Index channels, Index outputs) {
  return static_cast<std::size_t>(kTileComponents * kTaps * channels * outputs) * sizeof(float);
}

void pack_filter(const PlanarFilter& f, Index channels, Index outputs, float* u) {
  const OutputTiles tiles(outputs);
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

void multiply_planes(Index rows, Index outputs, Index channels, const float* v, Index first_line,
                     const float* u, float* m) {
  tile_of(std::make_integer_sequence<int, kStepRows>{}, rows, outputs)(channels, v, first_line, u,
                                                                       m);
}

void StorePixels::finish(Index row, Index live, const float* m) const {
  alignas(64) float pixels[kTilePixels][kPlanarChannels * kLanes];
  for (Index i = 0; i < live; ++i) {
    for (Index k = 0; k < image_.channels; ++k) {
      Vec y[kTilePixels];
      output_pixels(m + (k * kTileComponents * kStepRows + i) * kLanes, y);
      const Vec bias = splat(bias_ ? bias_[k] : 0);
#pragma GCC unroll 4
      for (int j = 0; j < kTilePixels; ++j) {
        y[j] += bias;
        store(pixels[j] + k * kLanes, relu_ ? relu(y[j]) : y[j]);
      }
    }
    for (int j = 0; j < kTilePixels; ++j)
      store_pixels(pixels[j], columns_[j], image_.channels, y_ + (row + i) * image_.row());
  }
}

void StorePooled::finish(Index row, Index live, const float* m) const {
  alignas(64) float pixels[kWindows][kPlanarChannels * kLanes];
  alignas(64) std::int32_t winners[kWindows][kPlanarChannels * kLanes];
  for (Index i = 0; i < live; i += 2) {
    for (Index k = 0; k < image_.channels; ++k) {
      const float* const products = m + (k * kTileComponents * kStepRows + i) * kLanes;
      Vec y[2][kTilePixels];
      output_pixels(products, y[0]);
      output_pixels(products + kLanes, y[1]);
      const Vec bias = splat(bias_ ? bias_[k] : 0);
#pragma GCC unroll 2
      for (int j = 0; j < kWindows; ++j) {
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
    const Index offset = (row + i) / 2 * image_.row();
    for (int j = 0; j < kWindows; ++j) {
      store_pixels(pixels[j], columns_[j], image_.channels, y_ + offset);
      store_codes(winners[j], columns_[j], image_.channels, winners_ + offset);
    }
  }
}

std::size_t planar_forward_workspace(const Conv2dShape& p) { return packed_filter_bytes(p.c, p.k); }

void planar_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                    bool relu, float* y, void* work) {
  const StripGrid grid{p.n, p.p(), p.q()};
  const PlanarReader reader(x, nullptr, {p.n, p.h, p.w, p.c}, grid.tiles(), -p.pad_w,
                            kTileComponents);
  const StorePixels store(y, {p.n, p.p(), p.q(), p.k}, grid.tiles(), bias, relu);
  planar_pass(reader, p.pad_h, grid, p.k, forward_filter(p, w), store, static_cast<float*>(work));
}

void planar_pool_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                         float* y, std::uint8_t* winners, void* work) {
  const Index P = p.p() / 2, Q = p.q() / 2;
  const StripGrid grid{p.n, 2 * P, 2 * Q};
  const PlanarReader reader(x, nullptr, {p.n, p.h, p.w, p.c}, grid.tiles(), -p.pad_w,
                            kTileComponents);
  const StorePooled store(y, winners, {p.n, P, Q, p.k}, grid.tiles(), bias);
  planar_pass(reader, p.pad_h, grid, p.k, forward_filter(p, w), store, static_cast<float*>(work));
}

void planar_block_forward(const Conv2dShape& first, const Conv2dShape& second, const float* x,
                          const float* w1, const float* bias1, const float* w2, const float* bias2,
                          float* y, std::uint8_t* winners, void* work) {
  const Index P = second.p() / 2, Q = second.q() / 2;
  const StripGrid grid{second.n, 2 * P, 2 * Q};
  const ConvReader reader(first, x, w1, bias1, grid.tiles(), -second.pad_w);
  const StorePooled store(y, winners, {second.n, P, Q, second.k}, grid.tiles(), bias2);
  planar_pass(reader, second.pad_h, grid, second.k, forward_filter(second, w2), store,
              static_cast<float*>(work));
}

std::size_t planar_backward_data_workspace(const Conv2dShape& p) {
  return packed_filter_bytes(p.k, p.c);
}

void planar_backward_data(const Conv2dShape& p, const float* dy, const std::uint8_t* winners,
                          const float* w, float* dx, void* work) {
  const Index pool = winners ? 2 : 1;
  const StripGrid grid{p.n, p.h, p.w};
  const PlanarReader reader(dy, winners, {p.n, p.p() / pool, p.q() / pool, p.k}, grid.tiles(),
                            p.pad_w - (kTaps - 1), kTileComponents);
  const StorePixels store(dx, {p.n, p.h, p.w, p.c}, grid.tiles(), nullptr, false);
  planar_pass(reader, kTaps - 1 - p.pad_h, grid, p.c, turned_filter(p, w), store,
              static_cast<float*>(work));
}

}  // namespace etude::ETUDE_BACKEND
