// Batch norm over the rows of x [rows, C], forward:
//
//   mean = sum x / rows,  var = sum (x - mean)^2 / rows,  inv_std = 1 / sqrt(var + eps)
//   y = (x - mean) inv_std gamma + beta (+ residual) (then ReLU)
//
// Training takes three kernels: partial statistics of slices of the rows, their merge (a small
// kernel), and y. Evaluation is the last alone. Threads and slices: see batch_norm.h.
//
// Statistics. A thread sums d = x - pivot and d^2, the pivot being the first element it reads; its
// mean and sum of squares about the mean follow (Chan, Golub and LeVeque, "Algorithms for computing
// the sample variance", 1983). They are merged about the mean of a group that is part of the
// merge: in a block, of the first row of threads; among blocks, of the first block. So no number
// is ever much larger than the deviations themselves, and a mean a thousand times the deviation
// costs no digits. (With one pivot for all, an outlier as pivot would.) The merge is in float, and
// the last step of each channel in double.
//
// Shared memory: 8.5 KB for the sums of a block's threads; 1.5 KB for the factors of a tile.
// FLOPs: 4 an element for the statistics, 3 to 5 for y. Bytes: 3 times those of x in training (1
// for the statistics; x again and y), 2 in evaluation, one more with a residual; the partials are
// under 1/10 of x. Bound by memory everywhere: the floor is 12 bytes an element / bandwidth. Where
// x fits the L2 cache the second pass reads it from there; else its first blocks find there what
// the statistics read last, because it walks the slices backwards.
//
// Deterministic: all cuts and orders depend on the shape only; no atomics.
#include <cmath>

#include "kernels/cuda/batch_norm.h"

namespace etude::ETUDE_BACKEND {

BatchNormTiling tile_batch_norm(const BatchNormShape& p, int most) {
  BatchNormTiling t;
  t.channels = static_cast<int>(p.channels);
  const int common = p.channels % 4 == 0 ? 4 : p.channels % 2 == 0 ? 2 : 1;
  t.vectors = t.channels / common;
  t.copies_log2 = common == 4 ? 0 : common == 2 ? 1 : 2;
  const Index line = Index{4} * t.vectors;
  t.lines = p.size() / line;
  t.rest = static_cast<int>(p.size() % line);

  constexpr Index least = 4, wanted_blocks = 1024;
  const Index lines = ceil_div(p.size(), line);
  const Index share = lines * t.vectors / (wanted_blocks * BatchNormTiling::kThreads);
  const Index each = max_of(least, min_of(Index{most}, ceil_div(share, least) * least));
  // A tile spans as much of a line as a warp reads at once; where that leaves one slice, less: with
  // few rows the channels have to keep the GPU busy.
  for (int width = BatchNormTiling::kTileVectors; width >= 8; width /= 2) {
    t.tiles = ceil_div(t.vectors, width);
    t.tile_vectors = ceil_div(t.vectors, t.tiles);
    t.tile_lines = BatchNormTiling::kThreads / t.tile_vectors;
    t.slice_lines = t.tile_lines * each;
    t.slices = static_cast<int>(max_of(Index{1}, ceil_div(lines, t.slice_lines)));
    if (t.slices > 1) break;
  }
  return t;
}

LaunchShape finish_shape(const BatchNormTiling& t, Stream s) {
  const int partials = t.slices << t.copies_log2;
  unsigned rows = 4;
  while (rows < kFinishRows && rows * 4 < static_cast<unsigned>(partials)) rows *= 2;
  return {.grid = static_cast<unsigned>(ceil_div(t.channels, kFinishChannels)),
          .block = dim3(kFinishChannels, rows),
          .stream = stream_of(s)};
}

namespace {

constexpr int kThreads = BatchNormTiling::kThreads, kTileVectors = BatchNormTiling::kTileVectors;
constexpr int kAny = 1 << 20;  // vectors a thread: no limit

// ---- statistics ---------------------------------------------------------------------------------

// Of each slice and column three numbers: a base, the mean's distance from it, and the sum of
// squares about the mean. partials [slices, 3, columns].
__global__ void __launch_bounds__(kThreads)
    batch_norm_partial_statistics(BatchNormTiling t, const float* __restrict__ x,
                                  float* __restrict__ partials) {
  const int slice = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - slice * t.tiles;
  const BatchNormPlace place(t, slice, tile);

  Pack<4> pivot = splat<4>(0), sum = splat<4>(0), squares = splat<4>(0);
  if (place.count > 0)
    pivot = load<4>(x + place.first);
  else if (place.rest > 0)
    pivot = PartOfVector{place.rest}.load(x + place.first, pivot);
  for_each_vector(place, [&](auto n, Index at, auto access) {
    Pack<4> v[n.value];
#pragma unroll
    for (int k = 0; k < n.value; ++k) v[k] = access.load(x + at + k * place.step, pivot);
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float d = v[k].v[j] - pivot.v[j];
        sum.v[j] += d;
        squares.v[j] = fmaf(d, d, squares.v[j]);
      }
    }
  });

  // The base of a column: the mean of the first row of threads, which has at least one element if
  // the column has.
  __shared__ float4 bases[kTileVectors];
  Pack<4> mean;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    mean.v[j] = sum.v[j] / max_of(1.0f, place.rows(j));
    squares.v[j] = fmaf(-sum.v[j], mean.v[j], squares.v[j]);
  }
  if (place.row == 0)
    bases[place.lane] = make_float4(pivot.v[0] + mean.v[0], pivot.v[1] + mean.v[1],
                                    pivot.v[2] + mean.v[2], pivot.v[3] + mean.v[3]);
  __syncthreads();
  const float4 b = bases[place.lane];
  const Pack<4> base = {{b.x, b.y, b.z, b.w}};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float off = (pivot.v[j] - base.v[j]) + mean.v[j];
    sum.v[j] = place.rows(j) * off;
    squares.v[j] = fmaf(sum.v[j], off, squares.v[j]);
  }
  sum_over_rows(t, place, sum, squares);

  if (place.row > 0 || !place.active) return;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float rows = rows_of_column(t, slice, 4 * place.vector + j);
    mean.v[j] = sum.v[j] / max_of(1.0f, rows);
    squares.v[j] = fmaf(-sum.v[j], mean.v[j], squares.v[j]);
  }
  const Index columns = 4 * t.vectors;
  float* const mine = partials + slice * 3 * columns + 4 * place.vector;
  store(mine, base);
  store(mine + columns, mean);
  store(mine + 2 * columns, squares);
}

// What the merge leaves: the batch's statistics, and y = (x - mean) scale + shift.
struct Statistics {
  float *running_mean, *running_var, *mean, *inv_std, *scale, *shift;
};

// A channel is one threadIdx.x; its partials are dealt out to threadIdx.y.
__global__ void __launch_bounds__(kFinishChannels* kFinishRows)
    batch_norm_merge_statistics(BatchNormTiling t, double rows, double eps, double momentum,
                                const float* __restrict__ partials, const float* __restrict__ gamma,
                                const float* __restrict__ beta, Statistics out) {
  const int c = static_cast<int>(blockIdx.x * kFinishChannels + threadIdx.x);
  const bool active = c < t.channels;
  const int columns = 4 * t.vectors, count = t.slices << t.copies_log2;
  float base = 0, sum = 0, squares = 0;
  if (active) {
    base = partials[c] + partials[columns + c];
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.y); i < count; i += static_cast<int>(blockDim.y)) {
      const int slice = i >> t.copies_log2;
      const int column = c + (i - (slice << t.copies_log2)) * t.channels;
      const float* const at = partials + Index{3} * slice * columns + column;
      const float off = (at[0] - base) + at[columns];
      const float weighted = rows_of_column(t, slice, column) * off;
      sum += weighted;
      squares += fmaf(weighted, off, at[2 * columns]);
    }
  }
  sum_over_finish_rows(sum, squares);
  if (!active || threadIdx.y > 0) return;

  const double off = sum / rows, mean = base + off;
  const double about_mean = squares - sum * off;
  const double inverse = 1 / sqrt(about_mean / rows + eps);
  const float rounded = static_cast<float>(mean);
  out.mean[c] = rounded;
  out.inv_std[c] = static_cast<float>(inverse);
  if (out.running_mean)
    out.running_mean[c] =
        static_cast<float>((1 - momentum) * out.running_mean[c] + momentum * mean);
  if (out.running_var)
    out.running_var[c] = static_cast<float>((1 - momentum) * out.running_var[c] +
                                            momentum * about_mean / (rows - 1));
  out.scale[c] = static_cast<float>(gamma[c] * inverse);
  // What rounding took from the mean comes back here.
  out.shift[c] = static_cast<float>(beta[c] + (rounded - mean) * gamma[c] * inverse);
}

// ---- y ------------------------------------------------------------------------------------------

// y = (x - mean) scale + shift (+ residual) (then ReLU). With `variance`, scale is divided by
// sqrt(variance + eps) first.
template <bool kResidual>
__global__ void __launch_bounds__(kThreads)
    batch_norm_normalize(BatchNormTiling t, bool relu, float eps, const float* __restrict__ x,
                         const float* __restrict__ mean, const float* __restrict__ scale,
                         const float* __restrict__ shift, const float* __restrict__ variance,
                         const float* __restrict__ residual, float* __restrict__ y) {
  const int from_end = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - from_end * t.tiles;
  const BatchNormPlace place(t, t.slices - 1 - from_end, tile);

  __shared__ __align__(16) float factors[3][4 * kTileVectors];
  const int column = static_cast<int>(threadIdx.x);
  if (column < 4 * t.tile_vectors) {
    const int c = (4 * tile * t.tile_vectors + column) % t.channels;
    factors[0][column] = mean[c];
    factors[1][column] = variance ? scale[c] / sqrtf(variance[c] + eps) : scale[c];
    factors[2][column] = shift[c];
  }
  __syncthreads();
  if (!place.active) return;
  const Pack<4> center = load<4>(factors[0] + 4 * place.lane);
  const Pack<4> slope = load<4>(factors[1] + 4 * place.lane);
  const Pack<4> offset = load<4>(factors[2] + 4 * place.lane);

  for_each_vector(place, [&](auto n, Index at, auto access) {
    Pack<4> v[n.value];
    [[maybe_unused]] Pack<4> r[n.value];
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
      v[k] = access.load(x + at + k * place.step, center);
      if constexpr (kResidual) r[k] = access.load(residual + at + k * place.step, center);
    }
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float a = fmaf(v[k].v[j] - center.v[j], slope.v[j], offset.v[j]);
        if constexpr (kResidual) a += r[k].v[j];
        v[k].v[j] = relu && a <= 0 ? 0.0f : a;  // false for NaN, which stays
      }
      access.store(y + at + k * place.step, v[k]);
    }
  });
}

void normalize(Stream s, const BatchNormShape& p, const float* x, const float* mean,
               const float* scale, const float* shift, const float* variance, const float* residual,
               float* y) {
  const BatchNormTiling t = tile_batch_norm(p, 16);
  ETUDE_CUDA(launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
                    residual ? batch_norm_normalize<true> : batch_norm_normalize<false>, t, p.relu,
                    static_cast<float>(p.eps), x, mean, scale, shift, variance, residual, y));
}

}  // namespace

// Partials of the slices, 3 to a column, then up to 3 factors a channel.
std::size_t batch_norm_workspace(const BatchNormShape& p) {
  const BatchNormTiling t = tile_batch_norm(p, kAny);
  return sizeof(float) * 3 * (static_cast<std::size_t>(t.slices) * t.columns() + t.channels);
}

void batch_norm_forward(Stream s, const BatchNormShape& p, const float* x, const float* gamma,
                        const float* beta, const float* residual, float* running_mean,
                        float* running_var, float* y, float* mean, float* inv_std, void* work) {
  if (p.channels == 0) return;
  const BatchNormTiling t = tile_batch_norm(p, kAny);
  float* const partials = static_cast<float*>(work);
  float* const scale = partials + Index{3} * t.slices * t.columns();
  float* const shift = scale + t.channels;
  ETUDE_CUDA(launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
                    batch_norm_partial_statistics, t, x, partials));
  ETUDE_CUDA(launch(finish_shape(t, s), batch_norm_merge_statistics, t, static_cast<double>(p.rows),
                    p.eps, p.momentum, partials, gamma, beta,
                    Statistics{running_mean, running_var, mean, inv_std, scale, shift}));
  normalize(s, p, x, mean, scale, shift, nullptr, residual, y);
}

void batch_norm_inference(Stream s, const BatchNormShape& p, const float* x, const float* gamma,
                          const float* beta, const float* residual, const float* running_mean,
                          const float* running_var, float* y) {
  if (p.channels == 0) return;
  normalize(s, p, x, running_mean, gamma, beta, running_var, residual, y);
}

}  // namespace etude::ETUDE_BACKEND
