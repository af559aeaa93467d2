// Convolutions with few channels: 3x3, stride 1, any padding (README.md, "Few channels").
//
// With ten channels a vector of channels is a third empty. Here a lane is a tile of four
// neighbouring output pixels of one row instead, and the arithmetic along the row is Winograd's
// F(4,3) (planar_transform.h): six products where the definition has twelve. The tiles of all
// images are numbered through, so that lanes fill whatever the width of a map:
//
//   lane L = image n, tile t        L = n tiles + t,  tiles = ceil(Q / 4)
//
// A strip is kLanes tiles wide and some rows high. Its planes hold one channel of one transform
// component of one row in a vector; the taps of different rows are then plain displacements.
#pragma once

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

inline constexpr int kTilePixels = 4;      // outputs of F(4,3)
inline constexpr int kTileComponents = 6;  // its products, and the pixels a tile reads
inline constexpr Index kPlanarChannels = 32;

// An image [n, height, width, pixel] cut into lanes, or the first `channels` of its pixels.
struct PlanarImage {
  Index n, height, width, pixel, channels;
  PlanarImage(Index n, Index height, Index width, Index pixel)
      : n(n), height(height), width(width), pixel(pixel), channels(pixel) {}
  Index row() const { return width * pixel; }
};

// Pixel columns  4 t + shift + j  of the tiles of a strip, one LaneColumn for each j.
struct LaneColumn {
  Index offset[kLanes];  // of the pixel in its image's first row, in floats; -1: outside
  bool inside;           // no lane is outside
};
void lane_columns(const PlanarImage& image, Index tiles, Index first_lane, Index shift, int count,
                  LaneColumn* columns);

// planes[c kLanes + lane] = pixel `lane` of the column, channel c; zero outside. `row`: where the
// row lies in the first image.
void load_pixels(const float* row, const LaneColumn& column, Index channels, float* planes);
// The reverse; pixels outside are left alone.
void store_pixels(const float* planes, const LaneColumn& column, Index channels, float* row);

// Asks for the tiles `first` to `last` of a row that is needed soon: the rows of a strip lie far
// apart, which hides them from the processor's own prefetching. A few at a time: a processor waits
// once some dozens of cache lines are on their way.
ETUDE_INLINE void prefetch_tiles(const float* row, const LaneColumn& column, Index first,
                                 Index last, Index channels) {
  for (Index lane = first; lane < last; ++lane)
    if (column.offset[lane] >= 0)
      for (Index i = 0; i < kTilePixels * channels; i += 16)
        __builtin_prefetch(row + column.offset[lane] + i);
}

// v[(i C + c) lines + r] = component i of the input transform of channel c in source row
// first + r, for r < rows. Rows outside the image are zero.
void transform_input(const float* x, const PlanarImage& image, const LaneColumn* columns,
                     Index first, Index rows, Index lines, float* v);

}  // namespace etude::ETUDE_BACKEND
