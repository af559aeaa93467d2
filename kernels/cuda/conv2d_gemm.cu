// Gather convolution as an implicit matrix product, float32:
//
//   y[m][o] = bias[o] + sum over columns j of gathered[m][j] filters[j][o]    (then ReLU)
//
// A row m is an output pixel (n, i, j), a column a tap and a channel, (r S + s) C + c. The gathered
// matrix is never in memory: a block copies its pieces from the image into shared memory.
//
// Mapping. A block makes a tile of BM rows x BN outputs, 128x64, 64x64 or 128x32, with BM BN / 64
// threads, each 8 x 8 of it in registers: rows ty + BM/8 i, outputs 4 tx and BN/2 + 4 tx and the
// three after each. It goes through the columns in steps of 16 with two buffers in shared memory:
// while one is multiplied, the next step is on its way to the other, so a step costs one barrier.
// A step is 1024 FFMA and 64 LDS.128 a thread; 79 to 85 % of the loop's instructions are FFMA
// (sm_75 to sm_120).
//
// Addresses. What depends on the row alone (where its window begins) is computed once a block, what
// depends on the column alone (the shift of its tap) once a step by 16 threads, both into shared
// memory; an element's address is the sum of the two, its padding test two comparisons. Columns
// are stepped through by carries, without divisions. So no step is wasted on a tap whose channels
// are no multiple of 16, and any size of filter, stride, dilation and padding is the same code.
//
// Shared memory (28, 18.5 and 24 KB), free of bank conflicts:
//   image    [BM][16], channels inner as in memory, so that cp.async copies 16 bytes. The four
//            quarters of a row are permuted with the row's number, which spreads eight successive
//            rows over all banks.
//   filters  [16][BN + 4], outputs inner, as the product reads them. The data gradient finds them
//            so in memory (cp.async); forward has channels inner there and stores transposed,
//            through registers: two lanes a row, so that sixteen rows and two quarters meet all
//            banks.
// Channels of x, and the filter's inner axis, are multiples of 4 in memory: conv2d_pad.cu makes
// them so. (Copies of 4 bytes would be four times as many, each behind three dummy loads of nvcc's,
// and leave 67 to 75 % of the loop to FFMA.)
//
// Slices. A problem with few tiles and many columns is also cut along the columns; the slices'
// partial sums go to `work`, and a second kernel adds them in their order, adds the bias and
// applies ReLU. Tile and slices depend on the problem alone.
//
// FLOPs 2 M K R S C. Bytes: at least 4 (x + w + y); a tile of BM x BN reads 4 (BM + BN) bytes a
// column, mostly from the second-level cache: 21 FLOPs a byte at 128x64. Bound by FFMA issue from
// about 16 channels on 3x3 taps; 1x1 convolutions with few outputs and linear layers with few rows
// by memory. Deterministic: each output is one sum in the order of the columns (of the slices).
//
// Idea: implicit GEMM as in cuDNN (Chetlur et al. 2014) and CUTLASS; tiling of SGEMM after
// Volkov and Demmel (2008) and the blocking that CUTLASS describes.
#include <stdexcept>

#include "kernels/cuda/conv2d.h"
#include "kernels/cuda/conv2d_tile.h"

namespace etude::ETUDE_BACKEND {
namespace {

// How a problem is cut up.
struct GatherPlan {
  int tile_rows, tile_outputs;
  int rows, columns;  // of the gathered matrix
  int output_tiles;
  Index tiles;
  int slices, slice_steps;
};

// ---- addresses ---------------------------------------------------------------------------------

// What a column adds to a row's place in the image, and its place in the filter of output 0.
struct alignas(16) ColumnShift {
  int h, w;  // h = kNowhere beyond the last column and for a channel that the filter has not
  int offset;
  int filter;
};

__device__ inline ColumnShift shift_of(const GatherConv& g, const Tap& a) {
  const bool exists = a.r < g.r && a.c < g.filter_c;
  const int h = a.r * g.step_h, w = a.s * g.step_w;
  return {exists ? h : kNowhere, w, (h * g.w + w) * g.c + a.c,
          a.r * static_cast<int>(g.w_r) + a.s * static_cast<int>(g.w_s) +
              a.c * static_cast<int>(g.w_c)};
}

__device__ inline Index output_offset(const GatherConv& g, const OutputPixel& o) {
  return o.n * g.y_n + o.i * g.y_p + o.j * g.y_q;
}

// ---- the product -------------------------------------------------------------------------------

__device__ inline float finish(float v, bool relu) { return relu && v <= 0 ? 0 : v; }

// y: the output, or with plan.slices > 1 the partial sums [slices][rows][K].
template <int BM, int BN, FilterOrder order>
__global__ void __launch_bounds__(BM* BN / 64, 384 / (BM * BN / 64))
    conv2d_implicit_gemm(GatherConv g, GatherPlan plan, const float* __restrict__ x,
                         const float* __restrict__ w, const float* __restrict__ bias, bool relu,
                         float* __restrict__ y) {
  constexpr int kThreads = BM * BN / (kThreadTile * kThreadTile);
  constexpr int kQuarters = kTileDepth / 4;
  constexpr int kStride = BN + 4;  // of the filter tile
  __shared__ __align__(16) float image[2][BM * kTileDepth];
  __shared__ __align__(16) float filters[2][kTileDepth * kStride];
  __shared__ PixelOrigin origins[BM];
  __shared__ Index outputs[BM];
  __shared__ ColumnShift shifts[2][kTileDepth];

  const int t = static_cast<int>(threadIdx.x);
  const int output_tiles = plan.output_tiles;
  const int first_row = static_cast<int>(blockIdx.x) / output_tiles * BM;
  const int first_output = static_cast<int>(blockIdx.x) % output_tiles * BN;
  const int first_column = static_cast<int>(blockIdx.y) * plan.slice_steps * kTileDepth;
  const int columns = min_of(plan.columns - first_column, plan.slice_steps * kTileDepth);
  const int steps = ceil_div(columns, kTileDepth);

  for (int i = t; i < BM; i += kThreads) {
    const int row = first_row + i;
    const OutputPixel o = pixel_of(g, row);
    PixelOrigin origin = origin_of(g, o);
    if (row >= plan.rows) origin.h = kNowhere;
    store_record(origins[i], origin);
    outputs[i] = plan.slices == 1 ? output_offset(g, o)
                                  : (static_cast<Index>(blockIdx.y) * plan.rows + row) * g.k;
  }
  // The shifts of step i go to shifts[i % 2] two steps ahead of their use in the product. A warp
  // reads every fourth of them together: these lie side by side (the permutation is its own
  // inverse).
  const auto place = [](int column) { return column % 4 * kQuarters + column / 4; };
  Tap tap = tap_of(g, first_column + place(t % kTileDepth));
  const Tap step_tap = tap_of(g, kTileDepth);
  const auto write_shifts = [&](int buffer) {
    if (t >= kTileDepth) return;
    store_record(shifts[buffer][t], shift_of(g, tap));
    tap = add(tap, step_tap, g.s, g.c);
  };

  // ---- from global to shared memory: the image
  const int lane_quarter = t % kQuarters, lane_row = t / kQuarters;
  const auto load_image = [&](int buffer) {
    constexpr int kRows = kThreads / kQuarters;  // at a time
    const ColumnShift shift = load_record(shifts[buffer][place(4 * lane_quarter)]);
    const char* const from = reinterpret_cast<const char*>(x) + shift.offset * kFloat;
#pragma unroll
    for (int i = 0; i < BM / kRows; ++i) {
      const int row = lane_row + i * kRows;
      const PixelOrigin origin = load_record(origins[row]);
      const bool inside = within(origin.h + shift.h, g.h) & within(origin.w + shift.w, g.w);
      const int quarter = (lane_quarter ^ row / 2) % kQuarters;
      copy_or_zero(&image[buffer][row * kTileDepth + quarter * 4],
                   reinterpret_cast<const float*>(from + origin.offset), inside);
    }
  };

  // ---- the filters, as they lie: outputs inner
  const auto copy_filters = [&](int buffer) {
    constexpr int kLanes = BN / 4;
    constexpr int kColumns = kThreads / kLanes;  // at a time
    const int output = t % kLanes * 4;
#pragma unroll
    for (int i = 0; i < kTileDepth / kColumns; ++i) {
      const int column = t / kLanes + i * kColumns;
      const ColumnShift shift = load_record(shifts[buffer][place(column)]);
      copy_or_zero(&filters[buffer][column * kStride + output],
                   w + shift.filter + first_output + output,
                   (shift.h != kNowhere) & (first_output + output < g.k));
    }
  };

  // ---- the filters, transposed: kLanes threads hold 8 successive columns of an output
  constexpr int kLanes = 2;
  constexpr int kPasses = BN * kLanes / kThreads;
  float held[2 * kPasses * 4];
  const int held_column = t % kLanes * 4, held_output = t / kLanes;
  const float* held_from[kPasses];
  const auto fetch_filters = [&](int step) {
#pragma unroll
    for (int i = 0; i < 2 * kPasses; ++i) {
      const int pass = i / 2, column = i % 2 * 8 + held_column;
      const bool inside = step * kTileDepth + column < columns &&
                          first_output + held_output + pass * (kThreads / kLanes) < g.k;
      const float* const from = held_from[pass] + i % 2 * 8;
      const float4 v = inside ? load4(from) : make_float4(0, 0, 0, 0);
      held[i * 4] = v.x, held[i * 4 + 1] = v.y, held[i * 4 + 2] = v.z, held[i * 4 + 3] = v.w;
    }
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) held_from[pass] += kTileDepth;
  };
  const auto store_filters = [&](int buffer) {
#pragma unroll
    for (int i = 0; i < 2 * kPasses * 4; ++i) {
      const int pass = i / 8, column = i / 4 % 2 * 8 + held_column + i % 4;
      filters[buffer][column * kStride + held_output + pass * (kThreads / kLanes)] = held[i];
    }
  };
  if constexpr (order == FilterOrder::channels_inner) {
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass)
      held_from[pass] =
          w + static_cast<Index>(first_output + held_output + pass * (kThreads / kLanes)) * g.w_k +
          first_column + held_column;
  }

  // ---- the loop over steps
  write_shifts(0);
  write_shifts(1);
  __syncthreads();
  if (steps > 0) {
    load_image(0);
    if constexpr (order == FilterOrder::channels_inner) {
      fetch_filters(0);
      store_filters(0);
    } else {
      copy_filters(0);
    }
    __pipeline_commit();
  }

  constexpr int kThreadRow = BM / kThreadTile, kThreadColumn = BN / kThreadTile;
  const int tx = t % kThreadColumn, ty = t / kThreadColumn;
  float sum[kThreadTile][kThreadTile] = {};
  for (int step = 0; step < steps; ++step) {
    const int now = step % 2;
    __pipeline_wait_prior(0);
    __syncthreads();
    const bool more = step + 1 < steps;
    if (more) {
      load_image(1 - now);
      if constexpr (order == FilterOrder::channels_inner)
        fetch_filters(step + 1);
      else
        copy_filters(1 - now);
      __pipeline_commit();
      write_shifts(now);
    }
    const float* const rows = &image[now][ty * kTileDepth];
    const float* const taps = &filters[now][tx * 4];
#pragma unroll
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      float a[4][kThreadTile];
#pragma unroll
      for (int i = 0; i < kThreadTile; ++i) {
        const float4 v =
            load4(rows + i * kThreadRow * kTileDepth + (quarter ^ ty / 2) % kQuarters * 4);
        a[0][i] = v.x, a[1][i] = v.y, a[2][i] = v.z, a[3][i] = v.w;
      }
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float* const line = taps + (quarter * 4 + e) * kStride;
        const float4 p = load4(line), q = load4(line + BN / 2);
        const float b[kThreadTile] = {p.x, p.y, p.z, p.w, q.x, q.y, q.z, q.w};
#pragma unroll
        for (int i = 0; i < kThreadTile; ++i)
#pragma unroll
          for (int j = 0; j < kThreadTile; ++j) sum[i][j] = fmaf(a[e][i], b[j], sum[i][j]);
      }
    }
    if constexpr (order == FilterOrder::channels_inner)
      if (more) store_filters(1 - now);
  }

  // ---- the outputs
  const bool last = plan.slices == 1;
  const bool vectors = g.k % 4 == 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int output = first_output + half * (BN / 2) + tx * 4;
    float b[4] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (last && bias && output + j < g.k) b[j] = bias[output + j];
#pragma unroll
    for (int i = 0; i < kThreadTile; ++i) {
      const int row = ty + i * kThreadRow;
      if (first_row + row >= plan.rows) continue;
      float* const to = y + outputs[row] + output;
      float v[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) v[j] = finish(sum[i][half * 4 + j] + b[j], last && relu);
      if (vectors) {
        if (output < g.k) store4(to, make_float4(v[0], v[1], v[2], v[3]));
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          if (output + j < g.k) to[j] = v[j];
      }
    }
  }
}

// y = bias + the sum of the slices in their order (then ReLU): V outputs a thread.
template <int V>
__global__ void conv2d_add_slices(GatherConv g, int rows, int slices,
                                  const float* __restrict__ partial, const float* __restrict__ bias,
                                  bool relu, float* __restrict__ y) {
  const int i = (static_cast<int>(blockIdx.x * blockDim.x) + static_cast<int>(threadIdx.x)) * V;
  if (i >= rows * g.k) return;
  const int row = i / g.k, output = i % g.k;
  float sum[V] = {};
#pragma unroll 8
  for (int slice = 0; slice < slices; ++slice) {
    const float* const from = partial + static_cast<Index>(slice) * rows * g.k + i;
    if constexpr (V == 4) {
      const float4 v = load4(from);
      sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
    } else {
      sum[0] += *from;
    }
  }
#pragma unroll
  for (int j = 0; j < V; ++j) sum[j] = finish(sum[j] + (bias ? bias[output + j] : 0), relu);
  float* const to = y + output_offset(g, pixel_of(g, row)) + output;
  if constexpr (V == 4)
    store4(to, make_float4(sum[0], sum[1], sum[2], sum[3]));
  else
    *to = sum[0];
}

// ---- the plan ----------------------------------------------------------------------------------

GatherPlan plan_of(const GatherConv& g) {
  GatherPlan plan{};
  // Transposed filters are read as if their columns were one axis.
  if (g.order == FilterOrder::channels_inner && (g.w_s != g.c || g.w_r != Index{g.s} * g.c))
    throw std::logic_error("conv2d: filters are not dense");
  plan.rows = g.n * g.p * g.q;
  plan.columns = g.r * g.s * g.c;
  const auto cut = [&](int rows, int outputs) {
    plan.tile_rows = rows;
    plan.tile_outputs = outputs;
    plan.output_tiles = ceil_div(g.k, outputs);
    plan.tiles = Index{ceil_div(plan.rows, rows)} * plan.output_tiles;
  };
  cut(128, g.k <= 32 ? 32 : 64);
  if (plan.tile_outputs == 64 && plan.tiles < 128) cut(64, 64);
  const int steps = ceil_div(plan.columns, kTileDepth);
  plan.slices = slices_for(plan.tiles, plan.tile_rows * plan.tile_outputs, steps);
  plan.slice_steps = ceil_div(steps, plan.slices);
  if (plan.slice_steps > 0) plan.slices = ceil_div(steps, plan.slice_steps);
  return plan;
}

template <int BM, int BN>
void multiply(cudaStream_t stream, const GatherConv& g, const GatherPlan& plan, const float* x,
              const float* w, const float* bias, bool relu, float* y) {
  const auto run = [&](auto* kernel) {
    ETUDE_CUDA(
        launch({.grid = dim3(static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.slices)),
                .block = BM * BN / (kThreadTile * kThreadTile),
                .stream = stream},
               kernel, g, plan, x, w, bias, relu, y));
  };
  using enum FilterOrder;
  if (g.order == channels_inner)
    run(conv2d_implicit_gemm<BM, BN, channels_inner>);
  else
    run(conv2d_implicit_gemm<BM, BN, outputs_inner>);
}

}  // namespace

std::size_t gemm_gather_workspace(const GatherConv& g) {
  const GatherPlan plan = plan_of(g);
  if (plan.slices == 1) return 0;
  return static_cast<std::size_t>(plan.slices) * static_cast<std::size_t>(plan.rows) *
         static_cast<std::size_t>(g.k) * sizeof(float);
}

void gemm_gather(Stream s, const GatherConv& g, const float* x, const float* w, const float* bias,
                 bool relu, float* y, void* work) {
  const GatherPlan plan = plan_of(g);
  float* const to = plan.slices == 1 ? y : static_cast<float*>(work);
  const cudaStream_t stream = stream_of(s);
  if (plan.tile_outputs == 32)
    multiply<128, 32>(stream, g, plan, x, w, bias, relu, to);
  else if (plan.tile_rows == 64)
    multiply<64, 64>(stream, g, plan, x, w, bias, relu, to);
  else
    multiply<128, 64>(stream, g, plan, x, w, bias, relu, to);
  if (plan.slices == 1) return;
  constexpr int kThreads = 128;
  const int vector = g.k % 4 == 0 ? 4 : 1;
  ETUDE_CUDA(launch({.grid = grid_for(Index{plan.rows} * g.k, kThreads, vector),
                     .block = kThreads,
                     .stream = stream},
                    vector == 4 ? conv2d_add_slices<4> : conv2d_add_slices<1>, g, plan.rows,
                    plan.slices, to, bias, relu, y));
}

std::string gemm_gather_plan(const GatherConv& g) {
  const GatherPlan plan = plan_of(g);
  std::string text = "implicit GEMM, tile " + std::to_string(plan.tile_rows) + "x" +
                     std::to_string(plan.tile_outputs) + "x" + std::to_string(kTileDepth);
  if (plan.slices > 1) text += ", " + std::to_string(plan.slices) + " slices";
  return text;
}

}  // namespace etude::ETUDE_BACKEND
