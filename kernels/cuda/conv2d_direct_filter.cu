// Filter and bias gradient for few channels.
//
//   dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] x[n, p stride + r dilation - pad, ..., c]
//   dbias[k]    = sum over n,p,q of dy[n,p,q,k]
//
// As a matrix product this is K x RSC, 10 x 90 for 10 -> 10 and 3x3, with a sum of N P Q terms:
// every tile of an implicit product would be mostly empty. Here the registers of one block hold all
// of dw (or of a few blocks each a part), and a block walks tiles of pixels, x with its halo and dy
// in shared memory, the next tile on its way (cp.async) while this one is worked on:
//
//   warp   a role: three (c, r) pairs x a run of taps s (conv2d_direct.h) x KT output channels, in
//          9 KT (kUnit: S = 3, stride 1) or 12 KT accumulators a thread. Lanes, and where roles are
//          few several warps (parts), take different pixels.
//   loop   128 pixels a warp, four along the width a lane: 3 x 8 inputs as six 128-bit loads, KT
//          of them for four dy's each, and 36 KT or 48 KT FMAs
//   block  the roles of `channels` input channels, at most twelve warps
//   grid   slices of the tiles x groups of KT output channels, of input channels, of roles
//
// At the end the lanes' sums are added up by halving (each of five steps exchanges half of what is
// left), the parts' through shared memory, and the block writes its part of dw to the workspace,
// which has one dw and dbias a slice; conv2d_filter_sum adds those.
//
// Shared memory: two buffers of 4 (1.5 C + 1.1 KT) pixels bytes, up to 64 KB (54 KB for 10 -> 10,
// tiles of 256 pixels): more than a launch has by default, less than devices from sm_75 on allow.
// FLOPs: 2 N P Q K R S C; bytes: 4 (1.3 N H W C + N P Q K) for each group that needs them (one for
// 10 -> 10), and the workspace, at most 1024 times dw, twice. 10 -> 10 has 20 FLOP a byte: bound by
// FMA issue on an A100 (10), by memory on an RTX 4090 (82); 1 -> 10 and 1 -> 64 (4 FLOP a byte) by
// memory everywhere. Of the inner loop's instructions 89 to 94 % are FMAs. If shared memory
// delivers 128 bytes a cycle to 128 FMA lanes, its loads take 71 % of the FMAs' time for KT = 10.
//
// Determinism: tiles, slices and the order of all sums depend on the problem only.
#include <stdexcept>

#include "kernels/cuda/conv2d_direct.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kPairs = 3;  // of a channel and a filter row: those of one channel for 3x3
constexpr int kMaxWarps = 12;
constexpr int kMaxSteps = 8;  // of 128 pixels, in a tile
constexpr std::size_t kSharedLimit = 64 * 1024;

struct FilterPlan {
  GatherConv conv;
  PlanarTile tile;
  int kt, k_blocks;
  bool unit;            // S = 3, stride 1, no dilation: one run, of three taps
  int tap_quads, runs;  // runs in a phase of the stride along the width; in all
  int channels, channel_blocks;
  int roles, roles_each, role_blocks;  // for `channels`; in a block
  int parts;                           // warps that share a role
  int steps, x_at[kMaxSteps];          // rows of 128 pixels: where they start in the tile
  int tiles_p, tiles_q, tiles, tiles_each, slices;
  int x_size, buffer_size;  // floats
  std::size_t shared_bytes;
};

__host__ __device__ constexpr int run_taps(bool unit) { return unit ? 3 : 4; }
// dy in shared memory: for each thread's four pixels KT words of four, and one to keep the lanes in
// different banks.
__host__ __device__ constexpr int record_size(int kt) { return 4 * (kt + 1); }

// The thread whose quad is the first of a row; the inverse of place_of().
__device__ inline int thread_of_row(int row, int log_tw) {
  const int log_quads = log_tw - 2, quads = 1 << log_quads;
  const int low = (row & 7) >> log_quads << log_quads;
  return low + 8 * ((row & (quads - 1)) + (row >> 3 << log_quads));
}

// Starts copying dy's channels [k0, k0 + channels) of the tile's pixels.
template <int KT>
__device__ inline void load_dy(const FilterPlan& plan, float* records, const float* dy, int n0,
                               int i0, int j0, int k0, int channels) {
  const GatherConv& g = plan.conv;
  const PlanarTile& t = plan.tile;
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int next_col = 32 / channels, next_channel = 32 % channels;
  const int rows = t.images << t.log_th;
  for (int row = warp; row < rows; row += warps) {
    const int n = n0 + (row >> t.log_th), i = i0 + (row & ((1 << t.log_th) - 1));
    const int width = n < g.n && i < g.p ? g.q - j0 : 0;
    const float* const from = dy + ((Index{n} * g.p + i) * g.q + j0) * g.k + k0;
    float* const to = records + thread_of_row(row, t.log_tw) * record_size(KT);
    int col = lane / channels, channel = lane % channels;
    while (col < 1 << t.log_tw) {
      float* const at = to + (col >> 2) * record_size(KT) + 4 * channel + (col & 3);
      if (col < width)
        __pipeline_memcpy_async(at, from + col * g.k + channel, 4);
      else
        *at = 0;
      col += next_col, channel += next_channel;
      if (channel >= channels) channel -= channels, ++col;
    }
  }
}

// Sums over the lanes of a warp of kCount numbers each. On return lane l holds the sums of numbers
// first, first + 1, ..., `count` of them, in front.
template <int kCount, int kLane = 16, int N>
__device__ inline void sum_lanes(float (&v)[N], int& first, int& count) {
  constexpr int kHalf = (kCount + 1) / 2;
  const bool upper = static_cast<int>(threadIdx.x) & kLane;
#pragma unroll
  for (int i = 0; i < kHalf; ++i) {
    const float low = v[i], high = i + kHalf < kCount ? v[i + kHalf] : 0;
    v[i] = (upper ? high : low) + __shfl_xor_sync(0xffffffffu, upper ? low : high, kLane);
  }
  if (upper) first += kHalf;
  count = upper ? max_of(count - kHalf, 0) : min_of(count, kHalf);
  if constexpr (kLane > 1) sum_lanes<kHalf, kLane / 2>(v, first, count);
}

template <int KT, bool kUnit>
__global__ void __launch_bounds__(32 * kMaxWarps, 1)
    conv2d_direct_filter(const __grid_constant__ FilterPlan plan, const float* __restrict__ x,
                         const float* __restrict__ dy, float* __restrict__ partial, bool bias) {
  constexpr int kTaps = run_taps(kUnit), kSums = kPairs * kTaps * KT;
  SIMT_DYNAMIC_SHARED(float, shared);
  const GatherConv& g = plan.conv;
  const PlanarTile& t = plan.tile;
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  unsigned block = blockIdx.x;
  const int role0 = static_cast<int>(block % plan.role_blocks) * plan.roles_each;
  block /= plan.role_blocks;
  const int c0 = static_cast<int>(block % plan.channel_blocks) * plan.channels;
  block /= plan.channel_blocks;
  const int k0 = static_cast<int>(block % plan.k_blocks) * KT;
  const int slice = static_cast<int>(block / plan.k_blocks);
  const int channels = min_of(plan.channels, g.c - c0), ks = min_of(KT, g.k - k0);
  const bool sums_bias = bias && c0 == 0 && role0 == 0;
  float* const bias_sums = shared + 2 * plan.buffer_size;  // [k][lane]

  // What never changes in shared memory: zeros for output channels that do not exist.
  for (int i = static_cast<int>(threadIdx.x); i < plan.steps * 32;
       i += static_cast<int>(blockDim.x))
    for (int k = ks; k < KT; ++k)
      for (int b = 0; b < 2; ++b)
        store4(shared + b * plan.buffer_size + plan.x_size + i * record_size(KT) + 4 * k, float4{});
  for (int k = warp; k < KT; k += warps) bias_sums[k * 32 + lane] = 0;

  const auto load = [&](int tile, int buffer) {
    const int j0 = tile % plan.tiles_q << t.log_tw;
    const int i0 = tile / plan.tiles_q % plan.tiles_p << t.log_th;
    const int n0 = tile / plan.tiles_q / plan.tiles_p * t.images;
    float* const to = shared + buffer * plan.buffer_size;
    load_tile<!kUnit>(t, to, x, g.n, g.h, g.w, g.c, n0, i0 * g.stride_h + g.first_h,
                      j0 * g.stride_w + g.first_w, c0, channels);
    load_dy<KT>(plan, to + plan.x_size, dy, n0, i0, j0, k0, ks);
  };

  // The thread's first input for each of its pairs; surplus roles and pairs repeat others.
  const Place place = place_of(lane, t.log_tw);
  const int part = warp % plan.parts, role = min_of(role0 + warp / plan.parts, plan.roles - 1);
  const int run = role % plan.runs, pair0 = role / plan.runs * kPairs;
  int x_at[kPairs];
#pragma unroll
  for (int u = 0; u < kPairs; ++u) {
    const int pair = min_of(pair0 + u, channels * g.r - 1);
    const int row = pair % g.r * g.step_h;
    x_at[u] = pair / g.r * t.plane +
              (row % g.stride_h * t.phase_rows + row / g.stride_h) * t.pitch +
              run / plan.tap_quads * t.phase_pitch + run % plan.tap_quads * 4 +
              row_at(t, place.row) + 4 * place.quad;
  }

  float sum[kSums] = {};  // [pair][tap][k]
  const int first_tile = slice * plan.tiles_each;
  const int last_tile = min_of(first_tile + plan.tiles_each, plan.tiles);
  load(first_tile, 0);
  __pipeline_commit();
  for (int tile = first_tile; tile < last_tile; ++tile) {
    const int buffer = (tile - first_tile) % 2;
    if (tile + 1 < last_tile) load(tile + 1, 1 - buffer);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    const float* const xs = shared + buffer * plan.buffer_size;
    const float* const dys = xs + plan.x_size + lane * record_size(KT);
    for (int step = part; step < plan.steps; step += plan.parts) {
      float v[kPairs][8];
#pragma unroll
      for (int u = 0; u < kPairs; ++u) {
        const float* const from = xs + x_at[u] + plan.x_at[step];
        const float4 a = load4(from), b = load4(from + 4);
        v[u][0] = a.x, v[u][1] = a.y, v[u][2] = a.z, v[u][3] = a.w;
        v[u][4] = b.x, v[u][5] = b.y, v[u][6] = b.z, v[u][7] = b.w;
      }
      const float* const d = dys + step * 32 * record_size(KT);
#pragma unroll
      for (int k = 0; k < KT; ++k) {
        const float4 four = load4(d + 4 * k);
        const float at[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
          for (int u = 0; u < kPairs; ++u)
#pragma unroll
            for (int s = 0; s < kTaps; ++s)
              sum[(u * kTaps + s) * KT + k] =
                  fmaf(at[j], v[u][s + j], sum[(u * kTaps + s) * KT + k]);
      }
    }
    if (sums_bias) {
      for (int k = warp; k < ks; k += warps) {
        float total = 0;
        for (int step = 0; step < plan.steps; ++step) {
          const float4 four = load4(dys + step * 32 * record_size(KT) + 4 * k);
          total += (four.x + four.y) + (four.z + four.w);
        }
        bias_sums[k * 32 + lane] += total;
      }
    }
    __syncthreads();
  }

  // Lanes, then parts. [warp][sum] replaces the buffers.
  int first = 0, count = kSums;
  sum_lanes<kSums>(sum, first, count);
#pragma unroll
  for (int i = 0; i < (kSums + 31) / 32; ++i)
    if (i < count) shared[warp * kSums + first + i] = sum[i];
  __syncthreads();
  float* const dw = partial + slice * (g.w_k * g.k + g.k);
  // In dw's order: neighbouring threads write neighbouring elements.
  for (int i = static_cast<int>(threadIdx.x); i < ks * g.r * g.s * channels;
       i += static_cast<int>(blockDim.x)) {
    const int c = i % channels, s = i / channels % g.s, r = i / channels / g.s % g.r;
    const int k = i / channels / g.s / g.r, pair = c * g.r + r;
    const int column = column_of_tap(g, plan.tap_quads, s);
    const int local = pair / kPairs * plan.runs + column / 4 - role0;
    if (local < 0 || local >= plan.roles_each) continue;  // another block's
    const int e = (pair % kPairs * kTaps + column % 4) * KT + k;
    float total = 0;
    for (int p = 0; p < plan.parts; ++p) total += shared[(local * plan.parts + p) * kSums + e];
    dw[(k0 + k) * g.w_k + r * g.w_r + s * g.w_s + c0 + c] = total;
  }
  if (sums_bias && static_cast<int>(threadIdx.x) < ks) {
    const int k = static_cast<int>(threadIdx.x);
    float total = 0;
    for (int l = 0; l < 32; ++l) total += bias_sums[k * 32 + (k + l) % 32];  // each its own bank
    dw[g.w_k * g.k + k0 + k] = total;
  }
}

// dw[e] = sum over slices of partial[slice][e]; after dw comes dbias. A block adds 32 elements:
// warp i slices i, i + 32, ..., the first warp the warps' sums.
__global__ void __launch_bounds__(1024)
    conv2d_filter_sum(int slices, int w_size, int k, const float* __restrict__ partial,
                      float* __restrict__ dw, float* __restrict__ dbias) {
  __shared__ float sums[32][32];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int e = static_cast<int>(blockIdx.x) * 32 + lane;
  const int size = w_size + k, wanted = dbias ? size : w_size;
  float sum = 0;
  if (e < wanted) {
#pragma unroll 8
    for (int slice = warp; slice < slices; slice += 32) sum += partial[Index{slice} * size + e];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || e >= wanted) return;
  float total = 0;
#pragma unroll
  for (int i = 0; i < 32; ++i) total += sums[i][lane];
  if (e < w_size)
    dw[e] = total;
  else
    dbias[e - w_size] = total;
}

// ---- on the host: how a problem is cut up -------------------------------------------------------

// The rest of a plan whose output channels a thread and runs are chosen, for blocks that have
// `channels` input channels; false if those do not fit.
bool plan_channels(int channels, FilterPlan& plan) {
  const GatherConv& g = plan.conv;
  plan.channels = channels;
  plan.channel_blocks = ceil_div(g.c, plan.channels);
  plan.roles = ceil_div(plan.channels * g.r, kPairs) * plan.runs;
  plan.role_blocks = ceil_div(plan.roles, kMaxWarps);
  plan.roles_each = ceil_div(plan.roles, plan.role_blocks);

  // The largest tiles of which two fit.
  for (int log_pixels = 10; log_pixels >= 7; --log_pixels) {
    const TileChoice tiles = choose_tile(g.n, g.p, g.q, log_pixels);
    if (!tiles.full_enough || tiles.count > 0x7fffffff) continue;
    plan.tile = planar_tile(tiles, g, plan.tap_quads, plan.channels);
    plan.steps = 1 << (log_pixels - 7);
    plan.parts = min_of(plan.steps, kMaxWarps / plan.roles_each);
    const int warps = plan.roles_each * plan.parts;
    const Index x_size = Index{plan.channels} * plan.tile.plane;
    const Index buffer = x_size + plan.steps * 32 * record_size(plan.kt);
    const Index at_end = Index{warps} * kPairs * run_taps(plan.unit) * plan.kt;
    const Index buffers = ceil_div(max_of(2 * buffer, at_end), Index{8}) * 8;
    const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(buffers + plan.kt * 32);
    if (bytes > kSharedLimit) continue;
    plan.shared_bytes = bytes;
    plan.x_size = static_cast<int>(x_size);
    plan.buffer_size = static_cast<int>(buffers / 2);
    for (int step = 0; step < plan.steps; ++step)
      plan.x_at[step] = row_at(plan.tile, step << (7 - tiles.log_tw));

    plan.tiles_p = tiles.tiles_p, plan.tiles_q = tiles.tiles_q;
    plan.tiles = static_cast<int>(tiles.count);
    // Slices: the sums at a block's end cost as much as a tile, so four tiles a block if that
    // leaves 128 blocks; at most 1024 blocks.
    const Index variants = Index{plan.k_blocks} * plan.channel_blocks * plan.role_blocks;
    const Index few = max_of(Index{1}, min_of(Index{4}, plan.tiles * variants / 128));
    plan.tiles_each = static_cast<int>(max_of(few, ceil_div(plan.tiles * variants, Index{1024})));
    plan.slices = ceil_div(plan.tiles, plan.tiles_each);
    return true;
  }
  return false;
}

bool make_plan(const Conv2dShape& p, FilterPlan& plan) {
  if (p.n < 1 || p.p() < 1 || p.q() < 1) return false;
  const GatherConv g = plan.conv = gather_forward(p);
  plan.unit = g.s == 3 && g.step_w == 1 && g.step_h == 1 && g.stride_w == 1 && g.stride_h == 1;
  plan.tap_quads = (g.s - 1) * g.step_w / g.stride_w / 4 + 1;
  plan.runs = plan.tap_quads * g.stride_w;
  // The fewest output channels computed for nothing; of equals the most a thread.
  plan.kt = 6;
  for (const int kt : {8, 10}) {
    if (kt == 10 && !plan.unit) continue;
    if (ceil_div(g.k, kt) * kt <= ceil_div(g.k, plan.kt) * plan.kt) plan.kt = kt;
  }
  plan.k_blocks = ceil_div(g.k, plan.kt);
  for (int channels = g.c <= kMaxWarps ? g.c : 8; channels > 1; channels = ceil_div(channels, 2))
    if (plan_channels(channels, plan)) return true;
  return plan_channels(1, plan);
}

}  // namespace

bool direct_filter_fits(const Conv2dShape& p) {
  FilterPlan plan;
  // Larger filters fill the tiles of an implicit matrix product, but for those of a stem: it would
  // pad one channel, or three, to four.
  return p.c <= 16 && p.k <= 64 && (p.c < 4 || p.w_size() <= 2400) && make_plan(p, plan);
}

std::size_t direct_filter_workspace(const Conv2dShape& p) {
  FilterPlan plan;
  if (!make_plan(p, plan)) return 0;
  return sizeof(float) * static_cast<std::size_t>(plan.slices * (p.w_size() + p.k));
}

void direct_filter(Stream s, const Conv2dShape& p, const float* x, const float* dy, float* dw,
                   float* dbias, void* work) {
  FilterPlan plan;
  if (!make_plan(p, plan)) throw std::logic_error("conv2d: no direct filter kernel for this shape");
  float* const partial = static_cast<float*>(work);
  const auto run = [&](auto* kernel) {
    ETUDE_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(plan.shared_bytes)));
    const unsigned variants =
        static_cast<unsigned>(plan.k_blocks * plan.channel_blocks * plan.role_blocks);
    ETUDE_CUDA(launch({.grid = static_cast<unsigned>(plan.slices) * variants,
                       .block = static_cast<unsigned>(32 * plan.roles_each * plan.parts),
                       .shared_bytes = plan.shared_bytes,
                       .stream = stream_of(s)},
                      kernel, plan, x, dy, partial, dbias != nullptr));
  };
  if (plan.unit)
    run(plan.kt == 10  ? conv2d_direct_filter<10, true>
        : plan.kt == 8 ? conv2d_direct_filter<8, true>
                       : conv2d_direct_filter<6, true>);
  else
    run(plan.kt == 8 ? conv2d_direct_filter<8, false> : conv2d_direct_filter<6, false>);
  const int size = static_cast<int>(p.w_size() + p.k);
  ETUDE_CUDA(launch({.grid = static_cast<unsigned>(ceil_div(size, 32)),
                     .block = {32, 32},
                     .stream = stream_of(s)},
                    conv2d_filter_sum, plan.slices, static_cast<int>(p.w_size()),
                    static_cast<int>(p.k), partial, dw, dbias));
}

}  // namespace etude::ETUDE_BACKEND
