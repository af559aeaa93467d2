// X[k] = sum over n < N of f[n] exp(-2 pi i n k / N) of frames f of N = n_fft windowed samples, for
// the lengths that are no power of two, as products of matrices.
//
// The cosine of n k is the same, but for the sign, at n, N - n, H - n and H + n, where H = N / 2,
// and so is the sine. Adding these four samples up before the product leaves a quarter of it:
//   Re X[k] = sum over n <= H / 2 of (f[n] + f[N-n] +- (f[H+n] + f[H-n])) cos(2 pi n k / N)
//   Im X[k] = sum over n <= H / 2 of (f[n] - f[N-n] +- (f[H+n] - f[H-n])) (-sin(2 pi n k / N))
// with + for even k and - for odd k, and each sample counted once at n = 0 and n = H / 2.
//
// Mapping: a block of 256 threads makes 64 frames x 64 bins, all even or all odd; thread (ty, tx)
// of 16 x 16 frames 4 ty .. 4 ty + 3 and bins 2 (tx + 16 j) + (0 or 1). The sums run in steps of 8
// terms through two buffers of shared memory (17 KB): while one is multiplied, the next step's
// samples are windowed and added up and its turns read. The matrix of turns exists nowhere: its
// element is entry n k mod N of a table of N, and the phase is advanced exactly, in whole numbers.
// Even and odd bins are neighbouring blocks, so that the halves of a sector that they write meet in
// the L2 cache.
//
// Accuracy: 32 terms are summed at a time and these sums to a total, which keeps the error small
// for long frames too. Measured on the emulator against float64, as a part of the frame's largest
// |X|, for noise and sines: at most 2.7e-7 for 20 lengths from 6 to 3000, 4.4e-7 for 12000 (fft.h:
// 2.2e-7 for 128 to 8192).
//
// N^2 / 4 fused multiply-adds a frame (40 thousand for N = 400, as many FLOPs twice) at 32 for 6
// loads of shared memory: bound by these and by arithmetic, not by DRAM. No bank conflicts. Each
// output is a sum in an order that depends on N alone.
#include "kernels/cuda/dft.h"

#include "kernels/cuda/fft.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kRows = kDftRows, kBins = 64, kDepth = 8, kThreads = 256;
constexpr int kPad = 4;  // a step's stores go to different banks, 16-byte loads stay aligned
constexpr int kStepsOfChunk = 4;  // sums of 32 terms

struct Step {
  float re[kDepth][kRows + kPad], im[kDepth][kRows + kPad];
  float2 turn[kDepth][kBins];
};

// What a thread brings to a step: term n of two frames, and one bin's turns at two terms.
struct Part {
  float2 term[2], turn[2];
};

// The factors of cosine and sine of a term, from the samples at n, N - n, H - n and H + n.
__device__ __forceinline__ float2 fold(float a, float b, float c, float d, float sign) {
  return make_float2(fmaf(sign, c + d, a + b), fmaf(sign, d - c, a - b));
}

// Of term n = 0 or n = H / 2, or of a frame that reaches beyond the clip.
__device__ __forceinline__ float2 fold_at_edge(const FrameRows& p, const Frame& f,
                                               const float* window, int n, float sign) {
  const int half = p.n_fft / 2;
  const auto sample = [&](int i) { return sample_of(f, p.reflect, i) * window[i]; };
  const bool first = n == 0, middle = 2 * n == half;
  return fold(sample(n), first ? 0.0f : sample(p.n_fft - n), middle ? 0.0f : sample(half - n),
              first || middle ? 0.0f : sample(half + n), sign);
}

// total += sum; sum = 0.
__device__ __forceinline__ void add_up(float2 (&total)[4][4], float2 (&sum)[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      total[i][j].x += sum[i][j].x;
      total[i][j].y += sum[i][j].y;
      sum[i][j] = make_float2(0.0f, 0.0f);
    }
}

template <bool kPower>
__global__ void __launch_bounds__(kThreads, 2)
    dft_gemm(FrameRows p, int first, int stride, const float* x, const float* window,
             const float2* table, float2* spectrum, float* power) {
  __shared__ __align__(16) Step buffer[2];
  const int thread = static_cast<int>(threadIdx.x);
  const int half = p.n_fft / 2, terms = half / 2 + 1, steps = ceil_div(terms, kDepth);
  const int tile = static_cast<int>(blockIdx.x) / 2 * kRows;
  const int odd = static_cast<int>(blockIdx.x) % 2;
  const int bin0 = static_cast<int>(blockIdx.y) * kBins;  // of the even or the odd ones
  const float sign = odd ? -1.0f : 1.0f;

  // Filling: 8 neighbouring terms of 4 frames a warp; 32 neighbouring bins of one term.
  const int fill_n = thread % kDepth, fill_row = thread / kDepth;
  const auto fill_frame = [&](int i) {
    return frame_of(p, x, min_of(first + tile + fill_row + i * (kRows / 2), p.rows - 1));
  };
  const float* origin[2];
  bool inside = true;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const Frame frame = fill_frame(i);
    origin[i] = frame.origin;
    inside = inside && frame.lo == 0 && frame.hi == p.n_fft;
  }
  const int turn_n = thread / kBins, turn_bin = thread % kBins;
  const int bin = min_of(2 * (bin0 + turn_bin) + odd, half);
  int phase[2] = {turn_n * bin % p.n_fft, (turn_n + kDepth / 2) * bin % p.n_fft};
  const int advance = kDepth * bin % p.n_fft;

  const auto fetch = [&](int step, Part& part) {
    const int n = step * kDepth + fill_n;
    part.term[0] = part.term[1] = make_float2(0.0f, 0.0f);
    if (inside && n > 0 && 2 * n < half) {
      const float a = window[n], b = window[p.n_fft - n], c = window[half - n],
                  d = window[half + n];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float* x_n = origin[i];
        part.term[i] =
            fold(a * x_n[n], b * x_n[p.n_fft - n], c * x_n[half - n], d * x_n[half + n], sign);
      }
    } else if (n < terms) {
#pragma unroll
      for (int i = 0; i < 2; ++i) part.term[i] = fold_at_edge(p, fill_frame(i), window, n, sign);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      part.turn[i] = table[phase[i]];
      phase[i] += advance;
      if (phase[i] >= p.n_fft) phase[i] -= p.n_fft;
    }
  };
  const auto stage = [&](const Part& part, Step& to) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      to.re[fill_n][fill_row + i * (kRows / 2)] = part.term[i].x;
      to.im[fill_n][fill_row + i * (kRows / 2)] = part.term[i].y;
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
#pragma unroll 4  // all of them at once would spill what is loaded ahead
    for (int n = 0; n < kDepth; ++n) {
      const float4 r = load4(&now.re[n][4 * ty]), m = load4(&now.im[n][4 * ty]);
      const float re[4] = {r.x, r.y, r.z, r.w}, im[4] = {m.x, m.y, m.z, m.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 turn = now.turn[n][tx + 16 * j];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sum[i][j].x = fmaf(re[i], turn.x, sum[i][j].x);
          sum[i][j].y = fmaf(im[i], turn.y, sum[i][j].y);
        }
      }
    }
    if (step % kStepsOfChunk == kStepsOfChunk - 1) add_up(total, sum);
    if (!last) stage(part, buffer[1 - step % 2]);
    __syncthreads();
  }
  add_up(total, sum);

#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int k = 2 * (bin0 + tx + 16 * j) + odd;
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
  return {2 * grid_for(rows, kRows), static_cast<unsigned>(ceil_div(p.n_fft / 4 + 1, kBins)), 1};
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
