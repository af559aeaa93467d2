// X[k] = sum over n < N of f[n] exp(-2 pi i n k / N) of frames f of N = n_fft windowed samples, for
// the lengths that are no power of two, as a product of matrices.
//
// Since cosine is even in n and sine is odd, half the products suffice: with H = N / 2,
//   Re X[k] = sum over n <= H of (f[n] + f[N - n]) cos(2 pi n k / N)
//   Im X[k] = sum over n <= H of (f[n] - f[N - n]) (-sin(2 pi n k / N))
// where the mirror f[N - n] of n = 0 and of n = H is left out.
//
// Mapping: a block of 256 threads makes 64 frames x 64 bins, thread (ty, tx) of 16 x 16 frames
// 4 ty .. 4 ty + 3 and bins tx + 16 j, so that a half warp stores 16 bins side by side. The sums
// run in steps of 8 samples through two buffers of shared memory (17 KB): while one is multiplied,
// the next step's samples are windowed and folded and its turns read. The matrix of turns exists
// nowhere: its element is entry n k mod N of a table of N, and the phase is advanced exactly, in
// whole numbers.
//
// Accuracy: 128 terms are summed at a time, so that an element of 8192 terms is as good as one of a
// few hundred: the error is below 5e-7 of the largest |X|.
//
// N^2 / 2 fused multiply-adds a frame (80 thousand for N = 400) at 32 for 5 loads of shared memory:
// bound by arithmetic. Independent of everything but the problem: each output is one sum in a fixed
// order.
#include "kernels/cuda/dft.h"

#include "kernels/cuda/fft.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kRows = kDftRows, kBins = 64, kDepth = 8, kThreads = 256;
constexpr int kPad = 4;  // a step's stores go to different banks, 16-byte loads stay aligned
constexpr int kStepsOfChunk = 16;  // 128 terms

struct Step {
  float even[kDepth][kRows + kPad], odd[kDepth][kRows + kPad];
  float2 turn[kDepth][kBins];
};

// What a thread brings to a step: sample n of two frames, and one bin's turns at two samples.
struct Part {
  float even[2], odd[2];
  float2 turn[2];
};

__device__ __forceinline__ void fold(const Frame& f, bool reflect, const float* window, int n,
                                     int n_fft, float& even, float& odd) {
  const int half = n_fft / 2;
  float sample = 0.0f, mirror = 0.0f;
  if (n <= half) sample = sample_of(f, reflect, n) * window[n];
  if (n > 0 && n < half) mirror = sample_of(f, reflect, n_fft - n) * window[n_fft - n];
  even = sample + mirror;
  odd = sample - mirror;
}

template <bool kPower>
__global__ void __launch_bounds__(kThreads, 2)
    dft_gemm(FrameRows p, int first, int stride, const float* x, const float* window,
             const float2* table, float2* spectrum, float* power) {
  __shared__ __align__(16) Step buffer[2];
  const int thread = static_cast<int>(threadIdx.x);
  const int half = p.n_fft / 2, steps = half / kDepth + 1;
  const int tile = static_cast<int>(blockIdx.x) * kRows;
  const int bin0 = static_cast<int>(blockIdx.y) * kBins;

  // Filling: 8 neighbouring samples of 4 frames a warp; 32 neighbouring bins of one sample.
  const int fill_n = thread % kDepth, fill_row = thread / kDepth;
  const Frame frame[2] = {frame_of(p, x, min_of(first + tile + fill_row, p.rows - 1)),
                          frame_of(p, x, min_of(first + tile + fill_row + kRows / 2, p.rows - 1))};
  const int turn_n = thread / kBins, turn_bin = thread % kBins;
  const int bin = min_of(bin0 + turn_bin, half);
  int phase[2] = {turn_n * bin % p.n_fft, (turn_n + kDepth / 2) * bin % p.n_fft};
  const int advance = kDepth * bin % p.n_fft;

  const auto fetch = [&](int step, Part& part) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      fold(frame[i], p.reflect, window, step * kDepth + fill_n, p.n_fft, part.even[i], part.odd[i]);
      part.turn[i] = table[phase[i]];
      phase[i] += advance;
      if (phase[i] >= p.n_fft) phase[i] -= p.n_fft;
    }
  };
  const auto stage = [&](const Part& part, Step& to) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      to.even[fill_n][fill_row + i * (kRows / 2)] = part.even[i];
      to.odd[fill_n][fill_row + i * (kRows / 2)] = part.odd[i];
      to.turn[turn_n + i * (kDepth / 2)][turn_bin] = part.turn[i];
    }
  };

  const int ty = thread / 16, tx = thread % 16;
  float2 total[4][4] = {}, sum[4][4] = {};
  Part part;
  fetch(0, part);
  stage(part, buffer[0]);
  __syncthreads();
  for (int step = 0; step < steps; ++step) {
    const Step& now = buffer[step % 2];
    const bool last = step + 1 == steps;
    if (!last) fetch(step + 1, part);
#pragma unroll
    for (int n = 0; n < kDepth; ++n) {
      const float4 e = load4(&now.even[n][4 * ty]), o = load4(&now.odd[n][4 * ty]);
      const float even[4] = {e.x, e.y, e.z, e.w}, odd[4] = {o.x, o.y, o.z, o.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 turn = now.turn[n][tx + 16 * j];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sum[i][j].x = fmaf(even[i], turn.x, sum[i][j].x);
          sum[i][j].y = fmaf(odd[i], turn.y, sum[i][j].y);
        }
      }
    }
    if (step % kStepsOfChunk == kStepsOfChunk - 1 || last) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          total[i][j].x += sum[i][j].x;
          total[i][j].y += sum[i][j].y;
          sum[i][j] = make_float2(0.0f, 0.0f);
        }
    }
    if (!last) stage(part, buffer[1 - step % 2]);
    __syncthreads();
  }

#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int k = bin0 + tx + 16 * j;
    if (k > half) break;
    if (k == 0 || k == half)  // zero by symmetry
#pragma unroll
      for (int i = 0; i < 4; ++i) total[i][j].y = 0.0f;
    if constexpr (kPower) {
      float square[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        square[i] = fmaf(total[i][j].x, total[i][j].x, total[i][j].y * total[i][j].y);
      store4(power + k * stride + tile + 4 * ty,
             make_float4(square[0], square[1], square[2], square[3]));
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = tile + 4 * ty + i;
        if (row < p.rows) spectrum[Index{row} * (half + 1) + k] = total[i][j];
      }
    }
  }
}

dim3 grid_of(const FrameRows& p, int rows) {
  return {grid_for(rows, kRows), static_cast<unsigned>(ceil_div(p.n_fft / 2 + 1, kBins)), 1};
}

}  // namespace

std::size_t dft_table_bytes(Index n_fft) {
  return static_cast<std::size_t>(n_fft) * sizeof(float2);
}

void make_dft_table(Stream s, const FrameRows& p, float2* table) {
  make_twiddles(s, {{{p.n_fft, p.n_fft, 1, p.n_fft}, {}, {}}}, table);
}

void dft_spectrum(Stream s, const FrameRows& p, const float* x, const float* window,
                  const float2* table, float2* spectrum) {
  ETUDE_CUDA(launch({.grid = grid_of(p, p.rows), .block = kThreads, .stream = stream_of(s)},
                    dft_gemm<false>, p, 0, 0, x, window, table, spectrum, nullptr));
}

void dft_power(Stream s, const FrameRows& p, int first, int count, const float* x,
               const float* window, const float2* table, float* power) {
  ETUDE_CUDA(launch({.grid = grid_of(p, count), .block = kThreads, .stream = stream_of(s)},
                    dft_gemm<true>, p, first, count, x, window, table, nullptr, power));
}

}  // namespace etude::ETUDE_BACKEND
