// Short-time Fourier transform:
//   spectrum[clip, f, k] = sum over n of x[f hop + n (- n_fft / 2)] window[n] exp(-2 pi i n k /
//   n_fft)
//
// Mapping: a group of kLanes frames is gathered, windowed and transposed into lanes, transformed
// (fft.h), untangled in place and transposed back into rows of the output; groups are shared out
// among the threads. Scratch: n_fft kLanes floats a thread (about four times as much for lengths
// that need Bluestein). Arithmetic: about 2.5 n_fft log2 n_fft a frame. Bytes: each sample is read
// n_fft / hop times from cache, 4 (n_fft + 2) bytes a frame written. A frame's result depends on
// its samples alone, never on its group or the number of threads.
#include "kernels/cpu/frames.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Z becomes X in place; X[0] and X[N / 2], both real, share the place of Z[0].
void untangle_spectrum(const RealFftPlan& plan, float* data) {
  // Copies: a store of floats could otherwise change the plan, for all the compiler knows.
  const std::int32_t* const position = plan.half->position;
  const float* const twiddle = plan.twiddle;
  const Index points = plan.half->points;
  const auto point = [&](Index k) { return data + position[k] * Index{2 * kLanes}; };
  const Vec re = load(point(0)), im = load(point(0) + kLanes);
  store(point(0), re + im);
  store(point(0) + kLanes, re - im);
  for (Index k = 1; 2 * k <= points; ++k) {
    float* a = point(k);
    float* b = point(points - k);
    const Untangled u = untangle(a, b, twiddle + 2 * k);
    store(b, 0.5f * (u.even_re - u.odd_re));
    store(b + kLanes, 0.5f * (u.odd_im - u.even_im));
    store(a, 0.5f * (u.even_re + u.odd_re));  // last: where k = N / 4 both are one
    store(a + kLanes, 0.5f * (u.even_im + u.odd_im));
  }
}

// Columns of `data` to rows of the output: kLanes floats (kLanes / 2 bins) of all frames at a time.
void store_spectrum(const StftShape& p, const FftPlan& half, const FrameGroup& group,
                    const float* data, float* spectrum) {
  const Index length = 2 * p.bins();
  float* frames = spectrum + (group.clip * p.frames() + group.frame) * length;
  for (Index i = 0; i < length; i += kLanes) {
    Vec v[kLanes];
    for (Index l = 0; l < kLanes; l += 2) {
      const Index k = min_of(i + l, length - 2) / 2;
      const bool last = k == half.points;
      const float* row = data + half.position[last ? 0 : k] * 2 * kLanes;
      v[l] = last ? load(row + kLanes) : load(row);
      v[l + 1] = last || k == 0 ? Vec{} : load(row + kLanes);
    }
    transpose(v);
    const Index count = min_of(kLanes, length - i);
    for (Index f = 0; f < group.count; ++f) {
      if (count == kLanes)
        store(frames + f * length + i, v[f]);
      else
        store_n(frames + f * length + i, v[f], count);
    }
  }
}

}  // namespace

std::size_t stft_workspace(const StftShape& p) { return FramePlan(p, 0).workspace(); }

void stft(Stream, const StftShape& p, const float* x, const float* window, float* spectrum,
          void* work) {
  const FramePlan plan(p, 0);
  for_each_group(plan, work, [&](const FrameGroup& group, float* scratch) {
    transform_frames(plan, group, x, window, scratch);
    untangle_spectrum(plan.fft, scratch);
    store_spectrum(p, *plan.fft.half, group, scratch, spectrum);
  });
}

}  // namespace etude::ETUDE_BACKEND
