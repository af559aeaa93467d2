// Batch norm of a [rows, C] view: one pass over x for the statistics, one for y; two for the
// gradient.
//
//   mean = sum x / rows,  var = sum (x - mean)^2 / rows,  inv_std = 1 / sqrt(var + eps)
//   y = (x - mean) inv_std gamma + beta (+ residual) (then ReLU)
//
// Statistics: the rows are cut into at most kSlices slices, a slice into chunks of some 64 KB. A
// chunk's mean is summed in float, then, from cache, the sums of d and d^2 with d = x - that mean;
// so a mean far from zero costs no digits. Chunks and then slices are merged in double (Chan, Golub
// and LeVeque 1979). All cuts depend on the shape only.
//
// Bytes: forward 3 passes over the size of x (4 with a residual), backward 6 to 7 with ReLU.
// `work`: the slices' sums, then the coefficients of the second pass.
#include <cmath>
#include <type_traits>

#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {
namespace {

inline constexpr Index kSlices = 64;
inline constexpr Index kVectorGroup = 4;  // vectors of channels summed side by side

struct Plan {
  Index chunk, slices, slice_rows;
  explicit Plan(const BatchNormShape& p) {
    constexpr Index chunk_size = 16384, least_rows = 16, most_rows = 512;
    chunk = min_of(most_rows, max_of(least_rows, chunk_size / max_of(1, p.channels)));
    slices = max_of(1, min_of(kSlices, p.rows / chunk));
    slice_rows = round_up(ceil_div(p.rows, slices), chunk);
    slices = max_of(1, ceil_div(p.rows, slice_rows));
  }
};

// What one slice keeps in `work`: two double and three float rows of C.
struct SliceSums {
  double *first, *second;  // forward: mean, sum of squares about it; backward: dbeta, dgamma
  float *center, *chunk1, *chunk2;  // of the chunk at hand

  static Index bytes(Index C) { return round_up(C * (2 * 8 + 3 * 4), 64); }
  SliceSums(void* work, Index C, Index slice) {
    first = reinterpret_cast<double*>(static_cast<char*>(work) + slice * bytes(C));
    second = first + C;
    center = reinterpret_cast<float*>(second + C);
    chunk1 = center + C;
    chunk2 = chunk1 + C;
  }
};

// The per-channel factors of the second pass, behind the slices.
float* coefficients(void* work, const BatchNormShape& p, const Plan& plan) {
  return reinterpret_cast<float*>(static_cast<char*>(work) +
                                  plan.slices * SliceSums::bytes(p.channels));
}

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

// Mean and sum of squares about it of rows [begin, end), by chunks merged into `s`.
void slice_statistics(const float* x, Index C, Index begin, Index end, Index chunk,
                      const SliceSums& s) {
  for (Index c = 0; c < C; ++c) s.first[c] = s.second[c] = 0;
  for (Index row = begin; row < end; row += chunk) {
    const Index rows = min_of(chunk, end - row);
    const float* const part = x + row * C;
    const Vec scale = splat(1 / static_cast<float>(rows));
    for_each_group(C, [&](Index c, auto count, auto at) {
      Vec total[count] = {};
      for (Index r = 0; r < rows; ++r)
        for (int v = 0; v < count; ++v) total[v] += at.load(part + r * C + c + v * kLanes);
      Vec center[count], sum[count] = {}, squares[count] = {};
      for (int v = 0; v < count; ++v) center[v] = total[v] * scale;
      for (Index r = 0; r < rows; ++r) {
        for (int v = 0; v < count; ++v) {
          const Vec d = at.load(part + r * C + c + v * kLanes) - center[v];
          sum[v] += d;
          squares[v] = fma(d, d, squares[v]);
        }
      }
      for (int v = 0; v < count; ++v) {
        at.store(s.center + c + v * kLanes, center[v]);
        at.store(s.chunk1 + c + v * kLanes, sum[v]);
        at.store(s.chunk2 + c + v * kLanes, squares[v]);
      }
    });
    const double n = static_cast<double>(rows), before = static_cast<double>(row - begin);
    for (Index c = 0; c < C; ++c) {
      const double off = s.chunk1[c] / n, mean = s.center[c] + off;
      const double squares = s.chunk2[c] - s.chunk1[c] * off;
      const double delta = mean - s.first[c];
      s.first[c] += delta * (n / (before + n));
      s.second[c] += squares + delta * delta * (before * n / (before + n));
    }
  }
}

struct Moments {
  double mean, squares;
};

Moments merge_slices(void* work, const BatchNormShape& p, const Plan& plan, Index c) {
  Moments m{0, 0};
  for (Index slice = 0; slice < plan.slices; ++slice) {
    const SliceSums s(work, p.channels, slice);
    const double before = static_cast<double>(slice * plan.slice_rows);
    const double n = static_cast<double>(min_of(plan.slice_rows, p.rows - slice * plan.slice_rows));
    const double delta = s.first[c] - m.mean;
    m.mean += delta * (n / (before + n));
    m.squares += s.second[c] + delta * delta * (before * n / (before + n));
  }
  return m;
}

// body(begin, end) over parts of the rows.
template <class Body>
void parallel_rows(const BatchNormShape& p, Body&& body) {
  const Index parts = min_of(p.rows, max_of(1, min_of(kSlices, p.size() / kSerialWork)));
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
                         const SliceSums& s) {
  for (Index c = 0; c < C; ++c) s.first[c] = s.second[c] = 0;
  for (Index row = begin; row < end; row += chunk) {
    const Index last = min_of(end, row + chunk);
    for_each_group(C, [&](Index c0, auto count, auto at) {
      Vec sum[count] = {}, product[count] = {}, center[count];
      for (int v = 0; v < count; ++v) center[v] = at.load(mean + c0 + v * kLanes);
      for (Index r = row; r < last; ++r) {
        for (int v = 0; v < count; ++v) {
          const Index i = r * C + c0 + v * kLanes;
          const Vec g = gated(at, y, dy, i);
          sum[v] += g;
          product[v] = fma(g, at.load(x + i) - center[v], product[v]);
          if (dresidual) at.store(dresidual + i, g);
        }
      }
      for (int v = 0; v < count; ++v) {
        at.store(s.chunk1 + c0 + v * kLanes, sum[v]);
        at.store(s.chunk2 + c0 + v * kLanes, product[v]);
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

void gradient_slices(const BatchNormShape& p, const Plan& plan, const float* x, const float* y,
                     const float* dy, const float* mean, float* dresidual, void* work) {
  parallel_for(plan.slices, 2 * p.size(), [&](Index slice) {
    slice_gradient_sums(x, y, dy, mean, p.channels, slice * plan.slice_rows,
                        min_of(p.rows, (slice + 1) * plan.slice_rows), plan.chunk, dresidual,
                        SliceSums(work, p.channels, slice));
  });
}

GradientSums merge_gradient_sums(void* work, const BatchNormShape& p, const Plan& plan, Index c) {
  GradientSums total{0, 0};
  for (Index slice = 0; slice < plan.slices; ++slice) {
    const SliceSums s(work, p.channels, slice);
    total.g += s.first[c];
    total.product += s.second[c];
  }
  return total;
}

// dx = a g + b (x - mean) + d. Where the residual's gradient was written, it is g already.
void apply_gradient(const BatchNormShape& p, const float* x, const float* y, const float* dy,
                    const float* mean, const float* a, const float* b, const float* d,
                    const float* dresidual, float* dx) {
  const float* const gate = p.relu && !dresidual ? y : nullptr;
  const float* const gradient = dresidual ? dresidual : dy;
  parallel_rows(p, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      for_each_vector(p.channels, [&](Index c, auto at) {
        const Index i = row * p.channels + c;
        const Vec g = gated(at, gate, gradient, i);
        const Vec centered = at.load(x + i) - at.load(mean + c);
        const Vec rest = fma(centered, at.load(b + c), at.load(d + c));
        at.store(dx + i, fma(g, at.load(a + c), rest));
      });
    }
  });
}

}  // namespace

std::size_t batch_norm_workspace(const BatchNormShape& p) {
  const Plan plan(p);
  return static_cast<std::size_t>(plan.slices * SliceSums::bytes(p.channels) + 3 * p.channels * 4);
}

void batch_norm_forward(Stream, const BatchNormShape& p, const float* x, const float* gamma,
                        const float* beta, const float* residual, float* running_mean,
                        float* running_var, float* y, float* mean, float* inv_std, void* work) {
  const Plan plan(p);
  parallel_for(plan.slices, 3 * p.size(), [&](Index slice) {
    slice_statistics(x, p.channels, slice * plan.slice_rows,
                     min_of(p.rows, (slice + 1) * plan.slice_rows), plan.chunk,
                     SliceSums(work, p.channels, slice));
  });
  float* const scale = coefficients(work, p, plan);
  float* const shift = scale + p.channels;
  const double rows = static_cast<double>(p.rows);
  for (Index c = 0; c < p.channels; ++c) {
    const Moments m = merge_slices(work, p, plan, c);
    const double inverse = 1 / std::sqrt(m.squares / rows + p.eps);
    mean[c] = static_cast<float>(m.mean);
    inv_std[c] = static_cast<float>(inverse);
    scale[c] = static_cast<float>(gamma[c] * inverse);
    // What rounding took from the mean comes back here.
    shift[c] = static_cast<float>(beta[c] + (mean[c] - m.mean) * gamma[c] * inverse);
    const auto blend = [&](float old, double batch) {
      return static_cast<float>((1 - p.momentum) * old + p.momentum * batch);
    };
    if (running_mean) running_mean[c] = blend(running_mean[c], m.mean);
    if (running_var) running_var[c] = blend(running_var[c], m.squares / (rows - 1));
  }
  parallel_rows(p, [&](Index begin, Index end) {
    apply(p, begin, end, 0, p.channels, x, mean, scale, shift, residual, y);
  });
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

// dx = gamma inv_std (g - dbeta / rows - x_hat dgamma / rows),  x_hat = (x - mean) inv_std.
void batch_norm_backward(Stream, const BatchNormShape& p, const float* x, const float* y,
                         const float* dy, const float* gamma, const float* mean,
                         const float* inv_std, float* dx, float* dgamma, float* dbeta,
                         float* dresidual, void* work) {
  const Plan plan(p);
  gradient_slices(p, plan, x, p.relu ? y : nullptr, dy, mean, dresidual, work);
  float* const a = coefficients(work, p, plan);
  float *const b = a + p.channels, *const d = b + p.channels;
  const double rows = static_cast<double>(p.rows);
  for (Index c = 0; c < p.channels; ++c) {
    const GradientSums total = merge_gradient_sums(work, p, plan, c);
    const double inverse = inv_std[c], slope = gamma[c] * inverse;
    dbeta[c] = static_cast<float>(total.g);
    dgamma[c] = static_cast<float>(total.product * inverse);
    a[c] = static_cast<float>(slope);
    b[c] = static_cast<float>(-slope * inverse * inverse * total.product / rows);
    d[c] = static_cast<float>(-slope * total.g / rows);
  }
  apply_gradient(p, x, y, dy, mean, a, b, d, dresidual, dx);
}

// The statistics are constants here: dx = gamma inv_std g.
void batch_norm_inference_backward(Stream, const BatchNormShape& p, const float* x, const float* y,
                                   const float* dy, const float* gamma, const float* running_mean,
                                   const float* running_var, float* dx, float* dgamma, float* dbeta,
                                   float* dresidual, void* work) {
  const Plan plan(p);
  gradient_slices(p, plan, x, p.relu ? y : nullptr, dy, running_mean, dresidual, work);
  float* const a = coefficients(work, p, plan);
  float *const b = a + p.channels, *const d = b + p.channels;
  for (Index c = 0; c < p.channels; ++c) {
    const GradientSums total = merge_gradient_sums(work, p, plan, c);
    const double inverse = 1 / std::sqrt(running_var[c] + p.eps);
    dbeta[c] = static_cast<float>(total.g);
    dgamma[c] = static_cast<float>(total.product * inverse);
    a[c] = static_cast<float>(gamma[c] * inverse);
    b[c] = d[c] = 0;
  }
  apply_gradient(p, x, y, dy, running_mean, a, b, d, dresidual, dx);
}

}  // namespace etude::ETUDE_BACKEND
