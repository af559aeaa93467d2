#include "kernels/cpu/conv_reader.h"

#include "kernels/cpu/planar_transform.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {

template <int Pairs>
void PixelLines<Pairs>::place(Index first_lane) {
  for (Index& row : row_) row = -1 - kKept;
  edges_ = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    const Index n = (first_lane + lane) / tiles_, t = (first_lane + lane) % tiles_;
    const Index first = kTilePixels * t + shift_;
    offset_[lane] = n * image_.height * image_.width + first;
    from_[lane] = static_cast<int>(min_of(kColumns, max_of(0, -first)));
    to_[lane] = n < image_.n
                    ? static_cast<int>(max_of(from_[lane], min_of(kColumns, image_.width - first)))
                    : from_[lane];
    if (from_[lane] > 0 || to_[lane] < kColumns) edges_ |= 1u << lane;
  }
}

template <int Pairs>
auto PixelLines<Pairs>::line(Index h) -> const Line& {
  constexpr Index ahead = 6;
  static constexpr float zeros[kColumns] = {};
  const Index slot = (h + kKept) % kKept;
  Line& line = lines_[slot];
  if (row_[slot] == h) return line;
  row_[slot] = h;
  if (h < 0 || h >= image_.height) {
    line = {};
    return line;
  }
  const float* const row = x_ + h * image_.width;
  // Rows of a strip lie too far apart for the processor to fetch them by itself; four tiles of a
  // row are a cache line.
  if (h + ahead < image_.height) {
    const float* const next = row + ahead * image_.width;
    for (int lane = 0; lane < kLanes; lane += 4) __builtin_prefetch(next + offset_[lane]);
    __builtin_prefetch(next + offset_[kLanes - 1] + kColumns - 1);
  }
  const float* tile[kLanes];
  for (int lane = 0; lane < kLanes; ++lane)
    tile[lane] = (edges_ >> lane & 1) ? zeros : row + offset_[lane];
  // Four pixels of a tile are what load_pixels' four channels of a pixel are.
  Vec d[kColumns];
#pragma GCC unroll 2
  for (int j = 0; j < kColumns; j += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) d[j + i] = load_blocks([&](int b) { return tile[4 * b + i] + j; });
    transpose_blocks(d[j], d[j + 1], d[j + 2], d[j + 3]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < kColumns; ++j) store(line.pixels[j], d[j]);
#pragma GCC unroll 3
  for (int i = 0; i < Pairs; ++i) {
    const Vec* const e = d + 2 * i;
    store(line.v[kPairProducts * i], e[0] - e[2]);
    store(line.v[kPairProducts * i + 1], e[1] + e[2]);
    store(line.v[kPairProducts * i + 2], e[2] - e[1]);
    store(line.v[kPairProducts * i + 3], e[1] - e[3]);
  }
  for (int lane = 0; lane < kLanes; ++lane)
    if (edges_ >> lane & 1) edge(row, lane, line);
  return line;
}

// A tile that is partly outside the image.
template <int Pairs>
void PixelLines<Pairs>::edge(const float* row, int lane, Line& line) const {
  float d[kColumns] = {};
  for (int j = from_[lane]; j < to_[lane]; ++j) d[j] = row[offset_[lane] + j];
  for (int j = 0; j < kColumns; ++j) line.pixels[j][lane] = d[j];
  for (int i = 0; i < Pairs; ++i) {
    const float* const e = d + 2 * i;
    const float v[kPairProducts] = {e[0] - e[2], e[1] + e[2], e[2] - e[1], e[1] - e[3]};
    for (int p = 0; p < kPairProducts; ++p) line.v[kPairProducts * i + p][lane] = v[p];
  }
}

template class PixelLines<kTilePixels / 2>;
template class PixelLines<kTileComponents / 2>;

FirstConv::FirstConv(const float* w, const float* bias, Index outputs) : outputs_(outputs) {
  for (Index k = 0; k < outputs; ++k) {
    for (Index r = 0; r < kTaps; ++r) {
      const float* const g = w + (k * kTaps + r) * kTaps;
      float(&u)[kPairProducts] = u_[k][r];
      u[0] = g[0];
      u[1] = (g[0] + g[2] + g[1]) / 2;
      u[2] = (g[0] + g[2] - g[1]) / 2;
      u[3] = g[2];
    }
    bias_[k] = bias ? bias[k] : 0;
  }
}

void ConvReader::place(Index first_lane) {
  lines_.place(first_lane);
  LaneColumn columns[kTileComponents];
  lane_columns(image_, tiles_, first_lane, kTilePixels, shift_, kTileComponents, columns);
  all_inside_ = true;
  for (int j = 0; j < kTileComponents; ++j) {
    all_inside_ &= columns[j].inside;
    for (int lane = 0; lane < kLanes; ++lane)
      inside_[j][lane] = columns[j].offset[lane] < 0 ? 0 : -1;
  }
}

template <bool AllInside>
void ConvReader::transform(const PixelLines<kPairs>::Line* const (&lines)[kTaps], Index stride,
                           float* v) {
  const Index plane = conv_.outputs() * stride;
  conv_.row<kPairs>(lines, [&](Index k, const Vec(&y)[kTileComponents]) {
    Vec d[kTileComponents], component[kTileComponents];
#pragma GCC unroll 6
    for (int j = 0; j < kTileComponents; ++j)
      d[j] = AllInside ? relu(y[j]) : inside_[j] ? relu(y[j]) : Vec{};
    input_transform(d, component);
#pragma GCC unroll 6
    for (int i = 0; i < kTileComponents; ++i) store(v + i * plane + k * stride, component[i]);
  });
}

void ConvReader::transform(Index h, Index lines, float* v) {
  const PixelLines<kPairs>::Line* taps[kTaps];
  for (Index r = 0; r < kTaps; ++r) taps[r] = &lines_.line(h - pad_h_ + r);
  if (all_inside_)
    transform<true>(taps, lines * kLanes, v);
  else
    transform<false>(taps, lines * kLanes, v);
}

void transform_input(ConvReader& x, Index first, Index rows, Index lines, Index first_line,
                     float* v, const PlanarReader* next, Index next_first) {
  for (Index r = 0; r < rows; ++r) {
    float* const line = v + (first_line + r) % lines * kLanes;
    if (next) next->prefetch(next_first + r, 0, kLanes);
    if (x.has(first + r))
      x.transform(first + r, lines, line);
    else
      for (Index i = 0; i < kTileComponents * x.channels(); ++i)
        store(line + i * lines * kLanes, Vec{});
  }
}

}  // namespace etude::ETUDE_BACKEND
