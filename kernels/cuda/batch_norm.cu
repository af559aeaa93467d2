// Batch norm over the rows of x [rows, C], forward:
//
//   mean = sum x / rows,  var = sum (x - mean)^2 / rows,  inv_std = 1 / sqrt(var + eps)
//   y = (x - mean) inv_std gamma + beta (+ residual) (then ReLU)
//
// Training takes three kernels: partial statistics of slices of the rows, their merge (a small
// kernel), and y. With few rows it takes one, in which a block has all rows of its channels and x
// stays in its L1 cache. Evaluation is y alone. Threads and slices: see batch_norm.h.
//
// Statistics. A thread sums d = x - pivot and d^2, the pivot being the first element it reads; its
// mean and sum of squares about the mean follow (Chan, Golub and LeVeque, "Algorithms for computing
// the sample variance", 1983). They are merged about the mean of a group that is part of the
// merge: in a block, of the first row of threads; among blocks, of the first block. So no number
// is ever much larger than the deviations themselves, and a mean a thousand times the deviation
// costs no digits. (With one pivot for all, an outlier as pivot would.) The merge is in float, and
// the last step of each channel in double.
//
// Shared memory: 8.5 KB for the sums of a block's threads, 1.5 KB for the factors of a tile.
// FLOPs: 3 an element for the statistics, 3 to 5 for y. Bytes: 3 times those of x in training (1
// for the statistics; x again and y), 2 with few rows and in evaluation; one more with a residual.
// The partials are under 1/10 of x. Bound by memory everywhere: 12 bytes an element / bandwidth is
// the floor, 126 MB or 38 us at 3350 GB/s for 10 channels of a million rows. Where x fits the L2
// cache the second pass reads it from there; else its first blocks find there what the statistics
// read last, because it walks the slices backwards.
//
// Deterministic: all cuts and orders depend on the shape only; no atomics.
#include <cmath>

#include "kernels/cuda/batch_norm.h"

namespace etude::ETUDE_BACKEND {

namespace {

// The lines of a tensor, cut into `tiles` tiles.
BatchNormTiling lines_of(const BatchNormShape& p, int most_vectors) {
  BatchNormTiling t;
  t.channels = static_cast<int>(p.channels);
  const int common = p.channels % 4 == 0 ? 4 : p.channels % 2 == 0 ? 2 : 1;
  t.vectors = t.channels / common;
  t.copies_log2 = common == 4 ? 0 : common == 2 ? 1 : 2;
  t.lines = p.size() / t.columns();
  t.rest = static_cast<int>(p.size() % t.columns());
  t.tiles = ceil_div(t.vectors, most_vectors);
  t.tile_vectors = ceil_div(t.vectors, t.tiles);
  t.tile_lines = BatchNormTiling::kThreads / t.tile_vectors;
  t.slices = 1;
  t.slice_lines = t.lines + 1;
  return t;
}

}  // namespace

BatchNormTiling tile_batch_norm(const BatchNormShape& p, int most) {
  // A tile spans as much of a line as a warp reads at once; where that leaves one slice, less: with
  // few rows the channels have to keep the GPU busy.
  for (int width = BatchNormTiling::kTileVectors;; width /= 2) {
    BatchNormTiling t = lines_of(p, width);
    constexpr Index least = 4, wanted_blocks = 1024;
    const Index lines = t.lines + (t.rest > 0);
    const Index share = lines * t.vectors / (wanted_blocks * BatchNormTiling::kThreads);
    const Index each = max_of(least, min_of(Index{most}, ceil_div(share, least) * least));
    t.slice_lines = t.tile_lines * each;
    t.slices = static_cast<int>(max_of(Index{1}, ceil_div(lines, t.slice_lines)));
    if (t.slices > 1 || width == 8) return t;
  }
}

// Whole channels to a block: where a channel has several columns, that takes all of the line.
BatchNormTiling tile_few_rows(const BatchNormShape& p) {
  return lines_of(p, p.channels % 4 == 0 ? 4 : BatchNormTiling::kTileVectors);
}

bool few_rows(const BatchNormShape& p) {
  const BatchNormTiling t = tile_few_rows(p);
  return (t.copies_log2 == 0 || t.tiles == 1) && t.lines < Index{8} * t.tile_lines;
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

// Of the four columns of a vector: a base, the mean's distance from it, and the sum of squares
// about the mean.
struct Moments {
  Quad base, mean, squares;
};

// Over the block's rows, for the threads of row 0. For all threads of the block.
__device__ inline Moments block_moments(const BatchNormTiling& t, const BatchNormPlace& place,
                                        int slice, const float* __restrict__ x) {
  Quad pivot = splat<4>(0), sum = splat<4>(0), squares = splat<4>(0);
  if (place.count > 0)
    pivot = load<4>(x + place.first);
  else if (place.rest > 0)
    pivot = PartQuad{0, place.rest}.load(x + place.first, pivot);
  for_each_vector(place, [&](auto n, Index at, auto access) {
    Quad v[n.value];
#pragma unroll
    for (int k = 0; k < n.value; ++k) v[k] = access.load(x + at + k * place.step, pivot);
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float d = v[k].e[j] - pivot.e[j];
        sum.e[j] += d;
        squares.e[j] = fmaf(d, d, squares.e[j]);
      }
    }
  });

  // The base of a column: the mean of the first row of threads, which has at least one element if
  // the column has.
  __shared__ __align__(16) float bases[4 * kTileVectors];
  Quad base, mean;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    mean.e[j] = sum.e[j] / max_of(1.0f, place.rows(j));
    squares.e[j] = fmaf(-sum.e[j], mean.e[j], squares.e[j]);
    base.e[j] = pivot.e[j] + mean.e[j];
  }
  if (place.row == 0) store(bases + 4 * place.lane, base);
  __syncthreads();
  base = load<4>(bases + 4 * place.lane);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float off = (pivot.e[j] - base.e[j]) + mean.e[j];
    sum.e[j] = place.rows(j) * off;
    squares.e[j] = fmaf(sum.e[j], off, squares.e[j]);
  }
  sum_over_rows(t, place, sum, squares);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    mean.e[j] = sum.e[j] / max_of(1.0f, rows_of_column(t, slice, 4 * place.vector + j));
    squares.e[j] = fmaf(-sum.e[j], mean.e[j], squares.e[j]);
  }
  return {base, mean, squares};
}

// partials [slices, 3, columns]: base, mean and squares of each slice.
__global__ void __launch_bounds__(kThreads, 2)
    batch_norm_partial_statistics(BatchNormTiling t, const float* __restrict__ x,
                                  float* __restrict__ partials) {
  const int slice = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - slice * t.tiles;
  const BatchNormPlace place(t, slice, tile);
  const Moments moments = block_moments(t, place, slice, x);
  if (place.row > 0 || !place.active) return;
  const Index columns = 4 * t.vectors;
  float* const mine = partials + slice * 3 * columns + 4 * place.vector;
  store(mine, moments.base);
  store(mine + columns, moments.mean);
  store(mine + 2 * columns, moments.squares);
}

// Columns or slices of one channel put together, about the base of the first.
struct Merge {
  float base, sum = 0, squares = 0;
  __device__ void add(float rows, float other_base, float mean, float other_squares) {
    const float off = (other_base - base) + mean;
    sum += rows * off;
    squares += fmaf(rows * off, off, other_squares);
  }
};

// What training asks for beside y.
struct Training {
  double rows, eps, momentum;
  const float *gamma, *beta;
  float *running_mean, *running_var, *mean, *inv_std;
};

// y = (x - center) scale + shift
struct Affine {
  float center, scale, shift;
};

__device__ inline Affine finish_channel(const Training& p, int c, const Merge& merged) {
  const double off = merged.sum / p.rows, mean = merged.base + off;
  const double squares = merged.squares - merged.sum * off;
  const double inverse = 1 / sqrt(squares / p.rows + p.eps);
  const float rounded = static_cast<float>(mean);
  p.mean[c] = rounded;
  p.inv_std[c] = static_cast<float>(inverse);
  const auto blend = [&](float old, double batch) {
    return static_cast<float>((1 - p.momentum) * old + p.momentum * batch);
  };
  if (p.running_mean) p.running_mean[c] = blend(p.running_mean[c], mean);
  if (p.running_var) p.running_var[c] = blend(p.running_var[c], squares / (p.rows - 1));
  const double scale = p.gamma[c] * inverse;
  // What rounding took from the mean comes back in the shift.
  return {rounded, static_cast<float>(scale),
          static_cast<float>(p.beta[c] + (rounded - mean) * scale)};
}

// A channel is one threadIdx.x; its partials are dealt out to threadIdx.y.
__global__ void __launch_bounds__(kFinishChannels* kFinishRows)
    batch_norm_merge_statistics(BatchNormTiling t, Training p, const float* __restrict__ partials,
                                float* __restrict__ scale, float* __restrict__ shift) {
  const int c = static_cast<int>(blockIdx.x * kFinishChannels + threadIdx.x);
  const bool active = c < t.channels;
  const int columns = 4 * t.vectors, count = t.slices << t.copies_log2;
  Merge merged{0};
  if (active) {
    merged.base = partials[c] + partials[columns + c];
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.y); i < count; i += static_cast<int>(blockDim.y)) {
      const int slice = i >> t.copies_log2;
      const int column = c + (i - (slice << t.copies_log2)) * t.channels;
      const float* const at = partials + Index{3} * slice * columns + column;
      merged.add(rows_of_column(t, slice, column), at[0], at[columns], at[2 * columns]);
    }
  }
  sum_over_finish_rows(merged.sum, merged.squares);
  if (!active || threadIdx.y > 0) return;
  const Affine affine = finish_channel(p, c, merged);
  scale[c] = affine.scale;
  shift[c] = affine.shift;
}

// ---- y ------------------------------------------------------------------------------------------

// Factors of the columns of a tile, in shared memory.
struct Factors {
  float center[4 * kTileVectors], scale[4 * kTileVectors], shift[4 * kTileVectors];
};

// y = (x - center) scale + shift (+ residual) (then ReLU) of a thread's vectors.
template <bool kResidual>
__device__ inline void normalize_rows(const BatchNormPlace& place, const Factors& factors,
                                      bool relu, const float* __restrict__ x,
                                      const float* __restrict__ residual, float* __restrict__ y) {
  const Quad center = load<4>(factors.center + 4 * place.lane);
  const Quad scale = load<4>(factors.scale + 4 * place.lane);
  const Quad shift = load<4>(factors.shift + 4 * place.lane);
  for_each_vector(place, [&](auto n, Index at, auto access) {
    Quad v[n.value];
    [[maybe_unused]] Quad r[n.value];
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
      v[k] = access.load(x + at + k * place.step, center);
      if constexpr (kResidual) r[k] = access.load(residual + at + k * place.step, center);
    }
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float a = fmaf(v[k].e[j] - center.e[j], scale.e[j], shift.e[j]);
        if constexpr (kResidual) a += r[k].e[j];
        v[k].e[j] = relu && a <= 0 ? 0.0f : a;  // false for NaN, which stays
      }
      access.store(y + at + k * place.step, v[k]);
    }
  });
}

// With `variance`, scale is divided by sqrt(variance + eps) first.
template <bool kResidual>
__global__ void __launch_bounds__(kThreads, 2)
    batch_norm_normalize(BatchNormTiling t, bool relu, float eps, const float* __restrict__ x,
                         const float* __restrict__ mean, const float* __restrict__ scale,
                         const float* __restrict__ shift, const float* __restrict__ variance,
                         const float* __restrict__ residual, float* __restrict__ y) {
  const int from_end = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - from_end * t.tiles;
  const BatchNormPlace place(t, t.slices - 1 - from_end, tile);

  __shared__ __align__(16) Factors factors;
  const int column = static_cast<int>(threadIdx.x);
  if (column < 4 * t.tile_vectors) {
    const int c = (4 * tile * t.tile_vectors + column) % t.channels;
    factors.center[column] = mean[c];
    factors.scale[column] = variance ? scale[c] / sqrtf(variance[c] + eps) : scale[c];
    factors.shift[column] = shift[c];
  }
  __syncthreads();
  if (place.active) normalize_rows<kResidual>(place, factors, relu, x, residual, y);
}

// ---- few rows: a block has all rows of its channels, and does all of it
// --------------------------

template <bool kResidual>
__global__ void __launch_bounds__(kThreads, 2)
    batch_norm_few_rows(BatchNormTiling t, bool relu, Training p, const float* __restrict__ x,
                        const float* __restrict__ residual, float* __restrict__ y) {
  const int tile = static_cast<int>(blockIdx.x);
  const BatchNormPlace place(t, 0, tile);
  const Moments moments = block_moments(t, place, 0, x);

  // The factors' arrays hold the moments first.
  __shared__ __align__(16) Factors factors;
  if (place.row == 0) {
    store(factors.center + 4 * place.lane, moments.base);
    store(factors.scale + 4 * place.lane, moments.mean);
    store(factors.shift + 4 * place.lane, moments.squares);
  }
  __syncthreads();
  const int column = static_cast<int>(threadIdx.x), c = 4 * tile * t.tile_vectors + column;
  if (column < 4 * t.tile_vectors && c < t.channels) {
    Merge merged{factors.center[column] + factors.scale[column]};
    const int end = column + (t.channels << t.copies_log2);
    for (int i = column; i < end; i += t.channels)
      merged.add(rows_of_column(t, 0, c + i - column), factors.center[i], factors.scale[i],
                 factors.shift[i]);
    const Affine affine = finish_channel(p, c, merged);
    for (int i = column; i < end; i += t.channels) {
      factors.center[i] = affine.center;
      factors.scale[i] = affine.scale;
      factors.shift[i] = affine.shift;
    }
  }
  __syncthreads();
  if (place.active) normalize_rows<kResidual>(place, factors, relu, x, residual, y);
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
  const Training training{static_cast<double>(p.rows),
                          p.eps,
                          p.momentum,
                          gamma,
                          beta,
                          running_mean,
                          running_var,
                          mean,
                          inv_std};
  if (few_rows(p)) {
    const BatchNormTiling t = tile_few_rows(p);
    ETUDE_CUDA(launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
                      residual ? batch_norm_few_rows<true> : batch_norm_few_rows<false>, t, p.relu,
                      training, x, residual, y));
    return;
  }
  const BatchNormTiling t = tile_batch_norm(p, kAny);
  float* const partials = static_cast<float*>(work);
  float* const scale = partials + Index{3} * t.slices * t.columns();
  float* const shift = scale + t.channels;
  ETUDE_CUDA(launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
                    batch_norm_partial_statistics, t, x, partials));
  ETUDE_CUDA(
      launch(finish_shape(t, s), batch_norm_merge_statistics, t, training, partials, scale, shift));
  normalize(s, p, x, mean, scale, shift, nullptr, residual, y);
}

void batch_norm_inference(Stream s, const BatchNormShape& p, const float* x, const float* gamma,
                          const float* beta, const float* residual, const float* running_mean,
                          const float* running_var, float* y) {
  if (p.channels == 0) return;
  normalize(s, p, x, running_mean, gamma, beta, running_var, residual, y);
}

}  // namespace etude::ETUDE_BACKEND
