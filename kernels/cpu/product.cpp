// All products are one loop: load the vectors of a row of b, broadcast the scalars of a, multiply
// and add into Rows x Vectors accumulators that never leave the registers. Within a step strides
// are constants, so that every operand is a displacement from two running pointers.
#include "kernels/cpu/product.h"

#include <utility>

namespace etude::ETUDE_BACKEND {
namespace {

// Rows fetched before they are used; none where they come from the first two caches.
inline constexpr Index kRowsAhead = kLanes == 16 ? 8 : 0;

template <int Rows, int Vectors>
ETUDE_INLINE void clear(Vec (&acc)[Rows][Vectors]) {
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[i][v] = Vec{};
}

// Adds to the accumulators of one tile; a[i AStride + l a_step], b[l BStep + v kLanes]. Fetches the
// operands of `Ahead` steps later, if any.
template <int Rows, int Vectors, Index AStride, Index BStep, Index Ahead = 0>
ETUDE_INLINE void multiply(Index depth, const float* a, Index a_step, const float* b,
                           Vec (&acc)[Rows][Vectors]) {
  for (Index l = 0; l < depth; ++l, a += a_step, b += BStep) {
    if constexpr (Ahead > 0) {
      __builtin_prefetch(a + Ahead * a_step);
      for (Index v = 0; v < Vectors * kLanes; v += kLine) __builtin_prefetch(b + Ahead * BStep + v);
    }
    Vec bv[Vectors];
    for (int v = 0; v < Vectors; ++v) bv[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vec ai = splat(a[i * AStride]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = fma(ai, bv[v], acc[i][v]);
    }
  }
}

template <int Rows, int Vectors>
void panel_tile(const PanelProduct& t) {
  Vec acc[Rows][Vectors];
  clear(acc);
  multiply<Rows, Vectors, kBlockStride, Vectors * kLanes>(t.depth, t.a, 1, t.b, acc);
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const Index columns = t.columns - v * kLanes;
    const bool full = columns >= kLanes;
    Vec bias{}, scale{};
    if (t.bias) bias = full ? load(t.bias + v * kLanes) : load_n(t.bias + v * kLanes, columns);
    if (t.scale) scale = full ? load(t.scale + v * kLanes) : load_n(t.scale + v * kLanes, columns);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      float* const y = t.y + t.row_offset[i] + v * kLanes;
      Vec out = acc[i][v];
      if (t.accumulate) out += full ? load(y) : load_n(y, columns);
      if (t.bias) out = t.scale ? fma(out, scale, bias) : out + bias;
      if (t.residual) {
        const float* const residual = t.residual + t.row_offset[i] + v * kLanes;
        out += full ? load(residual) : load_n(residual, columns);
      }
      if (t.relu) out = relu(out);
      if (full)
        store(y, out);
      else
        store_n(y, out, columns);
    }
  }
}

template <int Rows, int Vectors>
void outer_tile(const OuterProduct& t) {
  Vec acc[Rows][Vectors];
  clear(acc);
  multiply<Rows, Vectors, 1, kBlockStride>(t.depth, t.a, t.a_step, t.b, acc);
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const Index columns = t.columns - v * kLanes;
    const bool full = columns >= kLanes;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      float* const dw = t.dw + i * t.dw_stride + v * kLanes;
      Vec out = acc[i][v];
      if (t.accumulate) out += full ? load(dw) : load_n(dw, columns);
      if (full)
        store(dw, out);
      else
        store_n(dw, out, columns);
    }
  }
}

template <int Rows, int Vectors>
ETUDE_INLINE void write_rows(const Vec (&acc)[Rows][Vectors], float* y, Index stride,
                             bool accumulate) {
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      float* const to = y + i * stride + v * kLanes;
      store(to, accumulate ? load(to) + acc[i][v] : acc[i][v]);
    }
}

template <int Rows, int Vectors>
void run_tile(const RunProduct& t) {
  Vec acc[Rows][Vectors];
  clear(acc);
  const float *a = t.a, *b = t.b;
  for (Index depth = t.depth; depth > 0; depth -= kRun) {
    const bool last = depth <= kRun;
    const float* const next = last ? t.next_a : a + t.a_run;
    // A cache line of every row at a time: asked for at once, they would be too many.
    for (Index l = 0; l < min_of(kRun, depth); l += kLine) {
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) __builtin_prefetch(next + i * kRunStride + l);
      multiply<Rows, Vectors, kRunStride, Vectors * kLanes>(
          min_of(kLine, min_of(kRun, depth) - l), a + l, 1, b + l * Vectors * kLanes, acc);
    }
    a += t.a_run;
    b += kRun * Vectors * kLanes;
  }
  write_rows(acc, t.y, Vectors * kLanes, t.accumulate);
}

template <int Rows, int Vectors>
void run_outer_tile(const RunOuterProduct& t) {
  Vec acc[Rows][Vectors];
  clear(acc);
  multiply<Rows, Vectors, 1, kRunStride, kRowsAhead>(t.depth, t.a, kRunStride, t.b, acc);
  write_rows(acc, t.y, t.y_stride, t.accumulate);
}

using PanelTile = void (*)(const PanelProduct&);
using OuterTile = void (*)(const OuterProduct&);
using RunTile = void (*)(const RunProduct&);
using RunOuterTile = void (*)(const RunOuterProduct&);

// tiles[vectors - 1][rows - 1]
template <int... I>
void call_panel(std::integer_sequence<int, I...>, Index rows, const PanelProduct& t) {
  static constexpr PanelTile tiles[2][kTileRows] = {{panel_tile<I + 1, 1>...},
                                                    {panel_tile<I + 1, 2>...}};
  tiles[t.columns > kLanes][rows - 1](t);
}
template <int... I>
void call_outer(std::integer_sequence<int, I...>, Index rows, const OuterProduct& t) {
  static constexpr OuterTile tiles[2][kTileRows] = {{outer_tile<I + 1, 1>...},
                                                    {outer_tile<I + 1, 2>...}};
  tiles[t.columns > kLanes][rows - 1](t);
}
template <int... I>
void call_run(std::integer_sequence<int, I...>, Index rows, const RunProduct& t) {
  static constexpr RunTile tiles[2][kTileRows] = {{run_tile<I + 1, 1>...}, {run_tile<I + 1, 2>...}};
  tiles[t.vectors - 1][rows - 1](t);
}
template <int... I>
void call_run_outer(std::integer_sequence<int, I...>, Index rows, const RunOuterProduct& t) {
  static constexpr RunOuterTile tiles[2][kTileRows] = {{run_outer_tile<I + 1, 1>...},
                                                       {run_outer_tile<I + 1, 2>...}};
  tiles[t.vectors - 1][rows - 1](t);
}

}  // namespace

void panel_product(Index rows, const PanelProduct& t) {
  call_panel(std::make_integer_sequence<int, kTileRows>{}, rows, t);
}
void outer_product(Index rows, const OuterProduct& t) {
  call_outer(std::make_integer_sequence<int, kTileRows>{}, rows, t);
}
void run_product(Index rows, const RunProduct& t) {
  call_run(std::make_integer_sequence<int, kTileRows>{}, rows, t);
}
void run_outer_product(Index rows, const RunOuterProduct& t) {
  call_run_outer(std::make_integer_sequence<int, kTileRows>{}, rows, t);
}

}  // namespace etude::ETUDE_BACKEND
