// Reductions to few numbers, in double, in an order fixed by the shape.
#include <cmath>

#include "kernels/cpu/sum.h"

namespace etude::ETUDE_BACKEND {

std::size_t sum_workspace(Index) { return 0; }

void sum(Stream, Index n, const float* x, float* y, void*) {
  *y = static_cast<float>(parallel_sum(n, [x](Index i) { return static_cast<double>(x[i]); }));
}

// For x [outer, L, inner], over the axis of length L:
//   mean = sum x / L,   std = sqrt(sum (x - mean)^2 / L)
// A task is one `outer` and a strip of `inner`; a strip is read twice, row by row, with its sums in
// double on the stack.
namespace {
inline constexpr Index kStrip = 64;
}

void mean_std_forward(Stream, const MeanStdShape& p, const float* x, float* y) {
  const Index strips = ceil_div(p.inner, kStrip);
  const double scale = 1 / static_cast<double>(p.length);
  parallel_for(p.outer * strips, p.outer * p.length * p.inner, [&](Index task) {
    const Index outer = task / strips, first = task % strips * kStrip;
    const Index count = min_of(kStrip, p.inner - first);
    const float* const column = x + outer * p.length * p.inner + first;
    float* const out = y + outer * 2 * p.inner + first;
    double mean[kStrip] = {}, squares[kStrip] = {};
    for (Index l = 0; l < p.length; ++l)
      for (Index i = 0; i < count; ++i) mean[i] += column[l * p.inner + i];
    for (Index i = 0; i < count; ++i) mean[i] *= scale;
    for (Index l = 0; l < p.length; ++l) {
      for (Index i = 0; i < count; ++i) {
        const double d = column[l * p.inner + i] - mean[i];
        squares[i] += d * d;
      }
    }
    for (Index i = 0; i < count; ++i) {
      out[i] = static_cast<float>(mean[i]);
      out[p.inner + i] = static_cast<float>(std::sqrt(squares[i] * scale));
    }
  });
}

// dx = (dmean + dstd (x - mean) / std) / L; the second term is 0 where std is 0, as in PyTorch.
void mean_std_backward(Stream, const MeanStdShape& p, const float* x, const float* y,
                       const float* dy, float* dx) {
  const Index strips = ceil_div(p.inner, kStrip);
  const float scale = 1 / static_cast<float>(p.length);
  parallel_for(p.outer * strips, 2 * p.outer * p.length * p.inner, [&](Index task) {
    const Index outer = task / strips, first = task % strips * kStrip;
    const Index count = min_of(kStrip, p.inner - first);
    const Index at = outer * p.length * p.inner + first;
    const float* const mean = y + outer * 2 * p.inner + first;
    const float* const dmean = dy + outer * 2 * p.inner + first;
    float offset[kStrip], slope[kStrip];
    for (Index i = 0; i < count; ++i) {
      const float std = mean[p.inner + i];
      offset[i] = dmean[i] * scale;
      slope[i] = std == 0 ? 0 : dmean[p.inner + i] / std * scale;
    }
    for (Index l = 0; l < p.length; ++l)
      for (Index i = 0; i < count; ++i)
        dx[at + l * p.inner + i] = offset[i] + slope[i] * (x[at + l * p.inner + i] - mean[i]);
  });
}

}  // namespace etude::ETUDE_BACKEND
