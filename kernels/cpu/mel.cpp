// Log-mel spectrograms in one pass from samples.
#include "kernels/cpu/decibel.h"
#include "kernels/cpu/frames.h"

namespace etude::ETUDE_BACKEND {
namespace {

// |X[k]|^2 of all frames: power[k kLanes ...], k <= N / 2.
void power_spectrum(const RealFftPlan& plan, const float* data, float* power) {
  // Copies: a store of floats could otherwise change the plan, for all the compiler knows.
  const std::int32_t* const position = plan.half->position;
  const float* const twiddle = plan.twiddle;
  const Index points = plan.half->points;
  const auto point = [&](Index k) { return data + position[k] * Index{2 * kLanes}; };
  const Vec sum = 2.0f * (load(point(0)) + load(point(0) + kLanes));
  const Vec difference = 2.0f * (load(point(0)) - load(point(0) + kLanes));
  store(power, sum * sum);
  store(power + points * kLanes, difference * difference);
  for (Index k = 1; 2 * k <= points; ++k) {
    const Untangled u = untangle(point(k), point(points - k), twiddle + 2 * k);
    const Vec a_re = u.even_re + u.odd_re, a_im = u.even_im + u.odd_im;
    const Vec b_re = u.even_re - u.odd_re, b_im = u.even_im - u.odd_im;
    store(power + (points - k) * kLanes, fma(b_re, b_re, b_im * b_im));
    store(power + k * kLanes, fma(a_re, a_re, a_im * a_im));
  }
}

// sum over the filter's bins of weight power; four partial sums hide the latency of the adds.
ETUDE_INLINE Vec filtered(const float* power, const float* weights, Index count) {
  Vec sum[4] = {};
  Index i = 0;
  for (; i + 4 <= count; i += 4)
#pragma GCC unroll 4
    for (Index j = 0; j < 4; ++j)
      sum[j] = fma(load(power + (i + j) * kLanes), splat(weights[i + j]), sum[j]);
  for (; i < count; ++i) sum[0] = fma(load(power + i * kLanes), splat(weights[i]), sum[0]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

ETUDE_INLINE Vec scaled(Vec v, LogScale scale, Vec floor) {
  switch (scale) {
    case LogScale::db:
      return decibel(v < floor ? floor : v);  // a NaN is not below the floor, and stays
    case LogScale::db_offset:
      return decibel(v + floor);
    default:
      return v;
  }
}

// The samples that the next group has beyond those of this one, to be fetched in at most
// `parts` parts while this one is at work on what it has in the caches.
class NextSamples {
 public:
  NextSamples(const StftShape& p, const FrameGroup& group, const float* x, Index parts)
      : lines_(ceil_div(kLanes * p.hop, kLine * parts)) {
    const bool last = group.frame + kLanes >= p.frames();  // of its clip
    const Index first = last ? (group.clip + 1) * p.samples
                             : group.clip * p.samples + (group.frame + kLanes) * p.hop -
                                   (p.centred ? p.n_fft / 2 : 0) + max_of(0, p.n_fft - p.hop);
    const Index end = p.clips * p.samples, part = lines_ * kLine;
    parts_ = min_of(ceil_div(kLanes * p.hop, part), max_of(0, end - first) / part);
    first_ = x + min_of(first, end);
  }
  ETUDE_INLINE void fetch(Index part) const {
    if (part >= parts_) return;
    for (Index i = part * lines_; i < (part + 1) * lines_; ++i)
      __builtin_prefetch(first_ + i * kLine);
  }

 private:
  Index lines_, parts_;
  const float* first_;
};

}  // namespace

std::size_t mel_spectrogram_workspace(const StftShape& p, Index) {
  return FramePlan(p, p.bins() * kLanes).workspace();
}

// y[clip, m, f] = log( sum over k of filter[m, k] |X[f, k]|^2 ), as `log_scale` says.
//
// Mapping: as stft(), but the spectrum of a group of kLanes frames never leaves the cache:
// untangled to power (n_fft / 2 + 1 rows), filtered, and kLanes adjacent frames of each band are
// stored as one vector, while the next group's samples are fetched. Scratch: 1.5 n_fft kLanes
// floats a thread (more with Bluestein), kApart from the next one's. Arithmetic
// a frame: about 2.5 n_fft log2 n_fft for the transform, 7 n_fft for window, untangling and power,
// two operations for each filter weight. Independent of the number of threads.
void mel_spectrogram(Stream, const StftShape& p, const MelFilters& filters, LogScale log_scale,
                     double floor, const float* x, const float* window, float* y, void* work) {
  const FramePlan plan(p, p.bins() * kLanes);
  const Vec floor_vec = splat(static_cast<float>(floor));
  for_each_group(plan, work, [&](const FrameGroup& group, float* scratch) {
    float* power = plan.extra_scratch(scratch);
    transform_frames(plan, group, x, window, scratch);
    power_spectrum(plan.fft, scratch, power);
    float* out = y + group.clip * filters.n_mels * p.frames() + group.frame;
    const NextSamples next(p, group, x, filters.n_mels);
    for (Index m = 0; m < filters.n_mels; ++m, out += p.frames()) {
      next.fetch(m);
      const Vec energy = filtered(power + filters.first[m] * kLanes,
                                  filters.weights + filters.offset[m], filters.count[m]);
      const Vec value = scaled(energy, log_scale, floor_vec);
      if (group.count == kLanes)
        store(out, value);
      else
        store_n(out, value, group.count);
    }
  });
}

}  // namespace etude::ETUDE_BACKEND
