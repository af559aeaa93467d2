// One frame of a short-time Fourier transform, by the definition.
#pragma once

#include <cmath>
#include <numbers>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

// Scratch in doubles: the windowed frame and cos, sin of 2 pi t / n_fft for all t.
inline Index dft_scratch(const StftShape& p) { return 3 * p.n_fft; }

inline void dft_tables(const StftShape& p, double* scratch) {
  for (Index t = 0; t < p.n_fft; ++t) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(t) / static_cast<double>(p.n_fft);
    scratch[p.n_fft + t] = std::cos(angle);
    scratch[2 * p.n_fft + t] = std::sin(angle);
  }
}

// frame[n] = x[f hop + n - pad] window[n], zero or mirrored outside the clip.
inline void windowed_frame(const StftShape& p, const T* clip, const T* window, Index f,
                           double* frame) {
  for (Index n = 0; n < p.n_fft; ++n) {
    Index i = f * p.hop + n - (p.centred ? p.n_fft / 2 : 0);
    const bool outside = i < 0 || i >= p.samples;
    if (outside && p.pad_mode == PadMode::reflect) i = i < 0 ? -i : 2 * (p.samples - 1) - i;
    const bool silent = outside && p.pad_mode == PadMode::zero;
    frame[n] = silent ? 0 : static_cast<double>(clip[i]) * static_cast<double>(window[n]);
  }
}

struct Bin {
  double re, im;
};

// X[k] = sum over n of frame[n] exp(-2 pi i n k / N); n k is reduced modulo N, so that the angle
// keeps its digits.
inline Bin dft_bin(const StftShape& p, const double* scratch, Index k) {
  const double* cosine = scratch + p.n_fft;
  const double* sine = scratch + 2 * p.n_fft;
  Bin x{0, 0};
  for (Index n = 0, turn = 0; n < p.n_fft; ++n, turn = (turn + k) % p.n_fft) {
    x.re += scratch[n] * cosine[turn];
    x.im -= scratch[n] * sine[turn];
  }
  return x;
}

}  // namespace etude::ETUDE_BACKEND
