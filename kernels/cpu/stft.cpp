// Short-time Fourier transform:
//   spectrum[clip, f, k] = sum over n of x[f hop + n (- n_fft / 2)] window[n] exp(-2 pi i n k /
//   n_fft)
//
// Mapping: a group of kLanes frames is gathered, windowed and transposed into lanes, transformed
// (fft.h), untangled and transposed back into rows of the output; groups are shared out among the
// threads. Scratch: n_fft kLanes floats a thread (about four times as much for lengths that need
// Bluestein) and up to 18 KB of its stack. Arithmetic: about 2.5 n_fft log2 n_fft a frame. Bytes:
// each sample is read n_fft / hop times from cache, 4 (n_fft + 2) bytes a frame written. A frame's
// result depends on its samples alone, never on its group or the number of threads.
#include "kernels/cpu/frames.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Bins that are untangled and stored at a time, from either end of the spectrum: rows of the output
// grow by 512 bytes. Where rows are a page or more, the same column of sixteen falls into two or
// three sets of the first-level cache, and a line that waited half full for its other half would be
// gone by then. They are put together in rows of kRow floats, an odd number of cache lines.
constexpr Index kRun = 64, kRow = 2 * kRun + 16;

// `width` floats of the first `frames` rows to rows of the output, `length` floats apart.
void store_rows(const float* rows, Index width, Index frames, Index length, float* out) {
  for (Index row = 0; row < frames; ++row, rows += kRow, out += length)
    for_each_vector(width, [&](Index i, auto at) { at.store(out + i, at.load(rows + i)); });
}

// Z to X and from lanes to rows. A pair of coefficients gives a pair of bins, k and N / 2 - k; the
// partner of Z[0] is Z[0] itself.
void store_spectrum(const FramePlan& plan, const FrameGroup& group, const float* data,
                    float* spectrum) {
  constexpr Index at_once =
      kLanes / 2;  // pairs: a square of real and imaginary parts at either end
  const FftPlan& half = *plan.fft.half;
  const Index points = half.points, length = 2 * (points + 1), pairs = points / 2 + 1;
  float* const out = spectrum + (group.clip * plan.shape.frames() + group.frame) * length;
  const auto point = [&](Index k) { return data + half.position[k] * kPoint; };
  alignas(64) float low[kLanes * kRow], high[kLanes * kRow];
  for (Index first = 0; first < pairs; first += kRun) {
    const Index count = min_of(kRun, pairs - first);
    for (Index i = 0; i < count; i += at_once) {
      Vec a[kLanes], b[kLanes];
#pragma GCC unroll 8
      for (Index j = 0; j < at_once; ++j) {
        const Index k = min_of(first + i + j, pairs - 1);
        const Untangled u = untangle(point(k), point(k ? points - k : 0), plan.fft.twiddle + 2 * k);
        a[2 * j] = u.even_re + u.odd_re;
        a[2 * j + 1] = u.even_im + u.odd_im;
        b[kLanes - 2 - 2 * j] = u.even_re - u.odd_re;
        b[kLanes - 1 - 2 * j] = u.odd_im - u.even_im;
      }
      transpose(a);
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) store(low + l * kRow + 2 * i, a[l]);
      transpose(b);
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) store(high + l * kRow + 2 * (kRun - i - at_once), b[l]);
    }
    // Where k = N / 4 both bins of the pair are one, and the lower is stored last.
    store_rows(high + 2 * (kRun - count), 2 * count, group.count, length,
               out + 2 * (points + 1 - first - count));
    store_rows(low, 2 * count, group.count, length, out + 2 * first);
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
