// From NHWC pixels to planes and back. Channels move in fours: four pixels of a lane block are
// loaded as four vectors of four channels each and transposed in place (transpose_blocks). The last
// four may overlap those before, which keeps every access within the pixel.
#include "kernels/cpu/planar.h"

#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr float kZeros[kPlanarChannels] = {};

// The pixel of a lane, or zeros where there is none.
template <bool Inside>
ETUDE_INLINE const float* source(const float* row, const LaneColumn& column, int lane) {
  const Index offset = column.offset[lane];
  if constexpr (Inside) return row + offset;
  return offset < 0 ? kZeros : row + offset;
}

// First channel of the next four, so that the last of `channels` >= 4 are met.
ETUDE_INLINE Index next_four(Index c, Index channels) {
  return c + 4 < channels && c + 8 > channels ? channels - 4 : c + 4;
}

template <bool Inside>
void load_pixels(const float* row, const LaneColumn& column, Index channels, float* planes) {
  if (channels < 4) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float* const from = source<Inside>(row, column, lane);
      for (Index c = 0; c < channels; ++c) planes[c * kLanes + lane] = from[c];
    }
    return;
  }
  for (Index c = 0; c < channels; c = next_four(c, channels)) {
    Vec four[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      four[i] = load_blocks([&](int b) { return source<Inside>(row, column, 4 * b + i) + c; });
    }
    transpose_blocks(four[0], four[1], four[2], four[3]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) store(planes + (c + i) * kLanes, four[i]);
  }
}

template <bool Inside>
void store_pixels(const float* planes, const LaneColumn& column, Index channels, float* row) {
  if (channels < 4) {
    for (int lane = 0; lane < kLanes; ++lane)
      if (Inside || column.offset[lane] >= 0)
        for (Index c = 0; c < channels; ++c)
          row[column.offset[lane] + c] = planes[c * kLanes + lane];
    return;
  }
  for (Index c = 0; c < channels; c = next_four(c, channels)) {
    Vec four[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) four[i] = load(planes + (c + i) * kLanes);
    transpose_blocks(four[0], four[1], four[2], four[3]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      for_each_block(four[i], [&](int b, Vec4 block) {
        const Index offset = column.offset[4 * b + i];
        if (Inside || offset >= 0) store4(row + offset + c, block);
      });
  }
}

// Rounds down.
Index half(Index a) { return (a - (a & 1)) / 2; }

}  // namespace

void lane_columns(const PlanarImage& image, Index tiles, Index first_lane, Index step, Index shift,
                  int count, LaneColumn* columns) {
  for (int j = 0; j < count; ++j) columns[j].inside = true, columns[j].last = -1;
  Index n = first_lane / tiles, t = first_lane % tiles;
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int j = 0; j < count; ++j) {
      const Index w = step * t + shift + j;
      const bool inside = n < image.n && w >= 0 && w < image.width;
      columns[j].offset[lane] = inside ? n * image.height * image.row() + w * image.pixel : -1;
      columns[j].inside &= inside;
      columns[j].last = max_of(columns[j].last, columns[j].offset[lane]);
    }
    if (++t == tiles) t = 0, ++n;
  }
}

void load_pixels(const float* row, const LaneColumn& column, Index channels, float* planes) {
  if (column.inside)
    load_pixels<true>(row, column, channels, planes);
  else
    load_pixels<false>(row, column, channels, planes);
}

void store_pixels(const float* planes, const LaneColumn& column, Index channels, float* row) {
  if (column.inside)
    store_pixels<true>(planes, column, channels, row);
  else
    store_pixels<false>(planes, column, channels, row);
}

// Four channels of a pixel are one 32-bit word, and so is a lane.
void load_codes(const std::uint8_t* row, Index size, const LaneColumn& column, Index channels,
                std::int32_t* planes) {
  constexpr Index block = 16;  // bytes of a vector of four words
  constexpr auto none = kNoWinner * 0x01010101;
  alignas(block) static constexpr std::int32_t outside[] = {none, none, none, none};
  if (channels > block || column.last + block > size) {
    for (int lane = 0; lane < kLanes; ++lane)
      for (Index c = 0; c < channels; ++c) {
        const Index offset = column.offset[lane];
        planes[c * kLanes + lane] = offset < 0 ? kNoWinner : row[offset + c];
      }
    return;
  }
  Vec words[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    words[i] = load_blocks([&](int b) {
      const Index offset = column.offset[4 * b + i];
      return offset < 0 ? reinterpret_cast<const float*>(outside)
                        : reinterpret_cast<const float*>(row + offset);
    });
  transpose_blocks(words[0], words[1], words[2], words[3]);
  for (Index c = 0; c < channels; ++c) {
    const IntVec word = (IntVec)words[c / 4];  // the same bits
    *reinterpret_cast<IntVec*>(planes + c * kLanes) = (word >> (8 * (c % 4))) & 127;
  }
}

void store_codes(const std::int32_t* planes, const LaneColumn& column, Index channels,
                 std::uint8_t* row) {
  if (channels < 4) {
    for (int lane = 0; lane < kLanes; ++lane)
      for (Index c = 0; c < channels && column.offset[lane] >= 0; ++c)
        row[column.offset[lane] + c] = static_cast<std::uint8_t>(planes[c * kLanes + lane]);
    return;
  }
  for (Index c = 0; c < channels; c = next_four(c, channels)) {
    const IntVec* const from = reinterpret_cast<const IntVec*>(planes + c * kLanes);
    alignas(64) std::int32_t words[kLanes];
    *reinterpret_cast<IntVec*>(words) =
        from[0] | (from[1] << 8) | (from[2] << 16) | (from[3] << 24);
    for (int lane = 0; lane < kLanes; ++lane)
      if (column.inside || column.offset[lane] >= 0)
        __builtin_memcpy(row + column.offset[lane] + c, &words[lane], 4);
  }
}

void PlanarReader::place(Index first_lane) {
  pooled_row_ = -1;
  if (winners_)
    lane_columns(image_, tiles_, first_lane, kTilePixels / 2, half(shift_),
                 static_cast<int>(half(shift_ + count_ - 1) - half(shift_) + 1), columns_);
  else
    lane_columns(image_, tiles_, first_lane, kTilePixels, shift_, count_, columns_);
}

void PlanarReader::read(Index h, float (*planes)[kPlanarChannels * kLanes],
                        const PlanarReader* next, Index next_h) {
  if (winners_) return read_unpooled(h, planes, next, next_h);
  for (int j = 0; j < count_; ++j) {
    if (next) next->prefetch(next_h, kLanes * j / count_, kLanes * (j + 1) / count_);
    load_pixels(x_ + h * image_.row(), columns_[j], image_.channels, planes[j]);
  }
}

void PlanarReader::read_unpooled(Index h, float (*planes)[kPlanarChannels * kLanes],
                                 const PlanarReader* next, Index next_h) {
  if (pooled_row_ != h / 2) {
    pooled_row_ = h / 2;
    const Index row = h / 2 * image_.row();
    const Index size = image_.n * image_.height * image_.row() - image_.pixel + image_.channels;
    for (Index j = 0; j <= half(shift_ + count_ - 1) - half(shift_); ++j) {
      load_pixels(x_ + row, columns_[j], image_.channels, pooled_[j]);
      load_codes(winners_ + row, size - row, columns_[j], image_.channels, codes_[j]);
    }
  }
  for (int j = 0; j < count_; ++j) {
    if (next) next->prefetch(next_h, kLanes * j / count_, kLanes * (j + 1) / count_);
    const Index column = half(shift_ + j) - half(shift_);
    const IntVec tap = splat(static_cast<std::int32_t>(h % 2 * 2 + ((shift_ + j) & 1)));
    for (Index i = 0; i < image_.channels * kLanes; i += kLanes) {
      const IntVec code = *reinterpret_cast<const IntVec*>(codes_[column] + i);
      store(planes[j] + i, code == tap ? load(pooled_[column] + i) : Vec{});
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
