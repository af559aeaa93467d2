// The register tiles of the matrix products that every convolution pass is made of.
#pragma once

#include "kernels/cpu/gather.h"

namespace etude::ETUDE_BACKEND {

// Tile of kTileRows x kTileVectors vectors of accumulators: as many as the registers hold beside
// the operands, and enough of them to cover the latency of the multiply-add.
inline constexpr int kTileRows = kLanes == 16 ? 12 : kLanes == 8 ? 6 : 4;
inline constexpr int kTileVectors = 2;
inline constexpr Index kPanelWidth = kTileVectors * kLanes;

// y[row_offset[i] + j] (+)= sum over l < depth of a[i kBlockStride + l] b[l width + j]
// then scale, bias, residual and ReLU, for i < rows <= kTileRows and j < columns, where the width
// of the panel b is one vector if columns <= kLanes, else kPanelWidth. Every sum runs in the order
// of l.
struct PanelProduct {
  Index depth;
  const float* a;
  const float* b;
  float* y;
  const Index* row_offset;
  Index columns;
  bool accumulate;    // add to y
  const float* bias;  // [columns] or null
  bool relu;
  const float* scale;     // [columns] or null; not without a bias
  const float* residual;  // like y, or null
};
void panel_product(Index rows, const PanelProduct& product);

// dw[i dw_stride + j] (+)= sum over m < depth of a[m a_step + i] b[m kBlockStride + j]
// for i < rows <= kTileRows and j < columns <= kPanelWidth.
struct OuterProduct {
  Index depth;
  const float* a;
  Index a_step;
  const float* b;
  float* dw;
  Index dw_stride;
  Index columns;
  bool accumulate;
};
void outer_product(Index rows, const OuterProduct& product);

// The same two for operands that lie in runs of kRun channels, rows kRunStride floats apart.
inline constexpr Index kRun = 64;
inline constexpr Index kRunStride = kRun + 16;  // an odd number of cache lines, as kBlockStride

// y[i width + j] (+)= sum over l < depth of a[l / kRun a_run + i kRunStride + l % kRun] b[l width +
// j] for i < rows <= kTileRows and j < width, width = vectors kLanes, vectors <= kTileVectors.
struct RunProduct {
  Index depth;
  const float* a;
  Index a_run;
  const float* b;
  float* y;
  int vectors;
  bool accumulate;
  const float* next_a;  // the first run of the product that follows, fetched meanwhile
};
void run_product(Index rows, const RunProduct& product);

// y[i y_stride + j] (+)= sum over m < depth of a[m kRunStride + i] b[m kRunStride + j]
// for i < rows <= kTileRows and j < vectors kLanes.
struct RunOuterProduct {
  Index depth;
  const float* a;
  const float* b;
  float* y;
  Index y_stride;
  int vectors;
  bool accumulate;
};
void run_outer_product(Index rows, const RunOuterProduct& product);

}  // namespace etude::ETUDE_BACKEND
