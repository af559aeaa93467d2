// Filter gradient of the convolution as an implicit matrix product, float32:
//
//   dw[k][j] = sum over output pixels m of dy[m][k] gathered[m][j],    dbias[k] = sum of dy[m][k]
//
// where gathered[m][j] is the input that tap and channel j = (r S + s) C + c of pixel m = (n, p, q)
// reads (conv2d_gemm.cu has the same matrix).
//
// Mapping. A block makes a tile of BM outputs x BN columns, 64x64, 128x64 or 32x128, with
// BM BN / 64 threads, each 8 x 8 of it in registers, for one slice of the pixels: outputs 4 ty and
// BM/2 + 4 ty and the three after each, columns likewise. It goes through the slice 16 pixels at a
// time with two buffers, as the gather product does. Both operands are in memory as they are in
// shared memory, sums outside, [pixel][output] and [pixel][column], so that cp.async copies all. A
// thread copies one group of columns for several pixels: what depends on the column is computed
// once, what depends on the pixel once a step by 16 threads.
//
// Slices. Sums over many pixels are long and the matrix dw is small, so the pixels are cut into
// slices, their number from the problem alone; each writes its partial dw to `work`, and a second
// kernel adds them in order. One slice writes dw itself. The blocks of the first columns sum
// dbias from the tile of dy that is in shared memory anyway.
//
// Channels of x and dy are multiples of 4 in memory: conv2d_pad.cu makes them so. The columns of
// the channels that it adds are multiplied like all others (with zeros) and left out where the
// slices are added, so there dw goes through `work` even if there is one slice.
//
// Shared memory: 16.5, 24.5 or 20.5 KB, free of bank conflicts: a warp copies and reads whole rows.
// Of the loop's instructions 79 to 84 % are FFMA.
// FLOPs 2 N P Q K R S C. Bytes: at least 4 (x + dy + dw); a tile reads 4 (BM + BN) bytes a pixel,
// mostly from the second-level cache, and the slices write and read 8 slices K R S C bytes. Bound
// by FFMA issue; with few pixels (R S C K large, batch 1) by memory. Deterministic: fixed slices,
// fixed order. Idea: split-K products, as in cuBLAS and CUTLASS.
#include "kernels/cuda/conv2d.h"
#include "kernels/cuda/conv2d_tile.h"

namespace etude::ETUDE_BACKEND {
namespace {

// How a problem is cut up.
struct FilterPlan {
  int tile_outputs, tile_columns;
  int pixels, columns;
  int dy_channels;
  int column_tiles;
  Index tiles;
  int slices, slice_steps;
  bool partial;      // the product writes partial sums
  Index slice_size;  // of these: [K][columns], then dbias
};

// dw, dbias: the gradients, or the partial sums, a slice every slice_size.
template <int BM, int BN>
__global__ void __launch_bounds__(BM* BN / 64, 384 / (BM * BN / 64))
    conv2d_implicit_gemm_filter(GatherConv g, FilterPlan plan, const float* __restrict__ x,
                                const float* __restrict__ dy, float* __restrict__ dw,
                                float* __restrict__ dbias) {
  constexpr int kThreads = BM * BN / (kThreadTile * kThreadTile);
  static_assert(kThreads >= BM, "a thread a bias");
  __shared__ __align__(16) float gradient[2][kTileDepth][BM];
  __shared__ __align__(16) float image[2][kTileDepth][BN];
  __shared__ PixelOrigin origins[2][kTileDepth];

  const int t = static_cast<int>(threadIdx.x);
  const int first_output = static_cast<int>(blockIdx.x) / plan.column_tiles * BM;
  const int first_column = static_cast<int>(blockIdx.x) % plan.column_tiles * BN;
  const int first_pixel = static_cast<int>(blockIdx.y) * plan.slice_steps * kTileDepth;
  const int pixels = min_of(plan.pixels - first_pixel, plan.slice_steps * kTileDepth);
  const int steps = ceil_div(pixels, kTileDepth);

  // The origins of step i go to origins[i % 2] two steps ahead of their use in the product.
  OutputPixel pixel = pixel_of(g, first_pixel + t % kTileDepth);
  const OutputPixel step_pixel = pixel_of(g, kTileDepth);
  const auto write_origins = [&](int buffer) {
    if (t >= kTileDepth) return;
    PixelOrigin origin = origin_of(g, pixel);
    if (pixel.n >= g.n) origin.h = kNowhere;
    store_record(origins[buffer][t], origin);
    pixel = add(pixel, step_pixel, g.p, g.q);
  };

  // ---- from global to shared memory: kLanes threads a pixel, each four columns
  constexpr int kLanes = BN / 4, kPixels = kThreads / kLanes;
  const int lane_column = t % kLanes * 4, lane_pixel = t / kLanes;
  const Tap tap = tap_of(g, first_column + lane_column);
  const int tap_h = tap.r < g.r ? tap.r * g.step_h : kNowhere, tap_w = tap.s * g.step_w;
  const char* const tap_x =
      reinterpret_cast<const char*>(x) +
      (tap.r < g.r ? static_cast<Index>((tap.r * g.step_h * g.w + tap_w) * g.c + tap.c) : 0) *
          kFloat;
  const auto load_image = [&](int buffer) {
#pragma unroll
    for (int i = 0; i < kTileDepth / kPixels; ++i) {
      const int p = lane_pixel + i * kPixels;
      const PixelOrigin origin = load_record(origins[buffer][p]);
      const bool inside = within(origin.h + tap_h, g.h) & within(origin.w + tap_w, g.w);
      copy_or_zero(&image[buffer][p][lane_column],
                   reinterpret_cast<const float*>(tap_x + origin.offset), inside);
    }
  };
  constexpr int kGradientLanes = BM / 4, kGradientPixels = kThreads / kGradientLanes;
  const int lane_output = t % kGradientLanes * 4, gradient_pixel = t / kGradientLanes;
  const bool output_inside = first_output + lane_output < g.k;
  const float* next_dy = dy + static_cast<Index>(first_pixel + gradient_pixel) * plan.dy_channels +
                         first_output + lane_output;
  const auto load_gradient = [&](int buffer, int step) {
#pragma unroll
    for (int i = 0; i < kTileDepth / kGradientPixels; ++i) {
      const int p = gradient_pixel + i * kGradientPixels;
      copy_or_zero(&gradient[buffer][p][lane_output],
                   next_dy + i * kGradientPixels * plan.dy_channels,
                   output_inside & (step * kTileDepth + p < pixels));
    }
    next_dy += kTileDepth * plan.dy_channels;
  };

  // ---- the loop over steps
  write_origins(0);
  write_origins(1);
  __syncthreads();
  load_image(0);
  load_gradient(0, 0);
  __pipeline_commit();

  constexpr int kThreadColumns = BN / kThreadTile;
  const int tx = t % kThreadColumns * 4, ty = t / kThreadColumns * 4;
  const bool sums_bias = dbias && first_column == 0 && t < BM;
  float bias = 0;
  float sum[kThreadTile][kThreadTile] = {};
  for (int step = 0; step < steps; ++step) {
    const int now = step % 2;
    __pipeline_wait_prior(0);
    __syncthreads();
    if (step + 1 < steps) {
      load_image(1 - now);
      load_gradient(1 - now, step + 1);
      __pipeline_commit();
      write_origins(now);
    }
#pragma unroll
    for (int p = 0; p < kTileDepth; ++p) {
      const float4 a0 = load4(&gradient[now][p][ty]), a1 = load4(&gradient[now][p][BM / 2 + ty]);
      const float4 b0 = load4(&image[now][p][tx]), b1 = load4(&image[now][p][BN / 2 + tx]);
      const float a[kThreadTile] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
      const float b[kThreadTile] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
      for (int i = 0; i < kThreadTile; ++i)
#pragma unroll
        for (int j = 0; j < kThreadTile; ++j) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
    }
    if (sums_bias) {
#pragma unroll 4
      for (int p = 0; p < kTileDepth; ++p) bias += gradient[now][p][t];
    }
  }

  // ---- the (partial) gradients
  const Index slice = static_cast<Index>(blockIdx.y) * plan.slice_size;
  if (sums_bias && first_output + t < g.k) dbias[slice + first_output + t] = bias;
#pragma unroll
  for (int i = 0; i < kThreadTile; ++i) {
    const int output = first_output + i / 4 * (BM / 2) + ty + i % 4;
    if (output >= g.k) continue;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int column = first_column + half * (BN / 2) + tx;
      float* const to = dw + slice + static_cast<Index>(output) * plan.columns + column;
      const float* const v = &sum[i][half * 4];
      if (column < plan.columns) store4(to, make_float4(v[0], v[1], v[2], v[3]));
    }
  }
}

// The sum of the slices in their order, V numbers a thread: dw, of whose c channels a row of the
// partial sums has partial_c, and after it dbias.
template <int V>
__global__ void conv2d_add_filter_slices(int size, int outputs, int c, int partial_c, int slices,
                                         Index slice_size, const float* __restrict__ partial,
                                         float* __restrict__ dw, float* __restrict__ dbias) {
  const int i = (static_cast<int>(blockIdx.x * blockDim.x) + static_cast<int>(threadIdx.x)) * V;
  if (i >= size + (dbias ? outputs : 0)) return;
  // Rows that are padded put element i further back; with V = 4 none are.
  const int at = V == 4 ? i : i + min_of(i, size) / c * (partial_c - c);
  float sum[V] = {};
#pragma unroll 8
  for (int slice = 0; slice < slices; ++slice) {
    const float* const from = partial + slice * slice_size + at;
    if constexpr (V == 4) {
      const float4 v = load4(from);
      sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
    } else {
      sum[0] += *from;
    }
  }
  float* const to = i < size ? dw + i : dbias + (i - size);
  if constexpr (V == 4)
    store4(to, make_float4(sum[0], sum[1], sum[2], sum[3]));
  else
    *to = sum[0];
}

// ---- the plan ----------------------------------------------------------------------------------

FilterPlan plan_of(const Conv2dShape& p) {
  FilterPlan plan{};
  plan.pixels = static_cast<int>(p.n * p.p() * p.q());
  plan.columns = static_cast<int>(p.r * p.s * in_fours(p.c));
  plan.dy_channels = static_cast<int>(in_fours(p.k));
  plan.tile_outputs = p.k > 64 ? 128 : p.k <= 32 && plan.columns > 64 ? 32 : 64;
  plan.tile_columns = plan.tile_outputs == 32 ? 128 : 64;
  plan.column_tiles = ceil_div(plan.columns, plan.tile_columns);
  plan.tiles = ceil_div<Index>(p.k, plan.tile_outputs) * plan.column_tiles;
  const int steps = ceil_div(plan.pixels, kTileDepth);
  plan.slices = slices_for(plan.tiles, plan.tile_outputs * plan.tile_columns, steps);
  plan.slice_steps = ceil_div(steps, plan.slices);
  plan.slices = ceil_div(steps, plan.slice_steps);
  plan.partial = plan.slices > 1 || p.c % 4 != 0;
  plan.slice_size = in_fours(p.k * plan.columns + p.k);
  return plan;
}

template <int BM, int BN>
void multiply(cudaStream_t stream, const GatherConv& g, const FilterPlan& plan, const float* x,
              const float* dy, float* dw, float* dbias) {
  ETUDE_CUDA(
      launch({.grid = dim3(static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.slices)),
              .block = BM * BN / (kThreadTile * kThreadTile),
              .stream = stream},
             conv2d_implicit_gemm_filter<BM, BN>, g, plan, x, dy, dw, dbias));
}

}  // namespace

std::size_t gemm_filter_workspace(const Conv2dShape& p) {
  const FilterPlan plan = plan_of(p);
  return plan.partial ? static_cast<std::size_t>(plan.slices * plan.slice_size) * sizeof(float) : 0;
}

void gemm_filter(Stream s, const Conv2dShape& p, const float* x, const float* dy, float* dw,
                 float* dbias, void* work) {
  const FilterPlan plan = plan_of(p);
  const GatherConv g = in_fours(gather_forward(p));
  const cudaStream_t stream = stream_of(s);
  float* const partial = static_cast<float*>(work);
  float* const to = plan.partial ? partial : dw;
  float* const to_bias = plan.partial && dbias ? partial + p.k * plan.columns : dbias;
  const auto run = [&](auto* product) { product(stream, g, plan, x, dy, to, to_bias); };
  if (plan.tile_outputs == 32)
    run(multiply<32, 128>);
  else if (plan.tile_outputs == 64)
    run(multiply<64, 64>);
  else
    run(multiply<128, 64>);
  if (!plan.partial) return;
  constexpr int kThreads = 128;
  const int size = static_cast<int>(p.w_size());
  const int vector = p.c % 4 == 0 && p.k % 4 == 0 ? 4 : 1;
  ETUDE_CUDA(launch({.grid = grid_for(size + (dbias ? p.k : 0), kThreads, vector),
                     .block = kThreads,
                     .stream = stream},
                    vector == 4 ? conv2d_add_filter_slices<4> : conv2d_add_filter_slices<1>, size,
                    static_cast<int>(p.k), static_cast<int>(p.c), g.c, plan.slices, plan.slice_size,
                    partial, dw, dbias));
}

std::string gemm_filter_plan(const Conv2dShape& p) {
  const FilterPlan plan = plan_of(p);
  std::string text = "implicit GEMM, tile " + std::to_string(plan.tile_outputs) + "x" +
                     std::to_string(plan.tile_columns) + "x" + std::to_string(kTileDepth);
  return text + ", " + std::to_string(plan.slices) + (plan.slices == 1 ? " slice" : " slices");
}

}  // namespace etude::ETUDE_BACKEND
