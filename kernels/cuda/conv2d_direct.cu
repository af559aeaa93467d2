// Direct convolution for few channels: forward, and the data gradient's phases (see GatherConv).
//
//   y[n,i,j,o] = bias[o] + sum over r,s,c of x[n, i stride + r step + first, ..., c] w[o,r,s,c]
//   (then ReLU)
//
// With few channels the tiles of an implicit matrix product are mostly empty. Here the inputs of a
// tile of outputs, halo included, and the filters lie in shared memory, and each thread computes
// 2 x 4 pixels (two rows, four columns) of KT output channels:
//
//   block    512 pixels (th x tw of each of `images` images, whatever leaves the fewest empty) x
//            `groups` times KT output channels; all output channels fastest in the grid, so that
//            blocks with the same inputs run at about the same time
//   threads  64 for the pixels x groups; a warp's filters are the same for all its lanes
//   loop     r, then runs of taps that share an aligned group of four columns (conv2d_direct.h),
//            then c: 2 x 8 inputs as four 128-bit loads, KT / 4 broadcast ones a tap for the
//            filters, and 8 KT FMAs a tap. S = 3 with stride 1 (kUnit) has one run, whose three
//            taps the compiler knows.
//
// Channels pass through shared memory all at once up to 15, in stages of eight where C is a
// multiple of it (whole sectors), in halves where they do not fit. Outputs return the same way:
// a warp's stores are contiguous, 128 bits wide where four pixels or the channels are so aligned.
//
// Shared memory: 4 (C planes of the halo tile + R S C KT groups) bytes, at most 48 KB; 31 KB for
// 10 -> 10, 3x3. Registers: 8 KT accumulators and about 65 more.
// FLOPs: 2 N P Q K R S C; bytes: 4 (1.2 N H W C + N P Q K), where 1.2 is the halo of 18 x 34 around
// 16 x 32. 10 -> 10 has 20 FLOP a byte: bound by memory where a GPU has more (RTX 4090: 82), by FMA
// issue where it has less (A100: 10). 1 -> 10 and 1 -> 64 (4 FLOP a byte) are bound by memory
// everywhere. Of the instructions of the inner loop 91 to 94 % are FMAs (KT = 4: 89 %). If shared
// memory delivers 128 bytes a cycle to the registers of an SM with 128 FMA lanes, the loads of that
// loop take 77 % of the time of its FMAs for KT = 10, 83 % for 8, 117 % for 4; with four pixels a
// thread instead of eight, 127 % for KT = 10.
//
// Determinism: one thread sums one output, in the order: stages of c, r, runs of s, c, s.
// The idea of pixels x channels in registers with filters as broadcasts is that of cuda-convnet
// (A. Krizhevsky, 2012).
#include <cstdint>
#include <stdexcept>

#include "kernels/cuda/conv2d_direct.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kPixelThreads = 64;  // a group; each has 2 x 4 pixels
constexpr int kLogPixels = 9;
constexpr std::size_t kSharedLimit = 48 * 1024;

struct DirectPlan {
  PlanarTile tile;
  int kt;                // output channels of a thread
  int groups, k_blocks;  // groups of threads in a block; blocks along K
  int channels;          // of x in a stage
  bool unit;             // S = 3, stride 1, no dilation: one run, of three taps
  int tap_quads, runs;   // runs in a phase of the stride along the width; in all
  unsigned taps;         // which columns of the runs are taps: four bits a run
  int filter_size;       // floats in front of the tile
  int tiles_p, tiles_q;
  bool quads;  // four pixels are contiguous, aligned floats of y
  int vector;  // floats in a store otherwise
  std::size_t shared_bytes;
  Index blocks;
};

// Room for one tap's filters, and for the taps of a run.
__host__ __device__ constexpr int padded(int kt) { return (kt + 3) / 4 * 4; }
__host__ __device__ constexpr int run_taps(bool unit) { return unit ? 3 : 4; }

// Starts copying the filters of output channels k0... and channels c0... to
// [group][r][run][channel][tap][padded KT]. Lanes go along what is dense in memory: channels of x
// in the forward pass, output channels in a data gradient.
template <int KT>
__device__ inline void load_filters(const GatherConv& g, const DirectPlan& plan, float* filters,
                                    const float* w, int k0, int c0, int channels) {
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
  const bool k_inner = g.w_k < g.w_c;
  const int ks = plan.groups * KT;
  const int inner_size = k_inner ? ks : channels, outer_size = k_inner ? channels : ks;
  const int taps = run_taps(plan.unit), run_size = channels * taps * padded(KT);
  for (int f = static_cast<int>(threadIdx.x) % 32; f < g.r * g.s * inner_size; f += 32) {
    const int inner = f % inner_size, r = f / inner_size / g.s, s = f / inner_size % g.s;
    const int column = column_of_tap(g, plan.tap_quads, s);
    float* const from_r =
        filters + (r * plan.runs + column / 4) * run_size + column % 4 * padded(KT);
    for (int outer = warp; outer < outer_size; outer += warps) {
      const int k = k_inner ? inner : outer, c = k_inner ? outer : inner;
      float* const to =
          from_r + k / KT * (g.r * plan.runs * run_size) + c * taps * padded(KT) + k % KT;
      if (k0 + k < g.k)
        __pipeline_memcpy_async(to, w + (k0 + k) * g.w_k + r * g.w_r + s * g.w_s + (c0 + c) * g.w_c,
                                4);
      else
        *to = 0;
    }
  }
}

template <int KT>
__device__ inline void load_tap(float (&tap)[KT], const float* from) {
#pragma unroll
  for (int k = 0; k + 4 <= KT; k += 4) {
    const float4 v = load4(from + k);
    tap[k] = v.x, tap[k + 1] = v.y, tap[k + 2] = v.z, tap[k + 3] = v.w;
  }
  if constexpr (KT % 4 == 2) {
    const float2 v = *reinterpret_cast<const float2*>(from + KT - 2);
    tap[KT - 2] = v.x, tap[KT - 1] = v.y;
  }
}

// Adds what one run of taps contributes: `x` is the thread's first input in the first channel's
// plane, `half` the way to its second row of outputs.
template <int KT, bool kUnit>
__device__ inline void add_run(float (&sum)[2][4][KT], const float* x, int half, int plane,
                               const float* filters, int channels, unsigned taps) {
  constexpr int kTaps = run_taps(kUnit);
#pragma unroll(KT == 4 ? 4 : 2)
  for (int c = 0; c < channels; ++c) {
    float v[2][8];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const float4 a = load4(x + m * half), b = load4(x + m * half + 4);
      v[m][0] = a.x, v[m][1] = a.y, v[m][2] = a.z, v[m][3] = a.w;
      v[m][4] = b.x, v[m][5] = b.y, v[m][6] = b.z, v[m][7] = b.w;
    }
#pragma unroll
    for (int o = 0; o < kTaps; ++o) {
      if (!kUnit && !(taps >> o & 1)) continue;
      float tap[KT];
      load_tap<KT>(tap, filters + o * padded(KT));
#pragma unroll
      for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
          for (int k = 0; k < KT; ++k) sum[m][j][k] = fmaf(v[m][j + o], tap[k], sum[m][j][k]);
    }
    x += plane;
    filters += kTaps * padded(KT);
  }
}

// All taps of the channels in shared memory.
template <int KT, bool kUnit>
__device__ inline void add_taps(float (&sum)[2][4][KT], const GatherConv& g, const DirectPlan& plan,
                                const float* x, int half, const float* filters, int channels) {
  const PlanarTile& t = plan.tile;
  const int filter_step = channels * run_taps(kUnit) * padded(KT);
  if constexpr (kUnit) {
    for (int r = 0; r < g.r; ++r, filters += filter_step)
      add_run<KT, true>(sum, x + r * t.pitch, half, t.plane, filters, channels, 7);
  } else {
    int row_phase = 0, row = 0;  // of tap r's first input
    for (int r = 0; r < g.r; ++r) {
      const float* const from = x + (row_phase * t.phase_rows + row) * t.pitch;
      unsigned taps = plan.taps;
      for (int phase = 0; phase < g.stride_w; ++phase) {
        for (int quad = 0; quad < plan.tap_quads; ++quad, taps >>= 4, filters += filter_step)
          add_run<KT, false>(sum, from + phase * t.phase_pitch + 4 * quad, half, t.plane, filters,
                             channels, taps);
      }
      row_phase += g.step_h;
      while (row_phase >= g.stride_h) row_phase -= g.stride_h, ++row;
    }
  }
}

// Copies `items` of `floats` each from the stage, where 4 floats separate groups of
// 2^log_group items, to y, by one warp. An item is a pixel, or four where those lie side by side.
template <class Vector>
__device__ inline void store_row(float* y, int y_stride, const float* stage, int stage_stride,
                                 int log_group, int items, int floats) {
  constexpr int kVector = sizeof(Vector) / sizeof(float);
  const int lane = static_cast<int>(threadIdx.x) % 32, units = floats / kVector;
  const int next_item = 32 / units, next_unit = 32 % units;
  int item = lane / units, unit = lane % units;
  while (item < items) {
    const float* const from = stage + item * stage_stride + (item >> log_group) * 4;
    reinterpret_cast<Vector*>(y + item * y_stride)[unit] =
        reinterpret_cast<const Vector*>(from)[unit];
    item += next_item, unit += next_unit;
    if (unit >= units) unit -= units, ++item;
  }
}

template <int KT, bool kUnit>
__global__ void __launch_bounds__(256, KT <= 8 ? 2 : 1)
    conv2d_direct(const __grid_constant__ GatherConv g, const __grid_constant__ DirectPlan plan,
                  const float* __restrict__ x, const float* __restrict__ w,
                  const float* __restrict__ bias, bool relu, float* __restrict__ y) {
  SIMT_DYNAMIC_SHARED(float, shared);
  const PlanarTile& t = plan.tile;
  unsigned block = blockIdx.x;
  const int ks = plan.groups * KT, k0 = static_cast<int>(block % plan.k_blocks) * ks;
  block /= plan.k_blocks;
  const int j0 = static_cast<int>(block % plan.tiles_q) << t.log_tw;
  block /= plan.tiles_q;
  const int i0 = static_cast<int>(block % plan.tiles_p) << t.log_th;
  const int n0 = static_cast<int>(block / plan.tiles_p) * t.images;

  const int group = static_cast<int>(threadIdx.x) / kPixelThreads;
  const Place place = place_of(static_cast<int>(threadIdx.x) % kPixelThreads, t.log_tw);
  const int half_rows = 1 << (kLogPixels - 1 - t.log_tw);
  // The second row of each thread is equally far from its first.
  const int half = row_at(t, half_rows);
  float* const tile = shared + plan.filter_size;
  const float* const own = tile + row_at(t, place.row) + 4 * place.quad;

  float sum[2][4][KT];
#pragma unroll
  for (int k = 0; k < KT; ++k) {
    const int o = k0 + group * KT + k;
    const float start = bias && o < g.k ? bias[o] : 0;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[m][j][k] = start;
  }

  for (int c0 = 0; c0 < g.c; c0 += plan.channels) {
    const int channels = min_of(plan.channels, g.c - c0);
    if (c0) __syncthreads();
    load_filters<KT>(g, plan, shared, w, k0, c0, channels);
    load_tile<!kUnit>(t, tile, x, g.n, g.h, g.w, g.c, n0, i0 * g.stride_h + g.first_h,
                      j0 * g.stride_w + g.first_w, c0, channels);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    const float* const filters =
        shared + group * g.r * plan.runs * channels * run_taps(kUnit) * padded(KT);
    add_taps<KT, kUnit>(sum, g, plan, own, half, filters, channels);
  }

  // Half a tile at a time through shared memory: quads of pixels with all channels of the block,
  // 16 bytes between them, which makes the threads' 128-bit stores free of bank conflicts.
  const int quad_size = 4 * ks + 4;
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int cols = min_of(1 << t.log_tw, g.q - j0), channels = min_of(ks, g.k - k0);
  const int row_size = quad_size << (t.log_tw - 2);
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    __syncthreads();
    float* const quad = shared + place.row * row_size + place.quad * quad_size + group * KT;
#pragma unroll
    for (int i = 0; i < 4 * KT; i += 4) {
      float v[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        v[e] = sum[m][(i + e) / KT][(i + e) % KT];
        if (relu && v[e] <= 0) v[e] = 0;  // false for NaN, which stays
      }
      store4(quad + i / KT * ks + i % KT, make_float4(v[0], v[1], v[2], v[3]));
    }
    __syncthreads();
    for (int row = warp; row < half_rows; row += warps) {
      const int in_tile = row + m * half_rows;
      const int n = n0 + (in_tile >> t.log_th), i = i0 + (in_tile & ((1 << t.log_th) - 1));
      if (n >= g.n || i >= g.p) continue;
      float* const to = y + n * g.y_n + i * g.y_p + j0 * g.y_q + k0;
      const float* const from = shared + row * row_size;
      const int y_q = static_cast<int>(g.y_q);
      if (plan.quads)
        store_row<float4>(to, 4 * y_q, from, 4 * ks, 0, cols / 4, 4 * ks);
      else if (plan.vector == 4)
        store_row<float4>(to, y_q, from, ks, 2, cols, channels);
      else if (plan.vector == 2)
        store_row<float2>(to, y_q, from, ks, 2, cols, channels);
      else
        store_row<float>(to, y_q, from, ks, 2, cols, channels);
    }
  }
}

// ---- on the host: how a problem is cut up -------------------------------------------------------

// The same convolution with its taps in the order of rising rows and columns; `w` is then the
// filter's offset to add.
GatherConv with_rising_taps(GatherConv g, Index& w) {
  w = 0;
  if (g.step_h < 0) {
    w += (g.r - 1) * g.w_r, g.first_h += (g.r - 1) * g.step_h;
    g.w_r = -g.w_r, g.step_h = -g.step_h;
  }
  if (g.step_w < 0) {
    w += (g.s - 1) * g.w_s, g.first_w += (g.s - 1) * g.step_w;
    g.w_s = -g.w_s, g.step_w = -g.step_w;
  }
  if (g.r == 1) g.step_h = 1;
  if (g.s == 1) g.step_w = 1;
  return g;
}

bool make_plan(const GatherConv& g, DirectPlan& plan) {
  if (min_of(min_of(g.n, g.p), min_of(g.q, g.k)) < 1 || min_of(g.c, min_of(g.r, g.s)) < 1)
    return false;
  const TileChoice tiles = choose_tile(g.n, g.p, g.q, kLogPixels);
  if (!tiles.full_enough) return false;
  plan.tiles_p = tiles.tiles_p, plan.tiles_q = tiles.tiles_q;

  // The fewest channels computed for nothing; of equals the largest block.
  plan.kt = 4;
  for (const int kt : {8, 10, 12}) {
    if (kt == 10 && g.k > 10) continue;  // only where the block has one group: alignment
    if (ceil_div(g.k, kt) * kt <= ceil_div(g.k, plan.kt) * plan.kt) plan.kt = kt;
  }
  plan.unit = g.s == 3 && g.step_w == 1 && g.step_h == 1 && g.stride_w == 1 && g.stride_h == 1;
  plan.tap_quads = (g.s - 1) * g.step_w / g.stride_w / 4 + 1;
  plan.runs = plan.tap_quads * g.stride_w;
  if (plan.runs > 8) return false;  // bits of `taps`
  plan.taps = 0;
  for (int s = 0; s < g.s; ++s) plan.taps |= 1u << column_of_tap(g, plan.tap_quads, s);

  // Stages as deep, then blocks as wide as shared memory holds.
  for (plan.channels = g.c % 8 == 0 ? 8 : g.c;; plan.channels = ceil_div(plan.channels, 2)) {
    plan.tile = planar_tile(tiles, g, plan.tap_quads, plan.channels);
    for (int most = 4; most >= 1; --most) {
      const int groups = ceil_div(g.k, plan.kt);
      plan.k_blocks = ceil_div(groups, most);
      plan.groups = ceil_div(groups, plan.k_blocks);
      const Index filter_size = Index{plan.groups} * g.r * plan.runs * plan.channels *
                                run_taps(plan.unit) * padded(plan.kt);
      const Index main_loop = filter_size + Index{plan.channels} * plan.tile.plane;
      const Index stage = Index{kPixelThreads} * (4 * plan.groups * plan.kt + 4);
      const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(max_of(main_loop, stage));
      if (bytes > kSharedLimit) continue;
      plan.filter_size = static_cast<int>(filter_size);
      plan.shared_bytes = bytes;
      plan.blocks = plan.k_blocks * tiles.count;
      return plan.blocks <= 0x7fffffff;
    }
    if (plan.channels == 1) return false;
  }
}

}  // namespace

bool direct_fits(const GatherConv& g) {
  DirectPlan plan;
  Index offset;
  // Many channels to few go in stages of eight, which an implicit matrix product's tile of K would
  // leave mostly empty.
  const bool few = (g.c <= 16 && g.k <= 64) || (g.c <= 64 && g.c % 8 == 0 && g.k <= 16);
  return few && make_plan(with_rising_taps(g, offset), plan);
}

void direct_gather(Stream s, const GatherConv& problem, const float* x, const float* w,
                   const float* bias, bool relu, float* y) {
  DirectPlan plan;
  Index offset;
  const GatherConv g = with_rising_taps(problem, offset);
  if (!make_plan(g, plan)) throw std::logic_error("conv2d: no direct kernel for this shape");
  const auto rows_divisible = [&](int v) {
    return g.y_p % v == 0 && g.y_n % v == 0 &&
           reinterpret_cast<std::uintptr_t>(y) % (4 * static_cast<unsigned>(v)) == 0;
  };
  plan.quads = g.y_q == g.k && plan.groups * plan.kt == g.k && g.q % 4 == 0 && rows_divisible(4);
  plan.vector = 1;
  for (const int v : {2, 4})
    if (g.k % v == 0 && g.y_q % v == 0 && rows_divisible(v)) plan.vector = v;
  const auto run = [&](auto* kernel) {
    ETUDE_CUDA(launch({.grid = static_cast<unsigned>(plan.blocks),
                       .block = static_cast<unsigned>(plan.groups * kPixelThreads),
                       .shared_bytes = plan.shared_bytes,
                       .stream = stream_of(s)},
                      kernel, g, plan, x, w + offset, bias, relu, y));
  };
  switch (plan.kt) {
    case 4:
      return run(plan.unit ? conv2d_direct<4, true> : conv2d_direct<4, false>);
    case 8:
      return run(plan.unit ? conv2d_direct<8, true> : conv2d_direct<8, false>);
    case 10:
      return run(plan.unit ? conv2d_direct<10, true> : conv2d_direct<10, false>);
    default:
      return run(plan.unit ? conv2d_direct<12, true> : conv2d_direct<12, false>);
  }
}

}  // namespace etude::ETUDE_BACKEND
