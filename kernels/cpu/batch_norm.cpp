// Batch norm of a [rows, C] view: one pass over x for the statistics, one for y; two for the
// gradient.
//
//   mean = sum x / rows,  var = sum (x - mean)^2 / rows,  inv_std = 1 / sqrt(var + eps)
//   y = (x - mean) inv_std gamma + beta (+ residual) (then ReLU)
//
// Statistics: the rows are cut into at most kMostSlices slices, a slice into chunks of some 64 KB.
// A chunk's mean is summed in float, then, from cache, the sums of d and d^2 with d = x - that
// mean; so a mean far from zero costs no digits. Chunks and then slices are merged in double (Chan,
// Golub and LeVeque 1979). All cuts depend on the shape only.
//
// Bytes: forward 3 passes over the size of x (4 with a residual), backward 6 to 7 with ReLU.
// `work`: batch_norm.h.
#include "kernels/cpu/batch_norm.h"

#include <cmath>
#include <type_traits>

namespace etude::ETUDE_BACKEND {
namespace {

inline constexpr int kVectorGroup =
    4;  // vectors summed side by side, which hides an addition's latency

// body(c, count, access) over groups of `count` (a constant) vectors of channels.
template <class Body>
ETUDE_INLINE void for_each_group(Index C, Body&& body) {
  constexpr Index wide = kVectorGroup * kLanes;
  Index c = 0;
  for (; c + wide <= C; c += wide)
    body(c, std::integral_constant<int, kVectorGroup>{}, FullAccess{});
  for (; c + kLanes <= C; c += kLanes) body(c, std::integral_constant<int, 1>{}, FullAccess{});
  if (c < C) body(c, std::integral_constant<int, 1>{}, TailAccess{C - c});
}

// body(r, v, k) for vector v of a group of `count` in each of the rows: it goes into sum k of
// kVectorGroup. Groups of one take four rows at once. merged() adds the sums of a group.
template <class Count, class Body>
ETUDE_INLINE void for_each_row(Index rows, Count count, Body&& body) {
  constexpr int at_once = kVectorGroup / count;
  Index r = 0;
  for (; r + at_once <= rows; r += at_once)
    for (int k = 0; k < kVectorGroup; ++k) body(r + k / count, k % count, k);
  for (; r < rows; ++r)
    for (int v = 0; v < count; ++v) body(r, v, v);
}
template <class Count>
ETUDE_INLINE Vec merged(const Vec* sums, int v, Count count) {
  Vec total = sums[v];
  for (int k = v + count; k < kVectorGroup; k += count) total += sums[k];
  return total;
}

struct Moments {
  double mean, squares;
};

Moments merge_slices(void* work, Index C, Index slices, const Index* slice_rows, Index c) {
  Moments m{0, 0};
  double before = 0;
  for (Index slice = 0; slice < slices; ++slice) {
    const NormSums s(work, C, slice);
    const auto n = static_cast<double>(slice_rows[slice]);
    const double delta = s.first[c] - m.mean;
    m.mean += delta * (n / (before + n));
    m.squares += s.second[c] + delta * delta * (before * n / (before + n));
    before += n;
  }
  return m;
}

// body(begin, end) over parts of the rows.
template <class Body>
void parallel_rows(const BatchNormShape& p, Body&& body) {
  const Index parts = min_of(p.rows, max_of(1, min_of(kMostSlices, p.size() / kSerialWork)));
  parallel_for(parts, p.size(),
               [&](Index part) { body(p.rows * part / parts, p.rows * (part + 1) / parts); });
}

// y = (x - center) scale + shift (+ residual) (then ReLU) for channels [c0, c0 + count) of some
// rows.
void apply(const BatchNormShape& p, Index begin, Index end, Index c0, Index count, const float* x,
           const float* center, const float* scale, const float* shift, const float* residual,
           float* y) {
  for (Index row = begin; row < end; ++row) {
    const Index at_row = row * p.channels + c0;
    for_each_vector(count, [&](Index c, auto at) {
      const Vec d = at.load(x + at_row + c) - at.load(center + c);
      Vec out = fma(d, at.load(scale + c), at.load(shift + c));
      if (residual) out += at.load(residual + at_row + c);
      if (p.relu) out = relu(out);
      at.store(y + at_row + c, out);
    });
  }
}

// The gradient that enters the normalisation: through the ReLU only where y > 0.
template <class Access>
ETUDE_INLINE Vec gated(Access at, const float* y, const float* dy, Index i) {
  const Vec g = at.load(dy + i);
  return y ? relu_gate(at.load(y + i), g) : g;
}

// dbeta = sum g and sum g (x - mean) of rows [begin, end), by chunks added in double; also writes
// dresidual = g.
void slice_gradient_sums(const float* x, const float* y, const float* dy, const float* mean,
                         Index C, Index begin, Index end, Index chunk, float* dresidual,
                         const NormSums& s) {
  for (Index c = 0; c < C; ++c) s.first[c] = s.second[c] = 0;
  for (Index row = begin; row < end; row += chunk) {
    const Index last = min_of(end, row + chunk);
    for_each_group(C, [&](Index c0, auto count, auto at) {
      Vec sum[kVectorGroup] = {}, product[kVectorGroup] = {}, center[count];
      for (int v = 0; v < count; ++v) center[v] = at.load(mean + c0 + v * kLanes);
      for_each_row(last - row, count, [&](Index r, int v, int k) {
        const Index i = (row + r) * C + c0 + v * kLanes;
        const Vec g = gated(at, y, dy, i);
        sum[k] += g;
        product[k] = fma(g, at.load(x + i) - center[v], product[k]);
        if (dresidual) at.store(dresidual + i, g);
      });
      for (int v = 0; v < count; ++v) {
        at.store(s.chunk1 + c0 + v * kLanes, merged(sum, v, count));
        at.store(s.chunk2 + c0 + v * kLanes, merged(product, v, count));
      }
    });
    for (Index c = 0; c < C; ++c) {
      s.first[c] += s.chunk1[c];
      s.second[c] += s.chunk2[c];
    }
  }
}

struct GradientSums {
  double g, product;  // sum g, sum g (x - mean)
};

void gradient_slices(const BatchNormShape& p, const NormPlan& plan, const float* x, const float* y,
                     const float* dy, const float* mean, float* dresidual, void* work) {
  parallel_for(plan.slices, 2 * p.size(), [&](Index slice) {
    slice_gradient_sums(x, y, dy, mean, p.channels, slice * plan.slice_rows,
                        min_of(p.rows, (slice + 1) * plan.slice_rows), plan.chunk, dresidual,
                        NormSums(work, p.channels, slice));
  });
}

GradientSums merge_gradient_sums(void* work, const BatchNormShape& p, const NormPlan& plan,
                                 Index c) {
  GradientSums total{0, 0};
  for (Index slice = 0; slice < plan.slices; ++slice) {
    const NormSums s(work, p.channels, slice);
    total.g += s.first[c];
    total.product += s.second[c];
  }
  return total;
}

}  // namespace

NormPlan::NormPlan(const BatchNormShape& p) {
  constexpr Index chunk_size = 16384, least_rows = 16, most_rows = 512;
  chunk = min_of(most_rows, max_of(least_rows, chunk_size / max_of(1, p.channels)));
  slices = max_of(1, min_of(kMostSlices, p.rows / chunk));
  slice_rows = round_up(ceil_div(p.rows, slices), chunk);
  slices = max_of(1, ceil_div(p.rows, slice_rows));
}

NormSums::NormSums(void* work, Index C, Index slice) {
  first = reinterpret_cast<double*>(static_cast<char*>(work) + slice * bytes(C));
  second = first + C;
  center = reinterpret_cast<float*>(second + C);
  chunk1 = center + C;
  chunk2 = chunk1 + C;
}

NormFactors::NormFactors(void* work, Index C, Index slices) {
  a = reinterpret_cast<float*>(static_cast<char*>(work) + slices * NormSums::bytes(C));
  b = a + C;
  d = b + C;
}

void add_statistics(const float* x, Index C, Index all_rows, Index chunk, Index all_before,
                    const NormSums& s) {
  if (all_before == 0)
    for (Index c = 0; c < C; ++c) s.first[c] = s.second[c] = 0;
  for (Index row = 0; row < all_rows; row += chunk) {
    const Index rows = min_of(chunk, all_rows - row);
    const float* const part = x + row * C;
    const Vec scale = splat(1 / static_cast<float>(rows));
    for_each_group(C, [&](Index c, auto count, auto at) {
      Vec total[kVectorGroup] = {}, center[count];
      for_each_row(rows, count, [&](Index r, int v, int k) {
        total[k] += at.load(part + r * C + c + v * kLanes);
      });
      for (int v = 0; v < count; ++v) center[v] = merged(total, v, count) * scale;
      Vec sum[kVectorGroup] = {}, squares[kVectorGroup] = {};
      for_each_row(rows, count, [&](Index r, int v, int k) {
        const Vec d = at.load(part + r * C + c + v * kLanes) - center[v];
        sum[k] += d;
        squares[k] = fma(d, d, squares[k]);
      });
      for (int v = 0; v < count; ++v) {
        at.store(s.center + c + v * kLanes, center[v]);
        at.store(s.chunk1 + c + v * kLanes, merged(sum, v, count));
        at.store(s.chunk2 + c + v * kLanes, merged(squares, v, count));
      }
    });
    const double n = static_cast<double>(rows), before = static_cast<double>(all_before + row);
    for (Index c = 0; c < C; ++c) {
      const double off = s.chunk1[c] / n, mean = s.center[c] + off;
      const double squares = s.chunk2[c] - s.chunk1[c] * off;
      const double delta = mean - s.first[c];
      s.first[c] += delta * (n / (before + n));
      s.second[c] += squares + delta * delta * (before * n / (before + n));
    }
  }
}

void finish_statistics(const BatchNormShape& p, Index slices, const Index* slice_rows,
                       const float* gamma, const float* beta, float* running_mean,
                       float* running_var, float* mean, float* inv_std, void* work) {
  const NormFactors f(work, p.channels, slices);
  const double rows = static_cast<double>(p.rows);
  for (Index c = 0; c < p.channels; ++c) {
    const Moments m = merge_slices(work, p.channels, slices, slice_rows, c);
    const double inverse = 1 / std::sqrt(m.squares / rows + p.eps);
    mean[c] = static_cast<float>(m.mean);
    inv_std[c] = static_cast<float>(inverse);
    f.a[c] = static_cast<float>(gamma[c] * inverse);
    // What rounding took from the mean comes back here.
    f.b[c] = static_cast<float>(beta[c] + (mean[c] - m.mean) * gamma[c] * inverse);
    const auto blend = [&](float old, double batch) {
      return static_cast<float>((1 - p.momentum) * old + p.momentum * batch);
    };
    if (running_mean) running_mean[c] = blend(running_mean[c], m.mean);
    if (running_var) running_var[c] = blend(running_var[c], m.squares / (rows - 1));
  }
}

void normalize(const BatchNormShape& p, const float* x, const float* mean, const NormFactors& f,
               const float* residual, float* y) {
  parallel_rows(p, [&](Index begin, Index end) {
    apply(p, begin, end, 0, p.channels, x, mean, f.a, f.b, residual, y);
  });
}

// dx = gamma inv_std (g - dbeta / rows - x_hat dgamma / rows),  x_hat = (x - mean) inv_std.
void finish_gradient(const BatchNormShape& p, Index all_rows, const float* x, const float* y,
                     const float* dy, const float* gamma, const float* mean, const float* inv_std,
                     float* dgamma, float* dbeta, float* dresidual, void* work) {
  const NormPlan plan(p);
  gradient_slices(p, plan, x, y, dy, mean, dresidual, work);
  const NormFactors f(work, p.channels, plan.slices);
  const double rows = static_cast<double>(all_rows);
  for (Index c = 0; c < p.channels; ++c) {
    const GradientSums total = merge_gradient_sums(work, p, plan, c);
    const double inverse = inv_std[c], slope = gamma[c] * inverse;
    dbeta[c] = static_cast<float>(total.g);
    dgamma[c] = static_cast<float>(total.product * inverse);
    f.a[c] = static_cast<float>(slope);
    f.b[c] = static_cast<float>(-slope * inverse * inverse * total.product / rows);
    f.d[c] = static_cast<float>(-slope * total.g / rows);
  }
}

void apply_gradient(Index C, Index begin, Index end, const float* x, const float* y,
                    const float* dy, const float* mean, const NormFactors& f, float* dx) {
  for (Index row = begin; row < end; ++row) {
    for_each_vector(C, [&](Index c, auto at) {
      const Index i = row * C + c;
      const Vec g = gated(at, y, dy, i);
      const Vec rest = fma(at.load(x + i) - at.load(mean + c), at.load(f.b + c), at.load(f.d + c));
      at.store(dx + i, fma(g, at.load(f.a + c), rest));
    });
  }
}

namespace {

// All rows of apply_gradient. Where the residual's gradient was written, it is g already.
void apply_to_rows(const BatchNormShape& p, const float* x, const float* y, const float* dy,
                   const float* mean, const NormFactors& f, const float* dresidual, float* dx) {
  const float* const gate = p.relu && !dresidual ? y : nullptr;
  const float* const g = dresidual ? dresidual : dy;
  parallel_rows(p, [&](Index begin, Index end) {
    apply_gradient(p.channels, begin, end, x, gate, g, mean, f, dx);
  });
}

}  // namespace

std::size_t batch_norm_workspace(const BatchNormShape& p) {
  return norm_workspace(p.channels, NormPlan(p).slices);
}

void batch_norm_forward(Stream, const BatchNormShape& p, const float* x, const float* gamma,
                        const float* beta, const float* residual, float* running_mean,
                        float* running_var, float* y, float* mean, float* inv_std, void* work) {
  const NormPlan plan(p);
  const auto begin = [&](Index slice) { return min_of(p.rows, slice * plan.slice_rows); };
  Index slice_rows[kMostSlices];
  for (Index slice = 0; slice < plan.slices; ++slice)
    slice_rows[slice] = begin(slice + 1) - begin(slice);
  parallel_for(plan.slices, 3 * p.size(), [&](Index slice) {
    add_statistics(x + begin(slice) * p.channels, p.channels, slice_rows[slice], plan.chunk, 0,
                   NormSums(work, p.channels, slice));
  });
  finish_statistics(p, plan.slices, slice_rows, gamma, beta, running_mean, running_var, mean,
                    inv_std, work);
  normalize(p, x, mean, NormFactors(work, p.channels, plan.slices), residual, y);
}

void batch_norm_inference(Stream, const BatchNormShape& p, const float* x, const float* gamma,
                          const float* beta, const float* residual, const float* running_mean,
                          const float* running_var, float* y) {
  constexpr Index strip = 512;
  parallel_rows(p, [&](Index begin, Index end) {
    float scale[strip];
    for (Index c0 = 0; c0 < p.channels; c0 += strip) {
      const Index count = min_of(strip, p.channels - c0);
      for (Index c = 0; c < count; ++c)
        scale[c] = static_cast<float>(gamma[c0 + c] / std::sqrt(running_var[c0 + c] + p.eps));
      apply(p, begin, end, c0, count, x, running_mean + c0, scale, beta + c0, residual, y);
    }
  });
}

void batch_norm_backward(Stream, const BatchNormShape& p, const float* x, const float* y,
                         const float* dy, const float* gamma, const float* mean,
                         const float* inv_std, float* dx, float* dgamma, float* dbeta,
                         float* dresidual, void* work) {
  finish_gradient(p, p.rows, x, p.relu ? y : nullptr, dy, gamma, mean, inv_std, dgamma, dbeta,
                  dresidual, work);
  apply_to_rows(p, x, y, dy, mean, NormFactors(work, p.channels, NormPlan(p).slices), dresidual,
                dx);
}

// The statistics are constants here: dx = gamma inv_std g.
void batch_norm_inference_backward(Stream, const BatchNormShape& p, const float* x, const float* y,
                                   const float* dy, const float* gamma, const float* running_mean,
                                   const float* running_var, float* dx, float* dgamma, float* dbeta,
                                   float* dresidual, void* work) {
  const NormPlan plan(p);
  gradient_slices(p, plan, x, p.relu ? y : nullptr, dy, running_mean, dresidual, work);
  const NormFactors f(work, p.channels, plan.slices);
  for (Index c = 0; c < p.channels; ++c) {
    const GradientSums total = merge_gradient_sums(work, p, plan, c);
    const double inverse = 1 / std::sqrt(running_var[c] + p.eps);
    dbeta[c] = static_cast<float>(total.g);
    dgamma[c] = static_cast<float>(total.product * inverse);
    f.a[c] = static_cast<float>(gamma[c] * inverse);
    f.b[c] = f.d[c] = 0;
  }
  apply_to_rows(p, x, y, dy, running_mean, f, dresidual, dx);
}

}  // namespace etude::ETUDE_BACKEND
