// What training does to a batch of spectrograms, all at once. Sample k, band b, frame f, element
// i = b frames + f of its sample:
//
//   r = band_at[k, b], t = frame_at[k, f]                (without them: b and f themselves)
//   x' = x[k] at (r, t), by linear interpolation: first in time, then between bands; t < 0: pad
//   v[k, b, f] = 0 in masked bands and frames, else
//                x' + gain + tilt (2 b / (bands - 1) - 1) + noise z[i]
//   y[k] = v[k], or mix v[k] + (1 - mix) v[partner]
//
// z[i] is what random_normal(mean 0, deviation 1) draws from the sample's own noise_stream.
#include <algorithm>
#include <cmath>

#include "kernels/host/random.h"

namespace etude::ETUDE_BACKEND {
namespace {

// row[at] between its neighbours of the n.
double between(const T* row, double at, Index n) {
  const auto low = static_cast<Index>(at), high = std::min(low + 1, n - 1);
  const auto a = static_cast<double>(row[low]), b = static_cast<double>(row[high]);
  return a + (at - static_cast<double>(low)) * (b - a);
}

// Standard normal number i of a stream.
double normal_at(PhiloxState state, Index i) {
  const Lanes lanes =
      philox(state.offset + static_cast<std::uint64_t>(i / lanes_per_counter), state.seed);
  const Index pair = i % lanes_per_counter / 2 * 2;
  double even, odd;
  normal_pair(lanes.b[pair], lanes.b[pair + 1], even, odd);
  return i % 2 == 0 ? even : odd;
}

bool within(const AugmentSample::Span (&spans)[2], Index i) {
  return std::any_of(spans, spans + 2,
                     [i](const auto& span) { return i >= span.begin && i < span.end; });
}

}  // namespace

void augment(Stream, const AugmentShape& p, const AugmentSample* samples, const float* band_at,
             const float* frame_at, const T* x, T* y) {
  const auto source = [&](Index k, Index b, Index f) -> double {
    const T* rows = x + k * p.bands * p.source_frames;
    const double t = frame_at ? static_cast<double>(frame_at[k * p.frames + f]) : 0;
    if (t < 0) return p.pad;
    const auto in_band = [&](Index band) {
      const T* row = rows + band * p.source_frames;
      return frame_at ? between(row, t, p.source_frames) : static_cast<double>(row[f]);
    };
    if (!band_at) return in_band(b);
    const auto r = static_cast<double>(band_at[k * p.bands + b]);
    const auto low = static_cast<Index>(r), high = std::min(low + 1, p.bands - 1);
    return in_band(low) + (r - static_cast<double>(low)) * (in_band(high) - in_band(low));
  };
  const auto value = [&](Index k, Index b, Index f) -> double {
    const AugmentSample& s = samples[k];
    if (within(s.bands, b) || within(s.frames, f)) return 0;
    const double place =
        p.bands > 1 ? 2 * static_cast<double>(b) / static_cast<double>(p.bands - 1) - 1 : 0;
    double v = source(k, b, f) + static_cast<double>(s.gain) + static_cast<double>(s.tilt) * place;
    if (s.noise > 0)
      v += static_cast<double>(s.noise) * normal_at(s.noise_stream, b * p.frames + f);
    return v;
  };
#pragma omp parallel for
  for (Index k = 0; k < p.n; ++k)
    for (Index b = 0; b < p.bands; ++b)
      for (Index f = 0; f < p.frames; ++f) {
        const auto mix = static_cast<double>(samples[k].mix);
        double v = value(k, b, f);
        if (samples[k].partner >= 0) v = mix * v + (1 - mix) * value(samples[k].partner, b, f);
        y[(k * p.bands + b) * p.frames + f] = static_cast<T>(v);
      }
}

}  // namespace etude::ETUDE_BACKEND
