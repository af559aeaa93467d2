// What is done to log-mel features: range limiting and standardisation, in place. Sums are in
// double, in an order that the shape fixes. All are bound by memory: one read for a maximum, two
// for the statistics, one read and one write for the result; 4 bytes an element each.
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

}  // namespace

std::size_t top_db_workspace(Index, Index) { return 0; }
std::size_t standardize_clip_workspace(const StandardizeShape&) { return 0; }

// A NaN stays where it is and does not enter the maximum.
void top_db(Stream, Index clips, Index size, double top_db, T* y, void*) {
  parallel_for(clips, clips * size, [&](Index clip) {
    float* row = y + clip * size;
    Vec most = splat(-INFINITY);
    for (Index i = 0; i < size; i += kLanes) {
      const Index n = min_of(kLanes, size - i);
      Vec v = most;
      if (n == kLanes)
        v = load(row + i);
      else
        for (Index l = 0; l < n; ++l) v[l] = row[i + l];
      most = v > most ? v : most;
    }
    float peak = -INFINITY;
    for (int l = 0; l < kLanes; ++l) peak = most[l] > peak ? most[l] : peak;
    const Vec least = splat(peak - static_cast<float>(top_db));
    for_each_vector(size, [&](Index i, auto access) {
      const Vec v = access.load(row + i);
      access.store(row + i, v < least ? least : v);
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
