// Short-time Fourier transform: spectrum[clip, frame, k] = the first half of the transform of frame
// samples times window, k <= n_fft / 2.
//
// n_fft a power of two (fft.h): a block of 256 threads (128 for n_fft = 128) transforms kFrames
// frames, 32 for n_fft = 128 and 256 down to 8 for 2048 and 2 for 8192, each by M / P lanes in
// registers; rows of the batch are dealt out across clips. Lanes hold neighbouring bins, so that
// the complex numbers are stored as they are, 8 bytes a lane side by side. Shared memory: 34 KB
// from n_fft = 1024 up, 17 KB for 256 and 512, 9 KB for 128. Any other even n_fft: a product of
// matrices (dft.cu).
//
// FLOPs a frame: 5 M log2 M + 10 M with M = n_fft / 2, less what is trivial: 27 thousand for 1024.
// Bytes a frame: 4 hop of samples and 4 n_fft + 8 of spectrum, 6.2 KB for 1024 and hop 512: bound
// by DRAM bandwidth. Samples of overlapping frames, the window and the tables of turns come from
// L1. Each frame is transformed by itself, in an order that depends on n_fft alone.
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
