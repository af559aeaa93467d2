// What is done to log-mel features: range limiting and standardisation, in place. Sums are in
// double, in an order that the shape fixes. All are bound by memory: one read for a maximum, two
// for the statistics, one read and one write for the result, where it differs; 4 bytes an element
// each.
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {
namespace {

// sum over i < n of f(row[i]), kLanes running sums at a time.
template <class F>
ETUDE_INLINE double row_sum(const float* row, Index n, F&& f) {
  double lanes[kLanes] = {};
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (Index l = 0; l < kLanes; ++l) lanes[l] += f(static_cast<double>(row[i + l]));
  double total = 0;
  for (; i < n; ++i) total += f(static_cast<double>(row[i]));
  for (const double lane : lanes) total += lane;
  return total;
}

// y = (y - mean) factor for the first `valid` frames, 0 for padding.
ETUDE_INLINE void standardize_row(float* row, Index frames, Index valid, float mean, float factor) {
  for_each_vector(valid, [&](Index i, auto access) {
    access.store(row + i, (access.load(row + i) - splat(mean)) * splat(factor));
  });
  for (Index i = valid; i < frames; ++i) row[i] = 0;
}

ETUDE_INLINE Index valid_frames(const StandardizeShape& p, const std::int64_t* frames_valid,
                                Index clip) {
  return frames_valid ? max_of(0, min_of(p.frames, frames_valid[clip])) : p.frames;
}

// Of what top_db() works on at a time.
constexpr Index kPiece = 16 * 1024;
struct Range {
  float least, most;
};
Range range_of(const float* values, Index n) {
  Vec least = splat(INFINITY), most = splat(-INFINITY);
  const auto meet = [&](Vec v) {
    least = v < least ? v : least;
    most = v > most ? v : most;
  };
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) meet(load(values + i));
  for (; i < n; ++i) meet(splat(values[i]));
  Range range{least[0], most[0]};
  for (int l = 1; l < kLanes; ++l) {
    range.least = least[l] < range.least ? least[l] : range.least;
    range.most = most[l] > range.most ? most[l] : range.most;
  }
  return range;
}

}  // namespace

std::size_t top_db_workspace(Index clips, Index size) {
  return static_cast<std::size_t>(clips * ceil_div(size, kPiece)) * sizeof(Range);
}
std::size_t standardize_clip_workspace(const StandardizeShape&) { return 0; }

// A NaN stays where it is and enters neither maximum nor minimum. Pieces of a clip, each on one
// thread: its largest and least value first; a piece that has nothing below the range is not read
// again.
void top_db(Stream, Index clips, Index size, double top_db, T* y, void* work) {
  auto* const ranges = static_cast<Range*>(work);
  const Index pieces = ceil_div(size, kPiece);
  const auto each_piece = [&](auto&& body) {
    parallel_for(clips * pieces, clips * size, [&](Index i) {
      const Index begin = i % pieces * kPiece;
      body(i, i / pieces, y + i / pieces * size + begin, min_of(kPiece, size - begin));
    });
  };
  each_piece([&](Index i, Index, const float* v, Index n) { ranges[i] = range_of(v, n); });
  each_piece([&](Index i, Index clip, float* v, Index n) {
    float peak = -INFINITY;
    for (Index p = clip * pieces; p < (clip + 1) * pieces; ++p)
      peak = ranges[p].most > peak ? ranges[p].most : peak;
    const float least = peak - static_cast<float>(top_db);
    if (!(ranges[i].least < least)) return;
    const Vec floor = splat(least);
    for_each_vector(n, [&](Index k, auto access) {
      const Vec value = access.load(v + k);
      access.store(v + k, value < floor ? floor : value);
    });
  });
}

// mean, deviation = sqrt(mean of (y - mean)^2) over all bands and valid frames of the clip;
// y = (y - mean) / (deviation + eps). Each band's sum is added in turn.
void standardize_clip(Stream, const StandardizeShape& p, const std::int64_t* frames_valid, T* y,
                      void*) {
  const Index size = p.bands * p.frames;
  parallel_for(p.clips, 3 * p.clips * size, [&](Index clip) {
    float* rows = y + clip * size;
    const Index valid = valid_frames(p, frames_valid, clip);
    const auto count = static_cast<double>(max_of(1, p.bands * valid));
    double sum = 0, squares = 0;
    for (Index b = 0; b < p.bands; ++b)
      sum += row_sum(rows + b * p.frames, valid, [](double v) { return v; });
    const double mean = sum / count;
    for (Index b = 0; b < p.bands; ++b)
      squares +=
          row_sum(rows + b * p.frames, valid, [mean](double v) { return (v - mean) * (v - mean); });
    const double factor = 1 / (std::sqrt(squares / count) + p.eps);
    for (Index b = 0; b < p.bands; ++b)
      standardize_row(rows + b * p.frames, p.frames, valid, static_cast<float>(mean),
                      static_cast<float>(factor));
  });
}

// y = (y - mean[band]) inv_std[band].
void standardize_band(Stream, const StandardizeShape& p, const std::int64_t* frames_valid,
                      const T* mean, const T* inv_std, T* y) {
  const Index rows = p.clips * p.bands;
  parallel_for(rows, rows * p.frames, [&](Index r) {
    const Index clip = r / p.bands, band = r % p.bands;
    standardize_row(y + r * p.frames, p.frames, valid_frames(p, frames_valid, clip), mean[band],
                    inv_std[band]);
  });
}

}  // namespace etude::ETUDE_BACKEND
