#include "kernels/cpu/frames.h"

#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Sample i of a clip that is padded on both sides.
float padded_sample(const StftShape& p, const float* clip, Index i) {
  if (i < 0 || i >= p.samples) {
    if (p.pad_mode == PadMode::zero) return 0;
    i = i < 0 ? -i : 2 * (p.samples - 1) - i;
  }
  return clip[i];
}

// kLanes samples of a frame that starts at sample `start` of the clip, from point n of the frame.
Vec padded_samples(const StftShape& p, const float* clip, Index start, Index n) {
  const Index i = start + n;
  if (i >= 0 && i + kLanes <= p.samples && n + kLanes <= p.n_fft) return load(clip + i);
  Vec v{};
  for (Index l = 0; l < min_of(kLanes, p.n_fft - n); ++l) v[l] = padded_sample(p, clip, i + l);
  return v;
}

}  // namespace

FramePlan::FramePlan(const StftShape& p, Index extra_floats)
    : shape(p), fft(real_fft_plan(p.n_fft)), extra(extra_floats) {}

FrameGroup FramePlan::group(Index i) const {
  const Index clip = i / groups_per_clip();
  const Index frame = i % groups_per_clip() * kLanes;
  return {clip, frame, min_of(kLanes, shape.frames() - frame)};
}

void transform_frames(const FramePlan& plan, const FrameGroup& group, const float* x,
                      const float* window, float* scratch) {
  const StftShape& p = plan.shape;
  const float* clip = x + group.clip * p.samples;
  Index start[kLanes];  // of each frame, in the clip
  for (Index l = 0; l < kLanes; ++l)
    start[l] = (group.frame + min_of(l, group.count - 1)) * p.hop - (p.centred ? p.n_fft / 2 : 0);
  const bool inside = start[0] >= 0 && start[kLanes - 1] + p.n_fft <= p.samples;

  // z[m] = x[2 m] + i x[2 m + 1]: the rows of real and imaginary parts alternate as the samples do.
  for (Index n = 0; n < p.n_fft; n += kLanes) {
    const bool whole = n + kLanes <= p.n_fft;
    const Vec w = whole ? load(window + n) : load_n(window + n, p.n_fft - n);
    Vec v[kLanes];
    if (inside && whole) {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) v[l] = w * load(clip + start[l] + n);
    } else {
      for (int l = 0; l < kLanes; ++l) v[l] = w * padded_samples(p, clip, start[l], n);
    }
    transpose(v);
    float* rows = scratch + n * kLanes;
    if (whole) {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) store(rows + l * kLanes, v[l]);
    } else {
      for (Index l = 0; l < p.n_fft - n; ++l) store(rows + l * kLanes, v[l]);
    }
  }
  fft(*plan.fft.half, scratch, scratch + fft_data_size(*plan.fft.half));
}

}  // namespace etude::ETUDE_BACKEND
