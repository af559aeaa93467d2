// Batch norm, backward. With x_hat = (x - mean) inv_std, and g = dy where y > 0 (ReLU) or dy:
//
//   dbeta = sum g,  dgamma = sum g x_hat,  dresidual = g
//   training    dx = gamma inv_std (g - dbeta / rows - x_hat dgamma / rows)
//   evaluation  dx = gamma inv_std g
//
// The two means are what flows back through the batch's own mean and variance (Ioffe and Szegedy,
// "Batch Normalization", ICML 2015). Training: sums of g and g (x - mean) over slices of the rows,
// which also write dresidual; their merge; dx = a g + b (x - mean) + d. Evaluation needs no sum
// for dx, so one pass does everything. Threads and slices: see batch_norm.h.
//
// Shared memory: 8 KB for the sums of a block's threads; 2 KB for the factors of a tile.
// FLOPs: 4 an element for the sums, 5 for dx. Bytes, in tensors like x: training 5 (x, dy; x, dy,
// dx), with ReLU 7 (y twice, or dresidual written and read instead of dy and y again); evaluation
// 3, with ReLU 4, with dresidual one more. Bound by memory: the floor is 20 bytes an element /
// bandwidth.
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

// Sums of g and of g (x - mean) of each slice and column: partials [slices, 2, columns]. Writes
// dresidual = g where it is given. Evaluation gives dx and the variance: dx = gamma g /
// sqrt(variance + eps).
template <bool kRelu>
__global__ void __launch_bounds__(kThreads)
    batch_norm_partial_gradients(BatchNormTiling t, float eps, const float* __restrict__ x,
                                 const float* __restrict__ y, const float* __restrict__ dy,
                                 const float* __restrict__ mean, const float* __restrict__ gamma,
                                 const float* __restrict__ variance, float* __restrict__ dx,
                                 float* __restrict__ dresidual, float* __restrict__ partials) {
  const int slice = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - slice * t.tiles;
  const BatchNormPlace place(t, slice, tile);

  __shared__ __align__(16) float factors[2][4 * kTileVectors];
  const int column = static_cast<int>(threadIdx.x);
  if (column < 4 * t.tile_vectors) {
    const int c = (4 * tile * t.tile_vectors + column) % t.channels;
    factors[0][column] = mean[c];
    factors[1][column] = variance ? gamma[c] / sqrtf(variance[c] + eps) : 0.0f;
  }
  __syncthreads();
  const Pack<4> center = load<4>(factors[0] + 4 * place.lane);
  const Pack<4> slope = load<4>(factors[1] + 4 * place.lane);

  Pack<4> sum = splat<4>(0), product = splat<4>(0);
  for_each_vector(place, [&](auto n, Index at, auto access) {
    const Pack<4> zero = splat<4>(0);
    Pack<4> v[n.value], g[n.value];
    [[maybe_unused]] Pack<4> gate[n.value];
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
        if constexpr (kRelu) g[k].v[j] = gated(gate[k].v[j], g[k].v[j]);
        sum.v[j] += g[k].v[j];
        product.v[j] = fmaf(g[k].v[j], v[k].v[j] - center.v[j], product.v[j]);
        v[k].v[j] = g[k].v[j] * slope.v[j];
      }
      if (dresidual) access.store(dresidual + i, g[k]);
      if (dx) access.store(dx + i, v[k]);
    }
  });
  sum_over_rows(t, place, sum, product);

  if (place.row > 0 || !place.active) return;
  const Index columns = 4 * t.vectors;
  float* const mine = partials + slice * 2 * columns + 4 * place.vector;
  store(mine, sum);
  store(mine + columns, product);
}

// dx = a g + b (x - mean) + d
struct Coefficients {
  float *a, *b, *d;
};

// A channel is one threadIdx.x; its partials are dealt out to threadIdx.y. Training gives inv_std,
// evaluation the variance.
__global__ void __launch_bounds__(kFinishChannels* kFinishRows)
    batch_norm_merge_gradients(BatchNormTiling t, double rows, double eps,
                               const float* __restrict__ partials, const float* __restrict__ gamma,
                               const float* __restrict__ inv_std,
                               const float* __restrict__ variance, float* __restrict__ dgamma,
                               float* __restrict__ dbeta, Coefficients out) {
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

  const double inverse = inv_std ? inv_std[c] : 1 / sqrt(variance[c] + eps);
  dbeta[c] = sum;
  dgamma[c] = static_cast<float>(product * inverse);
  if (variance) return;
  const double slope = gamma[c] * inverse;
  out.a[c] = static_cast<float>(slope);
  out.b[c] = static_cast<float>(-slope * inverse * inverse * product / rows);
  out.d[c] = static_cast<float>(-slope * sum / rows);
}

// dx = a g + b (x - mean) + d. Where the residual's gradient was written, it is g already.
template <bool kRelu>
__global__ void __launch_bounds__(kThreads)
    batch_norm_input_gradient(BatchNormTiling t, const float* __restrict__ x,
                              const float* __restrict__ y, const float* __restrict__ dy,
                              const float* __restrict__ mean, Coefficients factor,
                              float* __restrict__ dx) {
  const int from_end = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - from_end * t.tiles;
  const BatchNormPlace place(t, t.slices - 1 - from_end, tile);

  __shared__ __align__(16) float factors[4][4 * kTileVectors];
  const int column = static_cast<int>(threadIdx.x);
  if (column < 4 * t.tile_vectors) {
    const int c = (4 * tile * t.tile_vectors + column) % t.channels;
    factors[0][column] = mean[c];
    factors[1][column] = factor.a[c];
    factors[2][column] = factor.b[c];
    factors[3][column] = factor.d[c];
  }
  __syncthreads();
  if (!place.active) return;
  const Pack<4> center = load<4>(factors[0] + 4 * place.lane);
  const Pack<4> a = load<4>(factors[1] + 4 * place.lane);
  const Pack<4> b = load<4>(factors[2] + 4 * place.lane);
  const Pack<4> d = load<4>(factors[3] + 4 * place.lane);

  for_each_vector(place, [&](auto n, Index at, auto access) {
    Pack<4> v[n.value], g[n.value];
    [[maybe_unused]] Pack<4> gate[n.value];
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
        if constexpr (kRelu) g[k].v[j] = gated(gate[k].v[j], g[k].v[j]);
        const float rest = fmaf(v[k].v[j] - center.v[j], b.v[j], d.v[j]);
        v[k].v[j] = fmaf(g[k].v[j], a.v[j], rest);
      }
      access.store(dx + at + k * place.step, v[k]);
    }
  });
}

// dgamma, dbeta and dresidual; dx in evaluation, the coefficients of dx in training.
void parameter_gradients(Stream s, const BatchNormShape& p, const BatchNormTiling& t,
                         const float* x, const float* y, const float* dy, const float* gamma,
                         const float* mean, const float* inv_std, const float* variance, float* dx,
                         float* dgamma, float* dbeta, float* dresidual, float* partials,
                         const Coefficients& coefficients) {
  ETUDE_CUDA(
      launch({.grid = t.blocks(), .block = kThreads, .stream = stream_of(s)},
             p.relu ? batch_norm_partial_gradients<true> : batch_norm_partial_gradients<false>, t,
             static_cast<float>(p.eps), x, y, dy, mean, gamma, variance, dx, dresidual, partials));
  ETUDE_CUDA(launch(finish_shape(t, s), batch_norm_merge_gradients, t, static_cast<double>(p.rows),
                    p.eps, partials, gamma, inv_std, variance, dgamma, dbeta, coefficients));
}

}  // namespace

void batch_norm_backward(Stream s, const BatchNormShape& p, const float* x, const float* y,
                         const float* dy, const float* gamma, const float* mean,
                         const float* inv_std, float* dx, float* dgamma, float* dbeta,
                         float* dresidual, void* work) {
  if (p.channels == 0) return;
  const BatchNormTiling sums = tile_batch_norm(p, kAny), whole = tile_batch_norm(p, 16);
  float* const partials = static_cast<float*>(work);
  float* const a = partials + Index{2} * sums.slices * sums.columns();
  const Coefficients coefficients{a, a + p.channels, a + 2 * p.channels};
  parameter_gradients(s, p, sums, x, y, dy, gamma, mean, inv_std, nullptr, nullptr, dgamma, dbeta,
                      dresidual, partials, coefficients);
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
  parameter_gradients(s, p, tile_batch_norm(p, kAny), x, y, dy, gamma, running_mean, nullptr,
                      running_var, dx, dgamma, dbeta, dresidual, static_cast<float*>(work), {});
}

}  // namespace etude::ETUDE_BACKEND
