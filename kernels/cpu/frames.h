// What the STFT and the mel spectrogram share: groups of kLanes frames, from samples to the
// transform of each, one frame in each lane.
//
// Untangling a real transform of N points from the complex one of N / 2, for k in [0, N / 4]:
//   E = (Z[k] + conj Z[N/2 - k]) / 2,   O = (Z[k] - conj Z[N/2 - k]) / 2i,   w = exp(-2 pi i k / N)
//   X[k] = E + w O,   X[N/2 - k] = conj(E - w O)
// Z is computed of half the samples, which is exact, and spares the divisions by two.
#pragma once

#include "kernels/cpu/fft.h"
#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {

// Frames [frame, frame + count) of one clip.
struct FrameGroup {
  Index clip, frame, count;
};

// How a problem is cut into groups, and the scratch that a thread needs for one.
struct FramePlan {
  const StftShape& shape;
  const RealFftPlan& fft;
  Index extra;  // floats of scratch a thread that the kernel itself asks for

  FramePlan(const StftShape& p, Index extra_floats);
  Index groups_per_clip() const { return ceil_div(shape.frames(), kLanes); }
  Index groups() const { return shape.clips * groups_per_clip(); }
  FrameGroup group(Index i) const;
  // From one thread's scratch to the next one's, in floats, and where its extra part begins.
  Index scratch_step() const { return round_up(fft_size() + extra, kLine) + kApart; }
  float* extra_scratch(float* scratch) const { return scratch + fft_size(); }
  Index fft_size() const { return fft_data_size(*fft.half) + fft_scratch_size(*fft.half); }
  // Roughly the arithmetic of everything, in float operations.
  Index work() const { return groups() * kLanes * shape.n_fft * 30; }
  int threads() const { return threads_for(groups(), work()); }
  std::size_t workspace() const {
    return static_cast<std::size_t>(threads() * scratch_step() - kApart) * sizeof(float);
  }
};

// Gathers the frames of a group, windows and transforms them: on return coefficient k of the
// complex transform, halved, is at point fft.half->position[k] of `scratch` (fft.h). The frames
// that a group lacks to kLanes repeat the last one.
void transform_frames(const FramePlan& plan, const FrameGroup& group, const float* x,
                      const float* window, float* scratch);

// body(group, scratch) for all groups, each on one thread; `work` has plan.workspace() bytes. A
// thread keeps its scratch.
template <class Body>
void for_each_group(const FramePlan& plan, void* work, Body&& body) {
  auto* scratch = static_cast<float*>(work);
  share_items(plan.groups(), plan.threads(), [&](Index i, int thread) {
    body(plan.group(i), scratch + thread * plan.scratch_step());
  });
}

// E and w O of a pair of halved coefficients.
struct Untangled {
  Vec even_re, even_im, odd_re, odd_im;
};
ETUDE_INLINE Untangled untangle(const float* a, const float* b, const float* w) {
  const Vec a_re = load(a), a_im = load(a + kLanes), b_re = load(b), b_im = load(b + kLanes);
  const Vec re = splat(w[0]), im = splat(w[1]);
  const Vec x = a_im + b_im, y = b_re - a_re;  // (Z[k] - conj Z[N/2 - k]) / i
  return {a_re + b_re, a_im - b_im, fma(re, x, -(im * y)), fma(re, y, im * x)};
}

}  // namespace etude::ETUDE_BACKEND
