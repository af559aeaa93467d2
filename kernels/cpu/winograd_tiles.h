// Transformed tiles of an image, and where they lie in memory.
#pragma once

#include "kernels/cpu/product.h"
#include "kernels/cpu/winograd.h"

namespace etude::ETUDE_BACKEND {

// The outputs of an image in tiles of M x M.
struct TileGrid {
  Index n, rows, columns;
  TileGrid(Index images, Index height, Index width, int m)
      : n(images), rows(ceil_div(height, m)), columns(ceil_div(width, m)) {}
  Index count() const { return n * rows * columns; }
};

// Tiles transformed to kTile x kTile elements `xi`, in runs of kRun channels:
// element [xi][run][tile][channel of the run], rows of kRunStride floats. An odd number of cache
// lines from element to element, so that the stores of one tile spread over all cache sets.
struct TileRuns {
  float* data;
  Index tiles, runs;

  static constexpr Index run_size(Index tiles) { return (tiles * kRunStride / 16 | 1) * 16; }
  static constexpr Index runs_of(Index channels) { return ceil_div(channels, kRun); }
  static constexpr Index size(int elements, Index channels, Index tiles) {
    return elements * runs_of(channels) * run_size(tiles);
  }
  float* at(Index xi, Index run, Index tile) const {
    return data + (xi * runs + run) * run_size(tiles) + tile * kRunStride;
  }
};

// An image [n, height, width, channels] whose tile (i, j) begins at pixel (i step - pad_h, j step -
// pad_w); pixels outside are zero. With winners it is the gradient of an image that was max-pooled
// 2x2: `data` is [n, height / 2, width / 2, channels], and only the pixel of a window that won, tap
// 2 r + s, is not zero.
struct TiledImage {
  const float* data;
  Index height, width, channels;
  Index step, pad_h, pad_w;
  const std::uint8_t* winners = nullptr;
};

// Transforms tiles [first, first + count) of `grid`, the channels of `run`, into rows
// to_tile, to_tile + 1, ... of `to`. In x In pixels a tile become Out x Out elements.
template <int In, int Out, auto Transform, bool Pooled>
void transform_tiles(const TiledImage& image, const TileGrid& grid, Index first, Index count,
                     Index run, const TileRuns& to, Index to_tile) {
  static constexpr float outside[kRun] = {};
  static constexpr std::uint8_t nothing[kRun] = {};
  constexpr Index pool = Pooled ? 2 : 1;
  const Index height = image.height / pool, width = image.width / pool;
  const Index channel = run * kRun, channels = min_of(kRun, image.channels - channel);
  for (Index t = 0; t < count; ++t) {
    const Index tile = first + t, n = tile / (grid.rows * grid.columns);
    const Index h = tile / grid.columns % grid.rows * image.step - image.pad_h;
    const Index w = tile % grid.columns * image.step - image.pad_w;
    const float* pixel[In][In];
    [[maybe_unused]] const std::uint8_t* winner[In][In];
    for (int i = 0; i < In; ++i)
      for (int j = 0; j < In; ++j) {
        const bool inside =
            h + i >= 0 && h + i < pool * height && w + j >= 0 && w + j < pool * width;
        const Index at =
            inside ? ((n * height + (h + i) / pool) * width + (w + j) / pool) * image.channels +
                         channel
                   : 0;
        pixel[i][j] = inside ? image.data + at : outside;
        if constexpr (Pooled) winner[i][j] = inside ? image.winners + at : nothing;
      }
    float* const row = to.at(0, run, to_tile + t);
    const Index step = to.runs * TileRuns::run_size(to.tiles);
    for_each_vector(channels, [&](Index c, auto access) {
      transform_2d<In, Out, Transform>(
          [&](int i, int j) {
            const Vec v = access.load(pixel[i][j] + c);
            if constexpr (!Pooled) return v;
            const auto tap = static_cast<std::int32_t>(((h + i) & 1) * 2 + ((w + j) & 1));
            return load_bytes_n(winner[i][j] + c, access.n) == splat(tap) ? v : Vec{};
          },
          [&](int i, int j, Vec v) { store(row + (i * Out + j) * step + c, v); });
    });
  }
}

template <int In, int Out, auto Transform>
void transform_tiles(const TiledImage& image, const TileGrid& grid, Index first, Index count,
                     Index run, const TileRuns& to, Index to_tile) {
  if (image.winners)
    transform_tiles<In, Out, Transform, true>(image, grid, first, count, run, to, to_tile);
  else
    transform_tiles<In, Out, Transform, false>(image, grid, first, count, run, to, to_tile);
}

}  // namespace etude::ETUDE_BACKEND
