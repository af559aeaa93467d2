#include "kernels/cuda/dft.h"
#include "kernels/cuda/fft.h"

namespace etude::ETUDE_BACKEND {
namespace {

template <int N>
__global__ void __launch_bounds__(FftShape<N>::kThreads, FftShape<N>::kBlocks)
    stft_fft(FrameRows p, const float* x, const float* window, const float2* twiddles,
             float2* spectrum) {
  using Shape = FftShape<N>;
  __shared__ __align__(16) float buffer[Shape::kFrames * Shape::kBuffer];
  const int t = static_cast<int>(threadIdx.x) % Shape::kLanes;
  const int frame = static_cast<int>(threadIdx.x) / Shape::kLanes;
  const int row = static_cast<int>(blockIdx.x) * Shape::kFrames + frame;

  float2 v[Shape::kPoints];
  float* const own = buffer + frame * Shape::kBuffer;
  load_frame<N>(p, x, window, min_of(row, p.rows - 1), t, own, v);
  const float2 middle = real_transform<N>(t, own, twiddles, v);
  if (row >= p.rows) return;
  float2* out = spectrum + Index{row} * (N / 2 + 1);
#pragma unroll
  for (int i = 0; i < Shape::kPoints / 2; ++i) {
    const int k = t + Shape::kLanes * i;
    out[k] = v[i];
    out[N / 2 - k] = v[Shape::kPoints / 2 + i];
  }
  if (t == 0) out[N / 4] = middle;
}

}  // namespace

std::size_t stft_workspace(const StftShape& p) {
  return has_fft(p.n_fft) ? fft_twiddle_bytes(p.n_fft) : dft_table_bytes(p.n_fft);
}

void stft(Stream s, const StftShape& p, const float* x, const float* window, float* spectrum,
          void* work) {
  const FrameRows rows = frame_rows(p);
  if (rows.rows == 0) return;
  auto* table = static_cast<float2*>(work);
  auto* out = reinterpret_cast<float2*>(spectrum);
  if (!has_fft(p.n_fft)) {
    make_dft_table(s, rows, table);
    dft_spectrum(s, rows, x, window, table, out);
    return;
  }
  with_fft_length(p.n_fft, [&]<int N>() {
    using Shape = FftShape<N>;
    make_fft_twiddles<N>(s, table);
    ETUDE_CUDA(launch({.grid = grid_for(rows.rows, Shape::kFrames),
                       .block = Shape::kThreads,
                       .stream = stream_of(s)},
                      stft_fft<N>, rows, x, window, table, out));
  });
}

}  // namespace etude::ETUDE_BACKEND
