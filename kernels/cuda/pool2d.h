// How the threads of the pooling kernels lie on an NHWC tensor, and division by what does not
// change within a launch.
//
// The tensor that a kernel writes (y forward, dx backward) is a number of rows, N P or N H of them,
// each of Q C or W C elements that lie side by side. They are taken in packs of 4, 2 or 1 channels,
// as C allows. A thread has one pack of up to kPoolRows successive rows: what depends on the column
// and the channels is worked out once, and the rows are loads that do not wait for each other. A
// block has up to 256 packs of a row, and as many groups of rows as fit.
#pragma once

#include <type_traits>

#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {

// n / divisor for 0 <= n < 2^31 by a multiplication (Granlund and Montgomery, "Division by
// invariant integers using multiplication", 1994).
struct Divisor {
  int divisor;
  unsigned multiplier, shift;

  explicit Divisor(Index d) : divisor(static_cast<int>(d)), shift(0) {
    while ((std::uint64_t{1} << shift) < static_cast<std::uint64_t>(d)) ++shift;
    const std::uint64_t power = std::uint64_t{1} << shift, by = static_cast<std::uint64_t>(d);
    multiplier = static_cast<unsigned>(((power - by) << 32) / by + 1);
  }
  __device__ int floor(int n) const {
    const unsigned u = static_cast<unsigned>(n);
    return static_cast<int>((__umulhi(u, multiplier) + u) >> shift);
  }
  __device__ int ceil(int n) const { return floor(n + divisor - 1); }
};

// The number of blocks beside it in __launch_bounds__ is one that costs no load in flight.
inline constexpr int kPoolThreads = 256, kPoolRows = 4;

struct PoolTiling {
  int rows;                   // of the tensor written
  int packs;                  // of a row
  int tile_packs, tile_rows;  // of a block's threads
  int tiles;                  // blocks side by side in a row
  int rows_each;              // of a thread
  Divisor by_channels;        // packs of a pixel
  Divisor by_image;           // rows of an image

  // At least `least` rows a thread, more where that leaves enough blocks.
  PoolTiling(Index images, Index image_rows, Index row_pixels, Index channel_packs, int least)
      : rows(static_cast<int>(images * image_rows)),
        packs(static_cast<int>(row_pixels * channel_packs)),
        by_channels(channel_packs),
        by_image(image_rows) {
    tiles = max_of(1, ceil_div(packs, kPoolThreads));
    tile_packs = max_of(1, ceil_div(packs, tiles));
    tile_rows = kPoolThreads / tile_packs;
    rows_each = kPoolRows;
    while (rows_each > least && blocks() < 1024) rows_each /= 2;
  }
  Index blocks() const {
    return Index{tiles} * ceil_div(Index{rows}, Index{tile_rows} * rows_each);
  }
  LaunchShape shape(Stream s) const {
    return {.grid = static_cast<unsigned>(blocks()),
            .block = static_cast<unsigned>(ceil_div(tile_packs * tile_rows, 32) * 32),
            .stream = stream_of(s)};
  }
};

// A thread's packs.
struct PoolPlace {
  int column, channel;  // pixel of the row, first channel
  int image, row;       // of the first of its rows, within the image
  int count;            // rows: 0 to kPoolRows
  Index at;             // offset of the first pack

  __device__ PoolPlace(const PoolTiling& t, int width) {
    const int group = static_cast<int>(blockIdx.x) / t.tiles;
    const int tile = static_cast<int>(blockIdx.x) - group * t.tiles;
    const int line = static_cast<int>(threadIdx.x) / t.tile_packs;
    const int pack = tile * t.tile_packs + static_cast<int>(threadIdx.x) - line * t.tile_packs;
    const int first = (group * t.tile_rows + line) * t.rows_each;
    const bool active = line < t.tile_rows && pack < t.packs && first < t.rows;
    count = active ? min_of(t.rows_each, t.rows - first) : 0;
    column = t.by_channels.floor(pack);
    channel = (pack - column * t.by_channels.divisor) * width;
    image = t.by_image.floor(first);
    row = first - image * t.by_image.divisor;
    at = (Index{first} * t.packs + pack) * width;
  }

  __device__ void next_row(const PoolTiling& t, int width) {
    at += Index{t.packs} * width;
    if (++row == t.by_image.divisor) row = 0, ++image;
  }
};

// body(std::integral_constant<int, 4, 2 or 1>) for the widest pack that divides the channels.
template <class Body>
void with_pack_width(Index channels, Body&& body) {
  if (channels % 4 == 0)
    body(std::integral_constant<int, 4>{});
  else if (channels % 2 == 0)
    body(std::integral_constant<int, 2>{});
  else
    body(std::integral_constant<int, 1>{});
}

}  // namespace etude::ETUDE_BACKEND
