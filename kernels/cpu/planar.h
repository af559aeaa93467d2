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

inline constexpr Index kTaps = 3;          // of a filter, each axis
inline constexpr int kTilePixels = 4;      // outputs of F(4,3)
inline constexpr int kTileComponents = 6;  // its products, and the pixels a tile reads
inline constexpr Index kPlanarChannels = 32;

// An image [n, height, width, pixel], or the first `channels` of its pixels.
struct PlanarImage {
  Index n, height, width, pixel, channels;
  PlanarImage(Index n, Index height, Index width, Index pixel)
      : n(n), height(height), width(width), pixel(pixel), channels(pixel) {}
  Index row() const { return width * pixel; }
};

// Pixel columns  step t + shift + j  of the tiles t of a strip, one LaneColumn for each j.
struct LaneColumn {
  Index offset[kLanes];  // of the pixel in its image's first row, in floats; -1: outside
  bool inside;           // no lane is outside
  Index last;            // the largest of them
};
void lane_columns(const PlanarImage& image, Index tiles, Index first_lane, Index step, Index shift,
                  int count, LaneColumn* columns);

// planes[c kLanes + lane] = pixel `lane` of the column, channel c; zero outside. `row`: where the
// row lies in the first image.
void load_pixels(const float* row, const LaneColumn& column, Index channels, float* planes);
// The reverse; pixels outside are left alone.
void store_pixels(const float* planes, const LaneColumn& column, Index channels, float* row);

// The same for bytes: a number from 0 to 127 in each 32-bit lane; kNoWinner outside. `size`: how
// many bytes there are from `row` on.
void load_codes(const std::uint8_t* row, Index size, const LaneColumn& column, Index channels,
                std::int32_t* planes);
void store_codes(const std::int32_t* planes, const LaneColumn& column, Index channels,
                 std::uint8_t* row);

// Asks for `floats` floats of the tiles `first` to `last` of a row that is needed soon: the rows of
// a strip lie far apart, which hides them from the processor's own prefetching. A few at a time: a
// processor waits once some dozens of cache lines are on their way. Inlined by force: GCC takes a
// call that only prefetches for one without effect.
ETUDE_INLINE void prefetch_tiles(const float* row, const LaneColumn& column, Index first,
                                 Index last, Index floats) {
  for (Index lane = first; lane < last; ++lane)
    if (column.offset[lane] >= 0)
      for (Index i = 0; i < floats; i += kLine) __builtin_prefetch(row + column.offset[lane] + i);
}

// Of a 2x2 window, the tap 2 r + s that is its maximum; this if the maximum is not positive, so
// that no gradient passes the ReLU.
inline constexpr int kNoWinner = 4;

// Reads rows of an image as planes: pixels  4 t + shift ... 4 t + shift + count - 1  of each tile.
// With `winners` the image is the gradient of 2x2 max-pooled pixels, and what is read is the
// gradient of the pixels before: zero but for the winner of each window.
class PlanarReader {
 public:
  // `image` is what lies in memory: [n, height / 2, width / 2, c] with winners.
  PlanarReader(const float* x, const std::uint8_t* winners, const PlanarImage& image, Index tiles,
               Index shift, int count)
      : x_(x), winners_(winners), image_(image), tiles_(tiles), shift_(shift), count_(count) {}

  void place(Index first_lane);
  const PlanarImage& image() const { return image_; }
  Index channels() const { return image_.channels; }
  // Whether row h exists; what lies outside is zero.
  bool has(Index h) const { return h >= 0 && (winners_ ? h / 2 : h) < image_.height; }
  // planes[j][c kLanes + lane], of a row that exists. Rows are best read in order. Meanwhile row
  // `next_h` of `next`, if any, is prefetched.
  void read(Index h, float (*planes)[kPlanarChannels * kLanes], const PlanarReader* next = nullptr,
            Index next_h = 0);
  ETUDE_INLINE void prefetch(Index h, Index first_tile, Index last_tile) const {
    if (!has(h)) return;
    if (!winners_) {
      prefetch_tiles(x_ + h * image_.row(), columns_[0], first_tile, last_tile,
                     kTilePixels * image_.pixel);
    } else if (h % 2 == 0) {  // the next row is in the same place
      const Index row = h / 2 * image_.row(), floats = kTilePixels / 2 * image_.pixel;
      prefetch_tiles(x_ + row, columns_[0], first_tile, last_tile, floats);
      for (Index lane = first_tile; lane < last_tile; ++lane)
        if (columns_[0].offset[lane] >= 0)
          __builtin_prefetch(winners_ + row + columns_[0].offset[lane]);
    }
  }

 private:
  void read_unpooled(Index h, float (*planes)[kPlanarChannels * kLanes], const PlanarReader* next,
                     Index next_h);

  const float* x_;
  const std::uint8_t* winners_;
  PlanarImage image_;
  Index tiles_, shift_;
  int count_;
  LaneColumn columns_[kTileComponents];
  // The pooled row that was read last, since the next row may need it too.
  static constexpr int kPooledColumns = kTileComponents / 2 + 1;
  Index pooled_row_ = -1;
  alignas(64) float pooled_[kPooledColumns][kPlanarChannels * kLanes];
  alignas(64) std::int32_t codes_[kPooledColumns][kPlanarChannels * kLanes];
};

}  // namespace etude::ETUDE_BACKEND
