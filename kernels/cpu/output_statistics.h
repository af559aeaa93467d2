// Batch norm's statistics of a convolution's output, made while it is in the caches of the tasks
// that compute it.
//
// Each task leaves a part: the number of its pixels, and for every channel their mean and the sum
// of squares about it. Parts are merged in double, in order (Chan, Golub and LeVeque 1979); both
// the parts and their order depend on the shape alone.
//
// A task reads its pixels once, about the first of them:
//
//   d = y - y_first,   mean = y_first + sum d / n,   squares = sum d^2 - (sum d)^2 / n
//
// The difference magnifies the rounding of its terms by sum d^2 / squares, 1 + k^2 where the first
// pixel is k deviations off. Where that is more than kMagnified, the pixels are read again, about
// their mean. A mean far from zero costs nothing.
#pragma once

#include "kernels/cpu/batch_norm.h"

namespace etude::ETUDE_BACKEND {

// Part `part` of those at `parts`: a float, and two rows of floats.
struct StatisticsPart {
  float *count, *mean, *squares;
  StatisticsPart(float* parts, Index channels, Index part)
      : count(parts + part * size(channels)),
        mean(count + kLine),
        squares(mean + round_up(channels, kLine)) {}
  static Index size(Index channels) { return kLine + 2 * round_up(channels, kLine); }
};

inline constexpr float kMagnified = 16;

// Channels [first, first + live) of a part. for_each_run(body) calls body(y, pixels) for every run
// of `pixels` pixels, `stride` floats apart, with y at channel `first` of the run's first; it is
// called once or twice for each vector of channels.
template <class ForEachRun>
ETUDE_INLINE void write_statistics(const StatisticsPart& part, Index first, Index live,
                                   Index stride, ForEachRun&& for_each_run) {
  for_each_vector(live, [&](Index i, auto at) {
    constexpr Index side = 4;  // sums side by side, which hides an addition's latency
    Vec shift{}, mean{}, about{};
    Index count = 0;
    for (bool again = false;; again = true) {
      Vec sum[side] = {}, squares[side] = {};
      count = 0;
      for_each_run([&](const float* y, Index pixels) {
        if (count == 0 && !again) shift = at.load(y + i);
        count += pixels;
        const auto add = [&](Index pixel, Index k) {
          const Vec d = at.load(y + pixel * stride + i) - shift;
          sum[k] += d;
          squares[k] = fma(d, d, squares[k]);
        };
        Index j = 0;
        for (; j + side <= pixels; j += side)
          for (Index k = 0; k < side; ++k) add(j + k, k);
        for (; j < pixels; ++j) add(j, 0);
      });
      const Vec total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      const Vec off = total * splat(1 / static_cast<float>(count));
      const Vec about_shift = (squares[0] + squares[1]) + (squares[2] + squares[3]);
      about = about_shift - total * off;
      mean = shift + off;
      if (again || !any(about * splat(kMagnified) < about_shift)) break;
      shift = mean;
    }
    at.store(part.mean + first + i, mean);
    at.store(part.squares + first + i, about < Vec{} ? Vec{} : about);
    if (first + i == 0) *part.count = static_cast<float>(count);
  });
}

// All parts as one slice of batch norm's.
inline void merge_statistics(float* parts, Index count, Index channels, const NormSums& sums) {
  double before = 0;
  for (Index c = 0; c < channels; ++c) sums.first[c] = sums.second[c] = 0;
  for (Index i = 0; i < count; ++i) {
    const StatisticsPart part(parts, channels, i);
    const double n = *part.count, share = n / (before + n), weight = before * share;
    for (Index c = 0; c < channels; ++c) {
      const double delta = part.mean[c] - sums.first[c];
      sums.first[c] += delta * share;
      sums.second[c] += part.squares[c] + delta * delta * weight;
    }
    before += n;
  }
}

}  // namespace etude::ETUDE_BACKEND
