// Forward passes on planes, a strip at a time (planar.h): where the rows come from and what becomes
// of the products are the template's parameters; conv2d_planar.cpp and conv2d_block.cpp use it.
//
//   y[n][p][4 t + j][k] = sum over i of A[i][j] m_i,   m_i = sum over r, c of u_i[k][r][c] v_i[c][p
//   + r]
//
// with the input transform v (planar_transform.h) and the filter transform u, which is packed once
// a call as [k tile][component i][c][r][k].
//
// A strip, usually as high as the image, is walked down in steps of kStepRows rows, with the planes
// of the rows that the step's taps meet in the first-level cache: transforms kStepRows new rows
// (the last two of the step before are kept); multiplies, component by component, register tiles of
// kStepRows rows x up to five outputs; then `finish` makes pixels of the products. Meanwhile the
// rows of the next step are on their way.
//
// Scratch on the stack: at most 74 KB of planes and 49 KB of products (AVX-512).
// Multiply-adds: 4.5 C K a pixel, where the definition has 9.
// Deterministic: every output is one sum in the order c, r, whoever computes it.
#pragma once

#include "kernels/cpu/planar.h"
#include "kernels/cpu/planar_transform.h"

namespace etude::ETUDE_BACKEND {

inline constexpr int kStepRows = kLanes == 16 ? 4 : 2;
inline constexpr Index kStepLines = kStepRows + kTaps - 1;  // rows of a step's planes

// Outputs k are worked on in tiles of nearly equal width, since kStepRows kTileOutputs accumulators
// fit in registers beside the rows of a plane: tile i is [first(i), first(i + 1)).
inline constexpr int kTileOutputs = 5;
struct OutputTiles {
  Index outputs, count;
  explicit OutputTiles(Index outputs) : outputs(outputs), count(ceil_div(outputs, kTileOutputs)) {}
  Index first(Index i) const { return outputs * i / count; }
};

// The filter of a pass: element (output, row tap, column tap, channel).
struct PlanarFilter {
  const float* w;
  Index output_stride, row_stride, column_stride, channel_stride;
};
// The filter w[k][3][3][c] of a forward pass, and turned about for the data gradient.
PlanarFilter forward_filter(const Conv2dShape& p, const float* w);
PlanarFilter turned_filter(const Conv2dShape& p, const float* w);
std::size_t packed_filter_bytes(Index channels, Index outputs);
void pack_filter(const PlanarFilter& f, Index channels, Index outputs, float* u);

// m[(k kTileComponents) kStepRows + row] = sum over c, r of u[c][r][k] v[c kStepLines + l], for
// `rows` rows and `outputs` outputs, with the line l = (first_line + row + r) mod kStepLines.
void multiply_planes(Index rows, Index outputs, Index channels, const float* v, Index first_line,
                     const float* u, float* m);

// Where the strips of an output [n, height, width] lie: lanes, and the cuts of its height.
struct StripGrid {
  Index n, height, width;
  Index tiles() const { return ceil_div(width, kTilePixels); }
  Index lanes() const { return n * tiles(); }
  Index columns() const { return ceil_div(lanes(), kLanes); }
  // Few strips of tiles: cut them, at a cost of two rows each, so that there is work for all
  // threads.
  Index strip_height() const {
    constexpr Index enough_tasks = 64, least_height = 16;
    const Index cuts =
        min_of(ceil_div(enough_tasks, max_of(1, columns())), max_of(1, height / least_height));
    return round_up(ceil_div(height, cuts), kStepRows);
  }
  Index strips() const { return columns() * ceil_div(height, strip_height()); }
  Index first_lane(Index strip) const { return strip / ceil_div(height, strip_height()) * kLanes; }
  Index first_row(Index strip) const {
    return strip % ceil_div(height, strip_height()) * strip_height();
  }
  Index rows(Index strip) const { return min_of(strip_height(), height - first_row(strip)); }
};

// Pixels of an output's row from its products, before bias.
ETUDE_INLINE void output_pixels(const float* m, Vec (&y)[kTilePixels]) {
  Vec products[kTileComponents];
#pragma GCC unroll 6
  for (int i = 0; i < kTileComponents; ++i) products[i] = load(m + i * kStepRows * kLanes);
  output_transform(products, y);
}

// Rows [first_row, first_row + rows) of a strip. Reader: as PlanarReader, placed at the strip, its
// row h + r meeting row h + pad_h of the output at tap r. Finish: prefetch(row, live, first tile,
// last tile) of the step's outputs, and finish(row, live, m) with the products m[k][component][row]
// of rows row, row + 1, ... row + live - 1.
template <class Reader, class Finish>
void planar_strip(Reader& x, Index pad_h, const float* u, Index outputs, Index first_row,
                  Index rows, Finish& finish) {
  alignas(64) float v[kPlanarChannels * kTileComponents * kStepLines * kLanes];
  alignas(64) float m[kPlanarChannels * kTileComponents * kStepRows * kLanes];
  const Index channels = x.channels();
  const OutputTiles tiles(outputs);
  // Row h of the reader is in line (h - top) mod kStepLines.
  const Index top = first_row - pad_h;
  transform_input(x, top, kTaps - 1, kStepLines, 0, v);
  for (Index row = first_row; row < first_row + rows; row += kStepRows) {
    const Index live = min_of(kStepRows, first_row + rows - row);
    const Index new_row = row - pad_h + kTaps - 1;
    transform_input(x, new_row, live, kStepLines, (new_row - top) % kStepLines, v);
    const Index calls = tiles.count * kTileComponents;
    for (Index call = 0; call < calls; ++call) {
      const Index t = call / kTileComponents, i = call % kTileComponents;
      const Index first = kLanes * call / calls, last = kLanes * (call + 1) / calls;
      for (Index h = new_row + live; h < new_row + 2 * live; ++h) x.prefetch(h, first, last);
      finish.prefetch(row, live, first, last);
      const Index k = tiles.first(t), count = tiles.first(t + 1) - k;
      multiply_planes(live, count, channels, v + i * channels * kStepLines * kLanes,
                      (row - first_row) % kStepLines,
                      u + kTaps * channels * (kTileComponents * k + i * count),
                      m + (k * kTileComponents + i) * kStepRows * kLanes);
    }
    finish.finish(row, live, m);
  }
}

// Stores pixels [n, height, width, k] with bias and ReLU.
class StorePixels {
 public:
  StorePixels(float* y, const PlanarImage& image, Index tiles, const float* bias, bool relu)
      : y_(y), image_(image), tiles_(tiles), bias_(bias), relu_(relu) {}
  void place(Index first_lane) {
    lane_columns(image_, tiles_, first_lane, kTilePixels, 0, kTilePixels, columns_);
  }
  ETUDE_INLINE void prefetch(Index row, Index live, Index first, Index last) const {
    for (Index r = row; r < row + live; ++r)
      prefetch_tiles(y_ + r * image_.row(), columns_[0], first, last, kTilePixels * image_.pixel);
  }
  void finish(Index row, Index live, const float* m) const;

 private:
  float* y_;
  PlanarImage image_;
  Index tiles_;
  const float* bias_;
  bool relu_;
  LaneColumn columns_[kTilePixels];
};

// The same after 2x2 max-pooling, [n, height / 2, width / 2, k], with its winners (planar.h).
class StorePooled {
 public:
  StorePooled(float* y, std::uint8_t* winners, const PlanarImage& image, Index tiles,
              const float* bias)
      : y_(y), winners_(winners), image_(image), tiles_(tiles), bias_(bias) {}
  void place(Index first_lane) {
    lane_columns(image_, tiles_, first_lane, kWindows, 0, kWindows, columns_);
  }
  ETUDE_INLINE void prefetch(Index row, Index live, Index first, Index last) const {
    for (Index r = row; r < row + live; r += 2)
      prefetch_tiles(y_ + r / 2 * image_.row(), columns_[0], first, last, kWindows * image_.pixel);
  }
  void finish(Index row, Index live, const float* m) const;

 private:
  static constexpr int kWindows = kTilePixels / 2;
  float* y_;
  std::uint8_t* winners_;
  PlanarImage image_;
  Index tiles_;
  const float* bias_;
  LaneColumn columns_[kWindows];
};

}  // namespace etude::ETUDE_BACKEND
