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

// Points [0, end) of kLanes frames that lie within the clip, hop apart; end is a multiple of
// kLanes.
void gather_inside(const float* clip, Index hop, Index end, const float* window, float* rows) {
  for (Index n = 0; n < end; n += kLanes) {
    const Vec w = 0.5f * load(window + n);
    Vec v[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) v[l] = w * load(clip + n + l * hop);
    transpose(v);
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) store(rows + (n + l) * kLanes, v[l]);
  }
}

// Points [begin, end) of frames that may reach outside the clip. Lanes beyond `count` repeat the
// last frame.
void gather_padded(const StftShape& p, const float* clip, Index start, Index count, Index begin,
                   Index end, const float* window, float* rows) {
  for (Index n = begin; n < end; n += kLanes) {
    const Vec w = 0.5f * load_n(window + n, min_of(kLanes, end - n));
    Vec v[kLanes];
    for (Index l = 0; l < kLanes; ++l)
      v[l] = w * padded_samples(p, clip, start + min_of(l, count - 1) * p.hop, n);
    transpose(v);
    for (Index l = 0; l < min_of(kLanes, end - n); ++l) store(rows + (n + l) * kLanes, v[l]);
  }
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
  const Index start = group.frame * p.hop - (p.centred ? p.n_fft / 2 : 0);
  const bool inside = start >= 0 && start + (kLanes - 1) * p.hop + p.n_fft <= p.samples;
  // z[m] = x[2 m] + i x[2 m + 1]: the rows of real and imaginary parts alternate as the samples do.
  const Index whole = p.n_fft / kLanes * kLanes;
  if (inside)
    gather_inside(clip + start, p.hop, whole, window, scratch);
  else
    gather_padded(p, clip, start, group.count, 0, whole, window, scratch);
  gather_padded(p, clip, start, group.count, whole, p.n_fft, window, scratch);
  fft(*plan.fft.half, scratch, scratch + fft_data_size(*plan.fft.half));
}

}  // namespace etude::ETUDE_BACKEND
