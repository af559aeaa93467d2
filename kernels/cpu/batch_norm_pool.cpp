// Batch norm, ReLU and max-pooling in one op: the normalised map of full size never exists.
//
// Normalising a channel is monotone, rising where gamma > 0 and falling where gamma < 0. So the tap
// that wins a window is known before the statistics are: it has the largest  x sign(gamma)  (the
// first, where gamma is 0 and all are equal), and
//
//   y = relu((x[winner] - mean) inv_std gamma + beta),
//
// the bits that normalising first would give.
//
// Forward: one pass over x. A band of rows of some 64 KB gives its statistics and then, from cache,
// the winners' values and places; the values alone are normalised. Bands go into slices, merged in
// double as in batch_norm.cpp. Backward: the sums over the gradient are sums over windows, because
// every other g is 0: a pass over arrays of the size of y. Then a row of dx at a time: the
// gradients at their places, and from cache  dx = a g + b (x - mean) + d.
//
// Bytes, of 2x2 windows, in sizes of x: forward 1.8, backward 3.3; one op after the other 4.3 and
// 8.3. Kept for the backward pass: the winners' values, and a byte each for their places. All cuts
// depend on the shape only.
#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/pool2d.h"

namespace etude::ETUDE_BACKEND {
namespace {

BatchNormShape pooled(const BatchNormShape& p, const Pool2dShape& d) {
  BatchNormShape result = p;
  result.rows = d.n * d.p() * d.q();
  return result;
}

// An image is cut into bands of `rows` rows of outputs and the inputs of `stride` times as many;
// what is left of the inputs goes to the last.
struct Bands {
  Index rows, a_image, count, slices, a_slice;
  explicit Bands(const Pool2dShape& d) {
    constexpr Index size = 16384;
    rows = max_of(1, size / max_of(1, d.stride_h * d.w * d.c));
    a_image = ceil_div(d.p(), rows);
    count = d.n * a_image;
    a_slice = ceil_div(count, min_of(count, kMostSlices));
    slices = ceil_div(count, a_slice);
  }
  // Input rows before band b, of all images.
  Index first_row(const Pool2dShape& d, Index b) const {
    return b / a_image * d.h + min_of(d.h, b % a_image * rows * d.stride_h);
  }
};

// `kept`: x at the winners, then their places.
float* values_of(void* kept) { return static_cast<float*>(kept); }
std::uint8_t* winners_of(void* kept, const Pool2dShape& d) {
  return static_cast<std::uint8_t*>(kept) + d.y_size() * 4;
}

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

std::size_t batch_norm_pool_kept(const BatchNormShape&, const Pool2dShape& d) {
  return static_cast<std::size_t>(d.y_size() * 5);
}

std::size_t batch_norm_pool_forward_workspace(const BatchNormShape& p, const Pool2dShape& d) {
  return norm_workspace(p.channels, Bands(d).slices);
}

void batch_norm_pool_forward(Stream, const BatchNormShape& p, const Pool2dShape& d, const float* x,
                             const float* gamma, const float* beta, float* running_mean,
                             float* running_var, float* y, float* mean, float* inv_std, void* kept,
                             void* work) {
  const Bands bands(d);
  float* const values = values_of(kept);
  std::uint8_t* const winners = winners_of(kept, d);
  const NormFactors f(work, p.channels, bands.slices);
  float* const sign = f.d;
  for (Index c = 0; c < p.channels; ++c)
    sign[c] = gamma[c] > 0 ? 1.0f : gamma[c] < 0 ? -1.0f : 0.0f;
  const Index P = d.p(), row_size = d.w * d.c, out_size = d.q() * d.c;
  const Index chunk = NormPlan(p).chunk;
  Index slice_rows[kMostSlices];
  parallel_for(bands.slices, 3 * p.size(), [&](Index slice) {
    const NormSums sums(work, p.channels, slice);
    Index before = 0;
    for (Index b = slice * bands.a_slice; b < min_of(bands.count, (slice + 1) * bands.a_slice);
         ++b) {
      const Index n = b / bands.a_image, first_out = b % bands.a_image * bands.rows;
      const Index first = bands.first_row(d, b), last = bands.first_row(d, b + 1);
      add_statistics(x + first * row_size, p.channels, (last - first) * d.w, chunk, before, sums);
      before += (last - first) * d.w;
      for (Index out = first_out; out < min_of(P, first_out + bands.rows); ++out) {
        const Index at = (n * P + out) * out_size;
        max_pool2d_row(d, n, out, sign, x, values + at, winners + at);
      }
    }
    slice_rows[slice] = before;
  });
  finish_statistics(p, bands.slices, slice_rows, gamma, beta, running_mean, running_var, mean,
                    inv_std, work);
  normalize(pooled(p, d), values, mean, f, nullptr, y);
}

// The factors and sums, then the gradients of the windows.
std::size_t batch_norm_pool_backward_workspace(const BatchNormShape& p, const Pool2dShape& d) {
  return aligned(batch_norm_workspace(pooled(p, d))) +
         (p.relu ? static_cast<std::size_t>(d.y_size()) * 4 : 0);
}

void batch_norm_pool_backward(Stream, const BatchNormShape& p, const Pool2dShape& d, const float* x,
                              const float* y, void* kept, const float* dy, const float* gamma,
                              const float* mean, const float* inv_std, float* dx, float* dgamma,
                              float* dbeta, void* work) {
  const BatchNormShape windows = pooled(p, d);
  float* const masked = p.relu ? reinterpret_cast<float*>(static_cast<char*>(work) +
                                                          aligned(batch_norm_workspace(windows)))
                               : nullptr;
  finish_gradient(windows, p.rows, values_of(kept), p.relu ? y : nullptr, dy, gamma, mean, inv_std,
                  dgamma, dbeta, masked, work);
  const NormFactors f(work, p.channels, NormPlan(windows).slices);
  const float* const g = p.relu ? masked : dy;
  parallel_for(d.n * d.h, 2 * p.size(), [&](Index row) {
    float* const out = dx + row * d.w * d.c;
    max_pool2d_backward_row(d, row / d.h, row % d.h, g, winners_of(kept, d), out);
    apply_gradient(d.c, 0, d.w, x + row * d.w * d.c, nullptr, out, mean, f, out);
  });
}

}  // namespace etude::ETUDE_BACKEND
