// What training does to a batch of spectrograms, all at once: reference/augment.cpp has the
// formula.
//
// Mapping: a row, one band of one sample, is an item of work; a thread makes it in pieces of up to
// 256 frames, so that the partner's piece, where samples are mixed, fits on the stack and both stay
// in the first-level cache. Every element depends on its inputs alone: threads change no bit.
//
// Cost: without interpolation bound by memory, 8 bytes an element, 12 with mixing. Interpolation in
// time gathers two numbers an element, between bands it reads two rows. Noise is the most: some 35
// float64 operations an element for the numbers that every back end draws (host/random.h), one
// counter for four elements.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/host/random.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr Index kPiece = 256;

// Frames begin <= f < begin + count of a row.
struct Piece {
  Index sample, band, begin, count;
};

struct Batch {
  AugmentShape p;
  const AugmentSample* samples;
  const float *band_at, *frame_at, *x;
};

// The frames of one band of x, in time as frame_at says; padding is left alone.
void in_time(const Batch& b, const Piece& piece, Index band, float* out) {
  const float* row = b.x + (piece.sample * b.p.bands + band) * b.p.source_frames;
  if (!b.frame_at) {
    std::copy_n(row + piece.begin, piece.count, out);
    return;
  }
  const float* at = b.frame_at + piece.sample * b.p.frames + piece.begin;
  const auto last = static_cast<int>(b.p.source_frames - 1);
  for (Index f = 0; f < piece.count; ++f) {
    const int low = max_of(0, static_cast<int>(at[f])), high = min_of(low + 1, last);
    out[f] = row[low] + (at[f] - static_cast<float>(low)) * (row[high] - row[low]);
  }
}

void source(const Batch& b, const Piece& piece, float* out) {
  if (!b.band_at) {
    in_time(b, piece, piece.band, out);
  } else {
    const float at = b.band_at[piece.sample * b.p.bands + piece.band];
    const auto low = static_cast<Index>(at);
    const float share = at - static_cast<float>(low);
    float above[kPiece];
    in_time(b, piece, low, out);
    in_time(b, piece, min_of(low + 1, b.p.bands - 1), above);
    for (Index f = 0; f < piece.count; ++f) out[f] += share * (above[f] - out[f]);
  }
  if (!b.frame_at) return;
  const float* at = b.frame_at + piece.sample * b.p.frames + piece.begin;
  for (Index f = 0; f < piece.count; ++f)
    if (at[f] < 0) out[f] = static_cast<float>(b.p.pad);
}

// out += noise z of elements first <= i < first + count of the sample.
void add_noise(const AugmentSample& s, Index first, Index count, float* out) {
  for (Index quad = first / lanes_per_counter; quad * lanes_per_counter < first + count; ++quad) {
    const Lanes lanes =
        philox(s.noise_stream.offset + static_cast<std::uint64_t>(quad), s.noise_stream.seed);
    double z[lanes_per_counter];
    normal_pair(lanes.b[0], lanes.b[1], z[0], z[1]);
    normal_pair(lanes.b[2], lanes.b[3], z[2], z[3]);
    for (Index lane = 0; lane < lanes_per_counter; ++lane) {
      const Index i = quad * lanes_per_counter + lane - first;
      if (i >= 0 && i < count) out[i] += s.noise * static_cast<float>(z[lane]);
    }
  }
}

void augmented(const Batch& b, const Piece& piece, float* out) {
  const AugmentSample& s = b.samples[piece.sample];
  for (const auto& mask : s.bands)
    if (piece.band >= mask.begin && piece.band < mask.end) {
      std::fill_n(out, piece.count, 0.0f);
      return;
    }
  source(b, piece, out);
  const float place =
      b.p.bands > 1 ? 2 * static_cast<float>(piece.band) / static_cast<float>(b.p.bands - 1) - 1
                    : 0;
  const float shift = s.gain + s.tilt * place;
  for (Index f = 0; f < piece.count; ++f) out[f] += shift;
  if (s.noise > 0) add_noise(s, piece.band * b.p.frames + piece.begin, piece.count, out);
  for (const auto& mask : s.frames)
    for (Index f = max_of(piece.begin, Index{mask.begin});
         f < min_of(piece.begin + piece.count, Index{mask.end}); ++f)
      out[f - piece.begin] = 0;
}

}  // namespace

void augment(Stream, const AugmentShape& p, const AugmentSample* samples, const float* band_at,
             const float* frame_at, const T* x, T* y) {
  const Batch b{p, samples, band_at, frame_at, x};
  const Index rows = p.n * p.bands;
  parallel_for(rows, 4 * rows * p.frames, [&](Index row) {
    const AugmentSample& s = samples[row / p.bands];
    for (Index begin = 0; begin < p.frames; begin += kPiece) {
      Piece piece{row / p.bands, row % p.bands, begin, min_of(kPiece, p.frames - begin)};
      float* out = y + row * p.frames + begin;
      augmented(b, piece, out);
      if (s.partner < 0) continue;
      float other[kPiece];
      piece.sample = s.partner;
      augmented(b, piece, other);
      for (Index f = 0; f < piece.count; ++f) out[f] = s.mix * out[f] + (1 - s.mix) * other[f];
    }
  });
}

}  // namespace etude::ETUDE_BACKEND
