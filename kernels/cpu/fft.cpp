// In-place mixed-radix decimation-in-frequency FFT (Cooley and Tukey 1965; Singleton 1969), and
// Bluestein's chirp convolution for lengths with large prime factors.
#include "kernels/cpu/fft.h"

namespace etude::ETUDE_BACKEND {
namespace {

struct Complex {
  Vec re, im;
};

ETUDE_INLINE Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
ETUDE_INLINE Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
ETUDE_INLINE Complex times_minus_i(Complex a) { return {a.im, -a.re}; }

// a (w[0] + i w[1])
ETUDE_INLINE Complex times(Complex a, const float* w) {
  const Vec re = splat(w[0]), im = splat(w[1]);
  return {fma(a.re, re, -(a.im * im)), fma(a.re, im, a.im * re)};
}

ETUDE_INLINE Complex load_point(const float* p) {
  const auto* v = reinterpret_cast<const Vec*>(p);
  return {v[0], v[1]};
}
ETUDE_INLINE void store_point(float* p, Complex a) {
  auto* v = reinterpret_cast<Vec*>(p);
  v[0] = a.re;
  v[1] = a.im;
}

// x := DFT of x, in natural order.
ETUDE_INLINE void butterfly(Complex (&x)[2]) {
  const Complex a = x[0];
  x[0] = a + x[1];
  x[1] = a - x[1];
}

ETUDE_INLINE void butterfly(Complex (&x)[4]) {
  const Complex a = x[0] + x[2], b = x[0] - x[2];
  const Complex c = x[1] + x[3], d = times_minus_i(x[1] - x[3]);
  x[0] = a + c;
  x[1] = b + d;
  x[2] = a - c;
  x[3] = b - d;
}

ETUDE_INLINE void butterfly(Complex (&x)[8]) {
  Complex even[4], odd[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    even[i] = x[i] + x[i + 4];
    odd[i] = x[i] - x[i + 4];
  }
  // odd[i] *= exp(-2 pi i / 8)^i
  const Vec h = splat(0.70710678118654752f);
  odd[1] = {h * (odd[1].re + odd[1].im), h * (odd[1].im - odd[1].re)};
  odd[2] = times_minus_i(odd[2]);
  odd[3] = {h * (odd[3].im - odd[3].re), -(h * (odd[3].re + odd[3].im))};
  butterfly(even);
  butterfly(odd);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = even[i];
    x[2 * i + 1] = odd[i];
  }
}

// Small odd primes: with a[j] = x[j] + x[P-j] and b[j] = x[j] - x[P-j], outputs k and P - k share
//   x[0] + sum a[j] cos(2 pi j k / P)   and   -i sum b[j] sin(2 pi j k / P).
template <int P>
ETUDE_INLINE void odd_butterfly(Complex (&x)[P], const Complex (&roots)[P]) {
  constexpr int half = P / 2;
  Complex a[half], b[half], sum = x[0];
#pragma GCC unroll 8
  for (int j = 0; j < half; ++j) {
    a[j] = x[j + 1] + x[P - 1 - j];
    b[j] = x[j + 1] - x[P - 1 - j];
    sum = sum + a[j];
  }
  Complex y[P];
#pragma GCC unroll 8
  for (int k = 1; k <= half; ++k) {
    Complex c = x[0], s{};
#pragma GCC unroll 8
    for (int j = 0; j < half; ++j) {
      const Complex w = roots[(j + 1) * k % P];
      c = {fma(a[j].re, w.re, c.re), fma(a[j].im, w.re, c.im)};
      s = {fma(b[j].re, w.im, s.re), fma(b[j].im, w.im, s.im)};
    }
    s = times_minus_i(s);
    y[k] = c + s;
    y[P - k] = c - s;
  }
  x[0] = sum;
#pragma GCC unroll 8
  for (int k = 1; k < P; ++k) x[k] = y[k];
}

// One pass over `blocks` adjacent blocks of radix * span points.
template <int R>
void pass(const FftStage& stage, Index blocks, float* data) {
  [[maybe_unused]] Complex roots[R];
  if constexpr (R % 2) {
    for (int t = 0; t < R; ++t)
      roots[t] = {splat(stage.roots[2 * t]), splat(stage.roots[2 * t + 1])};
  }
  const Index step = stage.span * kPoint;
  const auto column = [&](float* p, auto twiddle) {
    Complex x[R];
#pragma GCC unroll 8
    for (int q = 0; q < R; ++q) x[q] = load_point(p + q * step);
    if constexpr (R % 2)
      odd_butterfly<R>(x, roots);
    else
      butterfly(x);
    store_point(p, x[0]);
#pragma GCC unroll 8
    for (int q = 1; q < R; ++q) store_point(p + q * step, twiddle(x[q], q));
  };
  for (Index block = 0; block < blocks; ++block, data += R * step) {
    column(data, [](Complex x, int) { return x; });  // twiddle[0] is 1
    for (Index j = 1; j < stage.span; ++j) {
      const float* w = stage.twiddle + 2 * (R - 1) * j - 2;
      column(data + j * kPoint, [w](Complex x, int q) { return times(x, w + 2 * q); });
    }
  }
}

// The same for any odd prime radix up to FftPlan::kMaxRadix, (R - 1)^2 multiply-adds a butterfly.
void pass_any(const FftStage& stage, Index blocks, float* data) {
  const auto radix = static_cast<int>(stage.radix);
  const int half = radix / 2;
  const Index step = stage.span * kPoint;
  Complex a[FftPlan::kMaxRadix / 2], b[FftPlan::kMaxRadix / 2];
  for (Index block = 0; block < blocks; ++block, data += radix * step) {
    const float* w = stage.twiddle;
    for (Index j = 0; j < stage.span; ++j, w += 2 * (radix - 1)) {
      float* p = data + j * kPoint;
      const Complex first = load_point(p);
      Complex sum = first;
      for (int i = 0; i < half; ++i) {
        const Complex u = load_point(p + (i + 1) * step);
        const Complex v = load_point(p + (radix - 1 - i) * step);
        a[i] = u + v;
        b[i] = u - v;
        sum = sum + a[i];
      }
      store_point(p, sum);
      for (int k = 1; k <= half; ++k) {
        Complex c = first, s{};
        for (int i = 0, turn = k; i < half; ++i) {
          const Vec cosine = splat(stage.roots[2 * turn]), sine = splat(stage.roots[2 * turn + 1]);
          c = {fma(a[i].re, cosine, c.re), fma(a[i].im, cosine, c.im)};
          s = {fma(b[i].re, sine, s.re), fma(b[i].im, sine, s.im)};
          turn += k;
          if (turn >= radix) turn -= radix;
        }
        s = times_minus_i(s);
        store_point(p + k * step, times(c + s, w + 2 * (k - 1)));
        store_point(p + (radix - k) * step, times(c - s, w + 2 * (radix - k - 1)));
      }
    }
  }
}

void run_stage(const FftStage& stage, Index blocks, float* data) {
  switch (stage.radix) {
    case 2:
      return pass<2>(stage, blocks, data);
    case 3:
      return pass<3>(stage, blocks, data);
    case 4:
      return pass<4>(stage, blocks, data);
    case 5:
      return pass<5>(stage, blocks, data);
    case 7:
      return pass<7>(stage, blocks, data);
    case 8:
      return pass<8>(stage, blocks, data);
    default:
      return pass_any(stage, blocks, data);
  }
}

// Stages from `first` on, for one block. Blocks beyond the first-level cache are finished one after
// another, depth first; smaller ones run stage by stage.
void run_stages(const FftPlan& plan, int first, float* data) {
  constexpr Index kCached = 32 * 1024 / static_cast<Index>(sizeof(float));
  if (first == plan.stage_count) return;
  const FftStage& stage = plan.stages[first];
  run_stage(stage, 1, data);
  if (stage.radix * stage.span * kPoint > kCached) {
    for (Index q = 0; q < stage.radix; ++q)
      run_stages(plan, first + 1, data + q * stage.span * kPoint);
    return;
  }
  Index blocks = stage.radix;
  for (int i = first + 1; i < plan.stage_count; ++i) {
    run_stage(plan.stages[i], blocks, data);
    blocks *= plan.stages[i].radix;
  }
}

// X = chirp . ifft(fft(chirp . z) . filter); the inverse transform is a forward one with real and
// imaginary parts exchanged before and after.
void bluestein(const FftPlan& plan, float* data, float* scratch) {
  const FftPlan& inner = *plan.convolution;
  for (Index k = 0; k < plan.points; ++k) {
    float* p = data + k * kPoint;
    store_point(p, times(load_point(p), plan.chirp + 2 * k));
  }
  for (Index i = plan.points * kPoint; i < inner.points * kPoint; ++i) data[i] = 0;
  run_stages(inner, 0, data);
  for (Index k = 0; k < inner.points; ++k) {
    const Complex x = times(load_point(data + inner.position[k] * kPoint), plan.filter + 2 * k);
    store_point(scratch + k * kPoint, {x.im, x.re});
  }
  run_stages(inner, 0, scratch);
  for (Index k = 0; k < plan.points; ++k) {
    const Complex x = load_point(scratch + inner.position[k] * kPoint);
    store_point(data + k * kPoint, times({x.im, x.re}, plan.chirp + 2 * k));
  }
}

}  // namespace

Index fft_scratch_size(const FftPlan& plan) {
  return plan.convolution ? plan.convolution->points * kPoint : 0;
}

Index fft_data_size(const FftPlan& plan) {
  return (plan.convolution ? plan.convolution->points : plan.points) * kPoint;
}

void fft(const FftPlan& plan, float* data, float* scratch) {
  if (plan.convolution)
    bluestein(plan, data, scratch);
  else
    run_stages(plan, 0, data);
}

}  // namespace etude::ETUDE_BACKEND
