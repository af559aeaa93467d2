// Reductions, each sum in double and in memory order.
#include <cmath>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

std::size_t sum_workspace(Index) { return 0; }

void sum(Stream, Index n, const T* x, T* y, void*) {
  double total = 0;
  for (Index i = 0; i < n; ++i) total += x[i];
  *y = static_cast<T>(total);
}

// For x [outer, L, inner], over the axis of length L:
//   mean = sum x / L,   std = sqrt(sum (x - mean)^2 / L)
void mean_std_forward(Stream, const MeanStdShape& p, const T* x, T* y) {
#pragma omp parallel for
  for (Index o = 0; o < p.outer; ++o) {
    for (Index i = 0; i < p.inner; ++i) {
      const T* column = x + o * p.length * p.inner + i;
      double total = 0;
      for (Index l = 0; l < p.length; ++l) total += column[l * p.inner];
      const double mean = total / static_cast<double>(p.length);
      double squares = 0;
      for (Index l = 0; l < p.length; ++l) {
        const double d = column[l * p.inner] - mean;
        squares += d * d;
      }
      y[(o * 2 + 0) * p.inner + i] = static_cast<T>(mean);
      y[(o * 2 + 1) * p.inner + i] =
          static_cast<T>(std::sqrt(squares / static_cast<double>(p.length)));
    }
  }
}

// dx = (dmean + dstd (x - mean) / std) / L; the second term is 0 where std is 0, as in PyTorch.
void mean_std_backward(Stream, const MeanStdShape& p, const T* x, const T* y, const T* dy, T* dx) {
#pragma omp parallel for
  for (Index o = 0; o < p.outer; ++o) {
    for (Index i = 0; i < p.inner; ++i) {
      const Index at_mean = (o * 2 + 0) * p.inner + i;
      const Index at_std = (o * 2 + 1) * p.inner + i;
      const double mean = y[at_mean], std = y[at_std];
      const double dmean = dy[at_mean], dstd = dy[at_std];
      for (Index l = 0; l < p.length; ++l) {
        const Index at = (o * p.length + l) * p.inner + i;
        const double slope = std == 0 ? 0 : (x[at] - mean) / std;
        dx[at] = static_cast<T>((dmean + dstd * slope) / static_cast<double>(p.length));
      }
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
