// Mel spectrograms: y[clip, m, frame] = log( sum over k of filter[m, k] |X[k]|^2 ), X the
// short-time Fourier transform, log as `log_scale` says.
//
// n_fft a power of two: one kernel. A block transforms a tile of frames (32 for n_fft = 128 and
// 256, 16 for 512 and 1024, 8 for 2048, 4 and 2 beyond) as stft.cu does; the power goes to shared
// memory, where it takes the place of the transform's exchange, bins by frames; then a lane is a
// frame of a filter, which keeps its sum over the filter's bins in a register, and stores it beside
// its neighbours': neither the spectrum nor the power is ever in global memory. The lanes of a warp
// share 32 / tile neighbouring filters, of about the same width, and the warps deal out the filters
// in turn: filters of any width and number are balanced without another look at them.
//   FLOPs a frame: as stft.cu, 1.5 n_fft for the power, two a filter weight (at most two weights a
//   bin), about 30 a logarithm: 31 thousand for n_fft = 1024 and 128 mels.
//   Bytes a frame: 4 hop of samples, 4 n_mels of output: 2.6 KB for hop 512 and 128 mels (23 KB
//   with spectrum and power in memory). Shared memory as stft.cu, without bank conflicts.
//   Bound by L1 and instructions. Counted on the emulator for n_fft = 2048, hop 512 and 128 mels: a
//   frame takes 305 passes of shared memory and 1160 sectors of global memory, most of them from
//   L1: modelled at a pass or four sectors a cycle, 600 cycles of a multiprocessor, where DRAM
//   would need 190 on an A100. nvcc makes a kernel of 3000 instructions of it (sm_80), most of
//   which the frame's warp runs once.
// Any other even n_fft: the power by a product of matrices (dft.cu) into the workspace, at most 32
// MB of it at a time, bins by frames; then a warp a filter and a lane a frame.
//
// Determinism: each number is a sum in an order fixed by n_fft and the filter.
#include "kernels/cuda/dft.h"
#include "kernels/cuda/fft.h"

namespace etude::ETUDE_BACKEND {
namespace {

struct MelTail {
  int n_mels;
  const std::int32_t* first;
  const std::int32_t* count;
  const std::int32_t* offset;
  const float* weights;
  LogScale scale;
  float floor;
};

// A NaN is not below the floor, and stays.
__device__ __forceinline__ float log_of(float energy, LogScale scale, float floor) {
  if (scale == LogScale::none) return energy;
  if (scale == LogScale::db_offset) return 10.0f * log10f(energy + floor);
  return 10.0f * log10f(energy < floor ? floor : energy);
}

// Where the power of bin k of the block's frame f lies: a row a bin, so that the lanes of a filter
// read side by side. Within a row the frames are permuted, so that lanes which hold neighbouring
// bins of one frame, as they do after the transform, hit different banks too. The permutation
// repeats every kLanes bins.
template <int N>
__device__ __forceinline__ int power_index(int k, int f) {
  using Shape = FftShape<N>;
  constexpr int kFrames = Shape::kFrames, kWarpFrames = max_of(1, 32 / Shape::kLanes);
  constexpr unsigned kRows = 32 / kFrames;  // in the 32 banks
  const unsigned turn = static_cast<unsigned>(k) / kRows % (kFrames / kWarpFrames);
  return k * kFrames + (f ^ static_cast<int>(turn) * kWarpFrames);
}

template <int N>
__global__ void __launch_bounds__(FftShape<N>::kThreads, FftShape<N>::kBlocks)
    mel_fft(FrameRows p, MelTail mel, const float* x, const float* window, const float2* twiddles,
            float* y) {
  using Shape = FftShape<N>;
  constexpr int kFrames = Shape::kFrames, kP = Shape::kPoints;
  constexpr int kExchange = kFrames * Shape::kBuffer, kPower = kFrames * (N / 2 + 1);
  __shared__ __align__(16) float shared[max_of(kExchange, kPower)];
  const int thread = static_cast<int>(threadIdx.x);
  const int row0 = static_cast<int>(blockIdx.x) * kFrames;

  {
    const int t = thread % Shape::kLanes, f = thread / Shape::kLanes;
    float2 v[kP];
    float* const own = shared + f * Shape::kBuffer;
    load_frame<N>(p, x, window, min_of(row0 + f, p.rows - 1), t, own, v);
    const float2 middle = real_transform<N>(t, own, twiddles, v);
    __syncthreads();  // the power takes the place of the exchange
    float* const up = shared + power_index<N>(t, f);
    float* const down = shared + power_index<N>(N / 2 - t, f);
#pragma unroll
    for (int i = 0; i < kP / 2; ++i) {
      const float2 low = v[i], high = v[kP / 2 + i];
      up[i * Shape::kLanes * kFrames] = fmaf(low.x, low.x, low.y * low.y);
      down[-i * Shape::kLanes * kFrames] = fmaf(high.x, high.x, high.y * high.y);
    }
    if (t == 0) shared[power_index<N>(N / 4, f)] = fmaf(middle.x, middle.x, middle.y * middle.y);
    __syncthreads();
  }

  // A lane is a frame of one of kSlots filters; a block's warps take turns with the filters. Slot c
  // takes the rows of a group of kSlots in the order c, c + 1, ..., so that the slots' rows always
  // lie in different banks.
  constexpr int kSlots = 32 / kFrames;
  const int f = thread % kFrames, filter = thread / kFrames;
  const int row = row0 + f;
  if (row >= p.rows) return;
  const int clip = row / p.frames;
  float* out = y + Index{clip} * mel.n_mels * p.frames + (row - clip * p.frames);
  for (int m = filter; m < mel.n_mels; m += Shape::kThreads / kFrames) {
    const int first = mel.first[m], count = mel.count[m];
    const float* weights = mel.weights + mel.offset[m] - first;
    float energy = 0.0f;
    for (int k0 = first / kSlots * kSlots; k0 < first + count; k0 += kSlots) {
      const float* rows = shared + power_index<N>(k0, f);
      float weight[kSlots], power[kSlots];
#pragma unroll
      for (int u = 0; u < kSlots; ++u) {
        const int r = (filter + u) % kSlots;
        const bool within = static_cast<unsigned>(k0 + r - first) < static_cast<unsigned>(count);
        weight[u] = power[u] = 0.0f;
        if (within) {
          weight[u] = weights[k0 + r];
          power[u] = rows[r * kFrames];
        }
      }
#pragma unroll
      for (int u = 0; u < kSlots; ++u) energy = fmaf(weight[u], power[u], energy);
    }
    out[Index{m} * p.frames] = log_of(energy, mel.scale, mel.floor);
  }
}

// From the power of dft_power(): a warp is a filter, a lane a frame.
constexpr int kTailFilters = 8;
__global__ void __launch_bounds__(32 * kTailFilters)
    mel_of_power(FrameRows p, MelTail mel, int first_row, int stride, const float* power,
                 float* y) {
  const int lane_row = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  const int m = static_cast<int>(blockIdx.y * kTailFilters + threadIdx.y);
  const int row = first_row + lane_row;
  if (lane_row >= stride || row >= p.rows || m >= mel.n_mels) return;
  const int count = mel.count[m];
  const float* weights = mel.weights + mel.offset[m];
  const float* bin = power + mel.first[m] * stride + lane_row;
  float energy = 0.0f;
  for (int i = 0; i < count; ++i) energy = fmaf(weights[i], bin[i * stride], energy);
  const int clip = row / p.frames;
  y[(Index{clip} * mel.n_mels + m) * p.frames + (row - clip * p.frames)] =
      log_of(energy, mel.scale, mel.floor);
}

// Rows whose power is made at a time: 32 MB of it, which stay in the L2 cache of a large GPU.
int slab_rows(const StftShape& p) {
  constexpr Index floats = Index{1} << 23;
  const Index most = max_of<Index>(1, floats / p.bins() / kDftRows);
  return static_cast<int>(kDftRows * min_of(most, ceil_div<Index>(p.clips * p.frames(), kDftRows)));
}

}  // namespace

std::size_t mel_spectrogram_workspace(const StftShape& p, Index) {
  if (has_fft(p.n_fft)) return fft_twiddle_bytes(p.n_fft);
  return dft_table_bytes(p.n_fft) +
         static_cast<std::size_t>(slab_rows(p) * p.bins()) * sizeof(float);
}

void mel_spectrogram(Stream s, const StftShape& p, const MelFilters& filters, LogScale log_scale,
                     double floor, const float* x, const float* window, float* y, void* work) {
  const FrameRows rows = frame_rows(p);
  if (rows.rows == 0 || filters.n_mels == 0) return;
  const MelTail mel{static_cast<int>(filters.n_mels),
                    filters.first,
                    filters.count,
                    filters.offset,
                    filters.weights,
                    log_scale,
                    static_cast<float>(floor)};
  auto* table = static_cast<float2*>(work);
  if (!has_fft(p.n_fft)) {
    make_dft_table(s, rows, table);
    float* power = reinterpret_cast<float*>(table + p.n_fft);
    const int slab = slab_rows(p);
    const dim3 grid(static_cast<unsigned>(slab / 32),
                    static_cast<unsigned>(ceil_div(mel.n_mels, kTailFilters)));
    for (int first = 0; first < rows.rows; first += slab) {
      dft_power(s, rows, first, slab, x, window, table, power);
      ETUDE_CUDA(launch({.grid = grid, .block = dim3(32, kTailFilters), .stream = stream_of(s)},
                        mel_of_power, rows, mel, first, slab, power, y));
    }
    return;
  }
  with_fft_length(p.n_fft, [&]<int N>() {
    using Shape = FftShape<N>;
    make_fft_twiddles<N>(s, table);
    ETUDE_CUDA(launch({.grid = grid_for(rows.rows, Shape::kFrames),
                       .block = Shape::kThreads,
                       .stream = stream_of(s)},
                      mel_fft<N>, rows, mel, x, window, table, y));
  });
}

}  // namespace etude::ETUDE_BACKEND
