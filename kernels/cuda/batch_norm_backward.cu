// Batch norm, backward. With x_hat = (x - mean) inv_std, and g = dy where y > 0 (ReLU) or dy:
//
//   dbeta = sum g,  dgamma = sum g x_hat,  dresidual = g
//   training    dx = gamma inv_std (g - dbeta / rows - x_hat dgamma / rows)
//   evaluation  dx = gamma inv_std g
//
// The two means are what flows back through the batch's own mean and variance (Ioffe and Szegedy,
// "Batch Normalization", ICML 2015). Training: sums of g and g (x - mean) over slices of the rows,
// which also write dresidual; their merge; dx = a g + b (x - mean) + d. With few rows one kernel
// does all of that, a block having all rows of its channels. Evaluation needs no sum for dx, so one
// pass does everything but the merge. Threads and slices: see batch_norm.h.
//
// Shared memory: 8 KB for the sums of a block's threads, 2 KB for the factors of a tile.
// FLOPs: 4 an element for the sums, 5 for dx. Bytes, in tensors like x: training 5 (x, dy; x, dy,
// dx), with ReLU 7 (y twice, or dresidual written and read instead of dy and y again), with few
// rows 3 or 4 as in evaluation; there dresidual is one more. Bound by memory: 20 bytes an element /
// bandwidth is the floor, 210 MB or 63 us at 3350 GB/s for 10 channels of a million rows.
//
// Deterministic: all cuts and orders depend on the shape only; no atomics.
#include <cmath>

#include "kernels/cuda/batch_norm.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = BatchNormTiling::kThreads, kTileVectors = BatchNormTiling::kTileVectors;
constexpr int kAny = 1 << 20;  // vectors a thread: no limit

// The gradient that enters the normalisation: through the ReLU only where y > 0, or y is NaN.
__device__ float gated(float y, float dy) { return y <= 0 ? 0.0f : dy; }

// Sums of g and of g (x - mean) of the four columns of a vector over the block's rows, for the
// threads of row 0. For all threads of the block. Writes dresidual = g and, for evaluation, dx =
// slope g, where they are given.
template <bool kRelu>
__device__ inline void sum_gradients(const BatchNormTiling& t, const BatchNormPlace& place,
                                     const float* __restrict__ x, const float* __restrict__ y,
                                     const float* __restrict__ dy, const Quad& center,
                                     const Quad& slope, float* __restrict__ dx,
                                     float* __restrict__ dresidual, Quad& sum, Quad& product) {
  sum = product = splat<4>(0);
  for_each_vector(place, [&](auto n, Index at, auto access) {
    const Quad zero = splat<4>(0);
    Quad v[n.value], g[n.value];
    [[maybe_unused]] Quad gate[n.value];
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
      const Index i = at + k * place.step;
      v[k] = access.load(x + i, center);
      g[k] = access.load(dy + i, zero);
      if constexpr (kRelu) gate[k] = access.load(y + i, zero);
    }
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
      const Index i = at + k * place.step;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (kRelu) g[k].e[j] = gated(gate[k].e[j], g[k].e[j]);
        sum.e[j] += g[k].e[j];
        product.e[j] = fmaf(g[k].e[j], v[k].e[j] - center.e[j], product.e[j]);
        v[k].e[j] = g[k].e[j] * slope.e[j];
      }
      if (dresidual) access.store(dresidual + i, g[k]);
      if (dx) access.store(dx + i, v[k]);
    }
  });
  sum_over_rows(t, place, sum, product);
}

// The sums of each slice and column: partials [slices, 2, columns]. Evaluation gives the variance,
// and dx to be written: dx = gamma g / sqrt(variance + eps).
template <bool kRelu>
__global__ void __launch_bounds__(kThreads, 2)
    batch_norm_partial_gradients(BatchNormTiling t, float eps, const float* __restrict__ x,
                                 const float* __restrict__ y, const float* __restrict__ dy,
                                 const float* __restrict__ mean, const float* __restrict__ gamma,
                                 const float* __restrict__ variance, float* __restrict__ dx,
                                 float* __restrict__ dresidual, float* __restrict__ partials) {
  const int slice = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - slice * t.tiles;
  const BatchNormPlace place(t, slice, tile);

  __shared__ __align__(16) float centers[4 * kTileVectors], slopes[4 * kTileVectors];
  const int column = static_cast<int>(threadIdx.x);
  if (column < 4 * t.tile_vectors) {
    const int c = (4 * tile * t.tile_vectors + column) % t.channels;
    centers[column] = mean[c];
    slopes[column] = variance ? gamma[c] / sqrtf(variance[c] + eps) : 0.0f;
  }
  __syncthreads();
  Quad sum, product;
  sum_gradients<kRelu>(t, place, x, y, dy, load<4>(centers + 4 * place.lane),
                       load<4>(slopes + 4 * place.lane), dx, dresidual, sum, product);

  if (place.row > 0 || !place.active) return;
  const Index columns = 4 * t.vectors;
  float* const mine = partials + slice * 2 * columns + 4 * place.vector;
  store(mine, sum);
  store(mine + columns, product);
}

// What the gradients of a channel take beside the sums: training gives inv_std, evaluation the
// variance.
struct Parameters {
  double rows, eps;
  const float *gamma, *mean, *inv_std, *variance;
  float *dgamma, *dbeta;
};

// dx = a g + b (x - mean) + d
struct Coefficients {
  float a, b, d;
};

__device__ inline Coefficients finish_channel(const Parameters& p, int c, float sum,
                                              float product) {
  const double inverse = p.inv_std ? p.inv_std[c] : 1 / sqrt(p.variance[c] + p.eps);
  p.dbeta[c] = sum;
  p.dgamma[c] = static_cast<float>(product * inverse);
  const double slope = p.gamma[c] * inverse;
  return {static_cast<float>(slope),
          static_cast<float>(-slope * inverse * inverse * product / p.rows),
          static_cast<float>(-slope * sum / p.rows)};
}

// A channel is one threadIdx.x; its partials are dealt out to threadIdx.y. coefficients [3, C] are
// written where they are given.
__global__ void __launch_bounds__(kFinishChannels* kFinishRows)
    batch_norm_merge_gradients(BatchNormTiling t, Parameters p, const float* __restrict__ partials,
                               float* __restrict__ coefficients) {
  const int c = static_cast<int>(blockIdx.x * kFinishChannels + threadIdx.x);
  const bool active = c < t.channels;
  const int columns = 4 * t.vectors, count = t.slices << t.copies_log2;
  float sum = 0, product = 0;
  if (active) {
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.y); i < count; i += static_cast<int>(blockDim.y)) {
      const int slice = i >> t.copies_log2;
      const int column = c + (i - (slice << t.copies_log2)) * t.channels;
      const float* const at = partials + Index{2} * slice * columns + column;
      sum += at[0];
      product += at[columns];
    }
  }
  sum_over_finish_rows(sum, product);
  if (!active || threadIdx.y > 0) return;
  const Coefficients k = finish_channel(p, c, sum, product);
  if (!coefficients) return;
  coefficients[c] = k.a;
  coefficients[c + t.channels] = k.b;
  coefficients[c + 2 * t.channels] = k.d;
}

// Factors of the columns of a tile, in shared memory.
struct Factors {
  float center[4 * kTileVectors], a[4 * kTileVectors], b[4 * kTileVectors], d[4 * kTileVectors];
};

// dx = a g + b (x - mean) + d of a thread's vectors.
template <bool kRelu>
__device__ inline void input_gradient(const BatchNormPlace& place, const Factors& factors,
                                      const float* __restrict__ x, const float* __restrict__ y,
                                      const float* __restrict__ dy, float* __restrict__ dx) {
  const Quad center = load<4>(factors.center + 4 * place.lane);
  const Quad a = load<4>(factors.a + 4 * place.lane);
  const Quad b = load<4>(factors.b + 4 * place.lane);
  const Quad d = load<4>(factors.d + 4 * place.lane);
  for_each_vector(place, [&](auto n, Index at, auto access) {
    Quad v[n.value], g[n.value];
    [[maybe_unused]] Quad gate[n.value];
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
      const Index i = at + k * place.step;
      v[k] = access.load(x + i, center);
      g[k] = access.load(dy + i, center);
      if constexpr (kRelu) gate[k] = access.load(y + i, center);
    }
#pragma unroll
    for (int k = 0; k < n.value; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (kRelu) g[k].e[j] = gated(gate[k].e[j], g[k].e[j]);
        const float rest = fmaf(v[k].e[j] - center.e[j], b.e[j], d.e[j]);
        v[k].e[j] = fmaf(g[k].e[j], a.e[j], rest);
      }
      access.store(dx + at + k * place.step, v[k]);
    }
  });
}

// Where the residual's gradient was written, it is given as dy: it is g already.
template <bool kRelu>
__global__ void __launch_bounds__(kThreads, 2)
    batch_norm_input_gradient(BatchNormTiling t, const float* __restrict__ x,
                              const float* __restrict__ y, const float* __restrict__ dy,
                              const float* __restrict__ mean,
                              const float* __restrict__ coefficients, float* __restrict__ dx) {
  const int from_end = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - from_end * t.tiles;
  const BatchNormPlace place(t, t.slices - 1 - from_end, tile);

  __shared__ __align__(16) Factors factors;
  const int column = static_cast<int>(threadIdx.x);
  if (column < 4 * t.tile_vectors) {
    const int c = (4 * tile * t.tile_vectors + column) % t.channels;
    factors.center[column] = mean[c];
    factors.a[column] = coefficients[c];
    factors.b[column] = coefficients[c + t.channels];
    factors.d[column] = coefficients[c + 2 * t.channels];
  }
  __syncthreads();
  if (place.active) input_gradient<kRelu>(place, factors, x, y, dy, dx);
}

// Training with few rows: a block has all rows of its channels, and does all of it.
template <bool kRelu>
__global__ void __launch_bounds__(kThreads, 2)
    batch_norm_few_rows_gradient(BatchNormTiling t, Parameters p, const float* __restrict__ x,
                                 const float* __restrict__ y, const float* __restrict__ dy,
                                 float* __restrict__ dx, float* __restrict__ dresidual) {
  const int tile = static_cast<int>(blockIdx.x);
  const BatchNormPlace place(t, 0, tile);
  __shared__ __align__(16) Factors factors;
  const int column = static_cast<int>(threadIdx.x), first = 4 * tile * t.tile_vectors;
  if (column < 4 * t.tile_vectors) factors.center[column] = p.mean[(first + column) % t.channels];
  __syncthreads();
  Quad sum, product;
  sum_gradients<kRelu>(t, place, x, y, dy, load<4>(factors.center + 4 * place.lane), splat<4>(0),
                       nullptr, dresidual, sum, product);

  // a and b hold the sums first.
  if (place.row == 0) {
    store(factors.a + 4 * place.lane, sum);
    store(factors.b + 4 * place.lane, product);
  }
  __syncthreads();
  const int c = first + column;
  if (column < 4 * t.tile_vectors && c < t.channels) {
    const int end = column + (t.channels << t.copies_log2);
    float all = 0, all_product = 0;
    for (int i = column; i < end; i += t.channels) {
      all += factors.a[i];
      all_product += factors.b[i];
    }
    const Coefficients k = finish_channel(p, c, all, all_product);
    for (int i = column; i < end; i += t.channels) {
      factors.a[i] = k.a;
      factors.b[i] = k.b;
      factors.d[i] = k.d;
    }
  }
  __syncthreads();
  if (place.active) input_gradient<kRelu>(place, factors, x, y, dy, dx);
}

// The parameters' gradients, dresidual, and either dx or its coefficients.
void parameter_gradients(Stream s, const BatchNormShape& p, const BatchNormTiling& t,
                         const Parameters& parameters, const float* x, const float* y,
                         const float* dy, float* dx, float* dresidual, float* partials,
                         float* coefficients) {
  ETUDE_CUDA(
      launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
             p.relu ? batch_norm_partial_gradients<true> : batch_norm_partial_gradients<false>, t,
             static_cast<float>(p.eps), x, y, dy, parameters.mean, parameters.gamma,
             parameters.variance, dx, dresidual, partials));
  ETUDE_CUDA(launch(finish_shape(t, s), batch_norm_merge_gradients, t, parameters, partials,
                    coefficients));
}

}  // namespace

void batch_norm_backward(Stream s, const BatchNormShape& p, const float* x, const float* y,
                         const float* dy, const float* gamma, const float* mean,
                         const float* inv_std, float* dx, float* dgamma, float* dbeta,
                         float* dresidual, void* work) {
  if (p.channels == 0) return;
  const Parameters parameters{
      static_cast<double>(p.rows), p.eps, gamma, mean, inv_std, nullptr, dgamma, dbeta};
  if (few_rows(p)) {
    const BatchNormTiling t = tile_few_rows(p);
    ETUDE_CUDA(
        launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
               p.relu ? batch_norm_few_rows_gradient<true> : batch_norm_few_rows_gradient<false>, t,
               parameters, x, y, dy, dx, dresidual));
    return;
  }
  const BatchNormTiling sums = tile_batch_norm(p, kAny), whole = tile_batch_norm(p, 16);
  float* const partials = static_cast<float*>(work);
  float* const coefficients = partials + Index{2} * sums.slices * sums.columns();
  parameter_gradients(s, p, sums, parameters, x, y, dy, nullptr, dresidual, partials, coefficients);
  const bool gate = p.relu && !dresidual;
  ETUDE_CUDA(launch({.grid = whole.blocks(), .block = kThreads, .stream = stream_of(s)},
                    gate ? batch_norm_input_gradient<true> : batch_norm_input_gradient<false>,
                    whole, x, y, dresidual ? dresidual : dy, mean, coefficients, dx));
}

void batch_norm_inference_backward(Stream s, const BatchNormShape& p, const float* x,
                                   const float* y, const float* dy, const float* gamma,
                                   const float* running_mean, const float* running_var, float* dx,
                                   float* dgamma, float* dbeta, float* dresidual, void* work) {
  if (p.channels == 0) return;
  const Parameters parameters{
      static_cast<double>(p.rows), p.eps, gamma, running_mean, nullptr, running_var, dgamma, dbeta};
  parameter_gradients(s, p, tile_batch_norm(p, kAny), parameters, x, y, dy, dx, dresidual,
                      static_cast<float*>(work), nullptr);
}

}  // namespace etude::ETUDE_BACKEND
