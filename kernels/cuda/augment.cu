// What training does to a batch of spectrograms x [n, bands, source_frames] -> y [n, bands,
// frames], all at once. Sample k, band b, frame f, element i = b frames + f of its sample:
//
//   r = band_at[k, b], t = frame_at[k, f]                (without them: b and f themselves)
//   x' = x[k] at (r, t), by linear interpolation: first in time, then between bands; t < 0: pad
//   v[k, b, f] = 0 in masked bands and frames, else
//                x' + gain + tilt (2 b / (bands - 1) - 1) + noise z[i]
//   y[k] = v[k], or mix v[k] + (1 - mix) v[partner]
//
// z[i] is what random_normal draws from the sample's own stream: one Philox counter for elements
// 4 q to 4 q + 3.
//
// Mapping: a block of 256 threads makes 1024 neighbouring elements of one sample, a thread four,
// for which one counter serves. They are loaded and stored as float4 where the samples' size is a
// multiple of four, else one by one, and a partner's likewise. With positions given, the numbers
// are gathered: neighbouring threads read neighbouring frames, so that what they fetch is shared in
// L1. No shared memory. What a sample gets is read by all of its threads at once.
//
// Cost: bound by memory, 8 bytes an element, 12 with a partner; gathering reads up to four numbers
// an element, mostly from L1. Noise is some 35 float64 operations an element (random.cu), twice
// with a partner: 32 x 64 x 64 elements take microseconds where float64 has 1/64 of the rate.
// Masked elements are made and then replaced, since a warp has others.
//
// Deterministic: every element is a function of its inputs alone.
// Park et al., "SpecAugment", Interspeech 2019; Zhang et al., "mixup", ICLR 2018.
#include <stdexcept>
#include <string>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/random.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = kThreads * 4;

struct Spectrograms {
  int bands, source_frames, frames;
  float pad;
  const AugmentSample* samples;
  const float *band_at, *frame_at;  // may be null
  const float* x;
};

// row[at], between its neighbours.
__device__ float between(const float* row, float at, int last) {
  const int low = static_cast<int>(at), high = min_of(low + 1, last);
  const float a = row[low];
  return fmaf(at - static_cast<float>(low), row[high] - a, a);
}

// x of a sample where band b and frame f come from.
__device__ float gather(const Spectrograms& p, Index sample, int b, int f) {
  const float t = p.frame_at ? p.frame_at[sample * p.frames + f] : static_cast<float>(f);
  if (t < 0) return p.pad;
  const float* const rows = p.x + sample * p.bands * p.source_frames;
  const auto in_band = [&](int band) {
    const float* const row = rows + Index{band} * p.source_frames;
    return p.frame_at ? between(row, t, p.source_frames - 1) : row[f];
  };
  if (!p.band_at) return in_band(b);
  const float r = p.band_at[sample * p.bands + b];
  const int low = static_cast<int>(r);
  const float below = in_band(low);
  return fmaf(r - static_cast<float>(low), in_band(min_of(low + 1, p.bands - 1)) - below, below);
}

__device__ bool within(const AugmentSample::Span& span, int i) {
  return i >= span.begin && i < span.end;
}

// The quad at element `first` of a sample, without its partner.
template <bool kGather, class Access>
__device__ Quad augmented(Access access, const Spectrograms& p, Index sample, int first) {
  const AugmentSample& s = p.samples[sample];
  Quad q{}, z{};
  if constexpr (!kGather) q = access.load(p.x + sample * p.bands * p.frames + first);
  const float noise = s.noise;
  if (noise > 0) {
    const uint4 bits =
        philox(s.noise_stream.offset + static_cast<std::uint64_t>(first / 4), s.noise_stream.seed);
    const Direction low = normal_pair(bits.x, bits.y), high = normal_pair(bits.z, bits.w);
    z = {{static_cast<float>(low.cosine), static_cast<float>(low.sine),
          static_cast<float>(high.cosine), static_cast<float>(high.sine)}};
  }
  const float gain = s.gain, tilt = s.tilt;
  const AugmentSample::Span bands[2] = {s.bands[0], s.bands[1]};
  const AugmentSample::Span frames[2] = {s.frames[0], s.frames[1]};
  int band = first / p.frames, frame = first % p.frames;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (!access.has(i)) continue;
    if constexpr (kGather) q.e[i] = gather(p, sample, band, frame);
    const float place =
        p.bands > 1 ? 2 * static_cast<float>(band) / static_cast<float>(p.bands - 1) - 1 : 0;
    const float v = fmaf(noise, z.e[i], q.e[i] + fmaf(tilt, place, gain));
    const bool masked = within(bands[0], band) || within(bands[1], band) ||
                        within(frames[0], frame) || within(frames[1], frame);
    q.e[i] = masked ? 0 : v;
    const bool last = frame + 1 == p.frames;
    frame = last ? 0 : frame + 1;
    band += last;
  }
  return q;
}

template <bool kGather, class Access>
__device__ void augment_quad(Access access, const Spectrograms& p, Index sample, int first,
                             float* y) {
  Quad q = augmented<kGather>(access, p, sample, first);
  const int partner = p.samples[sample].partner;
  if (partner >= 0) {
    const Quad other = augmented<kGather>(access, p, partner, first);
    const float mix = p.samples[sample].mix;
#pragma unroll
    for (int i = 0; i < 4; ++i) q.e[i] = fmaf(mix, q.e[i], (1 - mix) * other.e[i]);
  }
  access.store(y + sample * p.bands * p.frames + first, q);
}

template <bool kGather>
__global__ void augment_tiles(unsigned tiles, Spectrograms p, float* y) {
  const Index sample = blockIdx.x / tiles;
  const int tile = static_cast<int>(blockIdx.x % tiles), size = p.bands * p.frames;
  const int first = tile * kTile + static_cast<int>(threadIdx.x) * 4;
  if (first >= size) return;
  if (size % 4 == 0)
    augment_quad<kGather>(WholeQuad{}, p, sample, first, y);
  else
    augment_quad<kGather>(PartQuad{0, size - first}, p, sample, first, y);
}

}  // namespace

void augment(Stream s, const AugmentShape& p, const AugmentSample* samples, const float* band_at,
             const float* frame_at, const T* x, T* y) {
  const Index size = p.bands * max_of(p.frames, p.source_frames);
  if (size > 0x7fffffff - kTile)
    throw std::runtime_error("cuda: a spectrogram of " + std::to_string(size) +
                             " elements is too long");
  const auto tiles = static_cast<unsigned>(ceil_div(p.bands * p.frames, Index{kTile}));
  const Spectrograms all{static_cast<int>(p.bands),
                         static_cast<int>(p.source_frames),
                         static_cast<int>(p.frames),
                         static_cast<float>(p.pad),
                         samples,
                         band_at,
                         frame_at,
                         x};
  const LaunchShape shape{
      .grid = grid_for(p.n * tiles, 1), .block = kThreads, .stream = stream_of(s)};
  ETUDE_CUDA(launch(shape, band_at || frame_at ? augment_tiles<true> : augment_tiles<false>, tiles,
                    all, y));
}

}  // namespace etude::ETUDE_BACKEND
