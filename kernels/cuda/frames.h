// Where the frames of a short-time transform lie in the samples; shared by the transforms.
#pragma once

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

// The rows of a batch: row r is frame r % frames of clip r / frames. Tiles of rows run across
// clips, so that a batch of short clips fills the machine as one long clip does.
struct FrameRows {
  Index samples, hop;
  int rows, frames;
  int n_fft, pad;  // pad: samples before the clip that frame 0 begins at
  bool reflect;
};

// Throws beyond 2^31 - 1 rows.
FrameRows frame_rows(const StftShape& p);

// One frame: sample n of it is origin[n] for lo <= n < hi, and lies outside the clip elsewhere.
struct Frame {
  const float* origin;
  int lo, hi;
};

__device__ inline Frame frame_of(const FrameRows& p, const float* x, int row) {
  const int clip = row / p.frames;
  const Index begin = Index{row - clip * p.frames} * p.hop - p.pad;
  const Index left = p.samples - begin;
  return {x + clip * p.samples + begin, begin < 0 ? static_cast<int>(-begin) : 0,
          left < p.n_fft ? static_cast<int>(left) : p.n_fft};
}

// Sample n, mirrored at the clip's ends (the end samples once) or silence outside.
__device__ inline float sample_of(const Frame& f, bool reflect, int n) {
  if (n >= f.lo && n < f.hi) return f.origin[n];
  if (!reflect) return 0.0f;
  return f.origin[n < f.lo ? 2 * f.lo - n : 2 * (f.hi - 1) - n];
}

}  // namespace etude::ETUDE_BACKEND
