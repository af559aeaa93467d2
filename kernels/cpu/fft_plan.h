// What the FFT knows before it sees a sample: how a length is cut into radices, the twiddle factors
// of each stage, and where the stages leave each coefficient.
//
// A plan is plain tables of scalars, the same for every instruction set. Its source is therefore
// compiled once, outside the back ends, where it may use the standard library freely (backend.h
// says why the kernels may not). Plans are made on first use, in double precision, and kept for the
// life of the process: one for each n_fft that occurs, about 40 bytes a point.
#pragma once

#include "kernels/shapes.h"

namespace etude {

// One decimation-in-frequency pass: the `radix` inputs of a butterfly lie `span` points apart, its
// output q is multiplied by  twiddle[j][q - 1] = exp(-2 pi i j q / (radix span)),  j = 0 .. span-1.
struct FftStage {
  Index radix, span;
  const float* twiddle;  // [span][radix - 1][2]
  const float* roots;    // [radix][2]: cos and sin of 2 pi t / radix
};

// A complex transform of `points` points, X[k] = sum z[n] exp(-2 pi i n k / points).
//
// Smooth lengths run `stages` in place, which leaves X[k] at position[k] (mixed-radix digit
// reversal). A length with a prime factor above kMaxRadix is a convolution with a chirp of exactly
// that length (Bluestein), computed by the plan `convolution` of a smooth length >= 2 points - 1;
// its result is in natural order.
struct FftPlan {
  static constexpr Index kMaxRadix = 61;
  static constexpr int kMaxStages = 16;

  Index points;
  int stage_count;
  FftStage stages[kMaxStages];
  const std::int32_t* position;  // [points]

  const FftPlan* convolution;  // null for smooth lengths
  const float* chirp;          // [points][2]: exp(-i pi k^2 / points)
  const float* filter;  // [convolution->points][2]: transform of the conjugate chirp, / length
};

// n_fft real points as n_fft / 2 complex ones, z[m] = x[2m] + i x[2m + 1].
struct RealFftPlan {
  Index n_fft;
  const FftPlan* half;
  const float* twiddle;  // [n_fft / 4 + 1][2]: exp(-2 pi i k / n_fft)
};

// The plan for an even n_fft >= 2. Thread-safe; the reference stays valid.
const RealFftPlan& real_fft_plan(Index n_fft);

}  // namespace etude
