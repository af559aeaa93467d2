// Tables and row counts of the short-time transforms.
#include "kernels/cuda/fft.h"

#include <stdexcept>
#include <string>

namespace etude::ETUDE_BACKEND {
namespace {

// One thread an entry. The phase q j is a whole number, reduced by the period before it becomes an
// angle: each entry is right to half an ulp of float32. A few thousand entries a call cost less
// than the launch.
__global__ void twiddle_table(TwiddleParts parts, float2* table) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  float2* out = table + i;
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    const TwiddlePart& part = parts.part[k];
    if (i >= 0 && i < part.size) {
      const int turn = (part.first + i / part.columns) * (i % part.columns) % part.period;
      const double angle = 2.0 * turn / part.period;
      *out = make_float2(static_cast<float>(part.scale * cospi(angle)),
                         static_cast<float>(-part.scale * sinpi(angle)));
    }
    i -= part.size;
  }
}

}  // namespace

FrameRows frame_rows(const StftShape& p) {
  const Index rows = p.clips * p.frames();
  constexpr Index most = 0x7fffffff - 0xffff;  // rows of the last tile still count in an int
  if (rows > most)
    throw std::runtime_error("cuda: " + std::to_string(rows) + " frames are too many for one call");
  return {p.samples,
          p.hop,
          static_cast<int>(rows),
          static_cast<int>(p.frames()),
          static_cast<int>(p.n_fft),
          static_cast<int>(p.centred ? p.n_fft / 2 : 0),
          p.pad_mode == PadMode::reflect};
}

void make_twiddles(Stream s, const TwiddleParts& parts, float2* table) {
  Index size = 0;
  for (const TwiddlePart& part : parts.part) size += part.size;
  ETUDE_CUDA(launch({.grid = grid_for(size, 128), .block = 128, .stream = stream_of(s)},
                    twiddle_table, parts, table));
}

std::size_t fft_twiddle_bytes(Index n_fft) {
  std::size_t size = 0;
  with_fft_length(n_fft, [&]<int N>() { size = FftTwiddles<N>::kSize; });
  return size * sizeof(float2);
}

}  // namespace etude::ETUDE_BACKEND
