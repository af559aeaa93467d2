// Short-time Fourier transform:
//   spectrum[clip, f, k] = sum over n of x[f hop + n (- n_fft / 2)] window[n] exp(-2 pi i n k /
//   n_fft)
//
// Mapping: a group of kLanes frames is gathered, windowed and transposed into lanes, transformed
// (fft.h), untangled and transposed back into rows of the output; groups are shared out among the
// threads. Scratch: n_fft kLanes floats a thread (about four times as much for lengths that need
// Bluestein) and up to 16 KB of its stack. Arithmetic: about 2.5 n_fft log2 n_fft a frame. Bytes:
// each sample is read n_fft / hop times from cache, 4 (n_fft + 2) bytes a frame written. A frame's
// result depends on its samples alone, never on its group or the number of threads.
#include "kernels/cpu/frames.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Bins that are untangled and stored at a time, from either end of the spectrum.
constexpr Index kRun = 64;

// `count` bins of kLanes frames to `frames` rows of the output, `length` floats apart. Four rows at
// a time, each by a run of 512 bytes: where rows are a page or more, the same column of sixteen
// falls into two or three sets of the first-level cache, and a line that waited half full for the
// next column would be gone by then.
void store_bins(const float* bins, Index count, Index frames, Index length, float* out) {
  const Index width = 2 * count;
  for (Index row = 0; row < frames; row += 4, out += 4 * length) {
    for (Index i = 0; i < width; i += kLanes) {
      Vec v[4];
      const auto transposed_columns = [&](auto column) {
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c)
          v[c] = load_blocks([&](int b) { return bins + column(i + 4 * b + c) * kLanes + row; });
        transpose_blocks(v[0], v[1], v[2], v[3]);
      };
      if (i + kLanes <= width && row + 4 <= frames) {
        transposed_columns([](Index c) { return c; });
#pragma GCC unroll 4
        for (int l = 0; l < 4; ++l) store(out + l * length + i, v[l]);
      } else {
        transposed_columns([last = width - 1](Index c) { return min_of(c, last); });
        for (Index l = 0; l < min_of(4, frames - row); ++l)
          store_n(out + l * length + i, v[l], min_of(kLanes, width - i));
      }
    }
  }
}

// Z to X and from lanes to rows. A pair of coefficients gives a pair of bins, k and N / 2 - k; the
// partner of Z[0] is Z[0] itself.
void store_spectrum(const FramePlan& plan, const FrameGroup& group, const float* data,
                    float* spectrum) {
  const FftPlan& half = *plan.fft.half;
  const Index points = half.points, length = 2 * (points + 1), pairs = points / 2 + 1;
  float* const out = spectrum + (group.clip * plan.shape.frames() + group.frame) * length;
  const auto point = [&](Index k) { return data + half.position[k] * kPoint; };
  alignas(64) float low[kRun * kPoint], high[kRun * kPoint];
  for (Index first = 0; first < pairs; first += kRun) {
    const Index count = min_of(kRun, pairs - first);
    for (Index i = 0; i < count; ++i) {
      const Index k = first + i;
      float* const a = low + i * kPoint;
      float* const b = high + (count - 1 - i) * kPoint;
      const Untangled u = untangle(point(k), point(k ? points - k : 0), plan.fft.twiddle + 2 * k);
      store(a, u.even_re + u.odd_re);
      store(a + kLanes, u.even_im + u.odd_im);
      store(b, u.even_re - u.odd_re);
      store(b + kLanes, u.odd_im - u.even_im);
    }
    // Where k = N / 4 both bins of the pair are one, and the lower is stored last.
    store_bins(high, count, group.count, length, out + 2 * (points + 1 - first - count));
    store_bins(low, count, group.count, length, out + 2 * first);
  }
}

}  // namespace

std::size_t stft_workspace(const StftShape& p) { return FramePlan(p, 0).workspace(); }

void stft(Stream, const StftShape& p, const float* x, const float* window, float* spectrum,
          void* work) {
  const FramePlan plan(p, 0);
  for_each_group(plan, work, [&](const FrameGroup& group, float* scratch) {
    transform_frames(plan, group, x, window, scratch);
    store_spectrum(plan, group, scratch, spectrum);
  });
}

}  // namespace etude::ETUDE_BACKEND
