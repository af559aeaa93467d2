// Short-time Fourier transform:
//   spectrum[clip, f, k] = sum over n of x[f hop + n (- n_fft / 2)] window[n] exp(-2 pi i n k /
//   n_fft)
//
// Mapping: a group of kLanes frames is gathered, windowed and transposed into lanes, transformed
// (fft.h), untangled and transposed back into rows of the output; groups are shared out among the
// threads. Scratch: n_fft kLanes floats a thread (about four times as much for lengths that need
// Bluestein) and up to 24 KB of its stack. Arithmetic: about 2.5 n_fft log2 n_fft a frame. Bytes:
// each sample is read n_fft / hop times from cache, 4 (n_fft + 2) bytes a frame written. A frame's
// result depends on its samples alone, never on its group or the number of threads.
#include "kernels/cpu/frames.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Bins that are untangled and stored at a time, from either end of the spectrum.
constexpr Index kRun = 64;

// `width` vectors of kLanes rows to `count` rows of the output, `stride` floats apart.
ETUDE_INLINE void transpose_rows(const float* vectors, Index width, Index count, Index stride,
                                 float* out) {
  for (Index i = 0; i < width; i += kLanes) {
    Vec v[kLanes];
    if (i + kLanes <= width && count == kLanes) {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) v[l] = load(vectors + (i + l) * kLanes);
      transpose(v);
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) store(out + l * stride + i, v[l]);
    } else {
      for (int l = 0; l < kLanes; ++l) v[l] = load(vectors + min_of(i + l, width - 1) * kLanes);
      transpose(v);
      const Index n = min_of(kLanes, width - i);
      for (Index l = 0; l < count; ++l) store_n(out + l * stride + i, v[l], n);
    }
  }
}

// `count` bins of kLanes frames to rows of the output, `length` floats apart. Where rows are a page
// or more, a column of 16 of them falls into two or three sets of the first-level cache: a line
// that waited half full for the next column would be gone by then. So each row grows by whole runs.
void store_bins(const float* bins, Index count, Index frames, Index length, float* out) {
  if (kLanes < 8 || length < 1024) return transpose_rows(bins, 2 * count, frames, length, out);
  alignas(64) float rows[kLanes * 2 * kRun];
  transpose_rows(bins, 2 * count, kLanes, 2 * kRun, rows);
  for (Index f = 0; f < frames; ++f, out += length) {
    const float* const row = rows + f * 2 * kRun;
    if (count == kRun) {
#pragma GCC unroll 16
      for (Index i = 0; i < 2 * kRun; i += kLanes) store(out + i, load(row + i));
    } else {
      for_each_vector(2 * count, [&](Index i, auto at) { at.store(out + i, at.load(row + i)); });
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
      store(a, 0.5f * (u.even_re + u.odd_re));
      store(a + kLanes, 0.5f * (u.even_im + u.odd_im));
      store(b, 0.5f * (u.even_re - u.odd_re));
      store(b + kLanes, 0.5f * (u.odd_im - u.even_im));
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
