// The parts of batch norm that its plain and its pooled form share (batch_norm.cpp,
// batch_norm_pool.cpp).
//
// `work` of a kernel: what each slice of the rows keeps, then three rows of per-channel factors.
#pragma once

#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {

inline constexpr Index kMostSlices = 64;

// How the rows are cut: at most kMostSlices slices of whole chunks of some 64 KB.
struct NormPlan {
  Index chunk, slices, slice_rows;
  explicit NormPlan(const BatchNormShape& p);
};

// What one slice keeps in `work`: two double and three float rows of C.
struct NormSums {
  double *first,
      *second;  // forward: mean, sum of squares about it; backward: dbeta, sum g (x - mean)
  float *center, *chunk1, *chunk2;  // of the chunk at hand

  static Index bytes(Index C) { return round_up(C * (2 * 8 + 3 * 4), 64); }
  NormSums(void* work, Index C, Index slice);
};

// The per-channel factors of the second pass, behind the slices.
struct NormFactors {
  float *a, *b, *d;
  NormFactors(void* work, Index C, Index slices);
};

inline std::size_t norm_workspace(Index C, Index slices) {
  return static_cast<std::size_t>(slices * NormSums::bytes(C) + 3 * C * 4);
}

// Brings `rows` more rows of x into the mean and squares of `s`, where `before` rows are already.
void add_statistics(const float* x, Index C, Index rows, Index chunk, Index before,
                    const NormSums& s);

// Merges the slices, slice_rows[i] rows each: mean, inv_std, the running statistics, and the
// factors of  y = (x - mean) a + b.
void finish_statistics(const BatchNormShape& p, Index slices, const Index* slice_rows,
                       const float* gamma, const float* beta, float* running_mean,
                       float* running_var, float* mean, float* inv_std, void* work);

// y = (x - mean) a + b (+ residual) (then ReLU) for all rows.
void normalize(const BatchNormShape& p, const float* x, const float* mean, const NormFactors& f,
               const float* residual, float* y);

// dgamma, dbeta and the factors of  dx = a g + b (x - mean) + d  from the gradient g of the rows
// of `p`: dy, where y is given only where y > 0. `rows` is the number of those that the statistics
// are of; those without a gradient need not be among the rows of `p`. dresidual = g, if given.
void finish_gradient(const BatchNormShape& p, Index rows, const float* x, const float* y,
                     const float* dy, const float* gamma, const float* mean, const float* inv_std,
                     float* dgamma, float* dbeta, float* dresidual, void* work);

// dx of rows [begin, end); y as above. dx may be dy.
void apply_gradient(Index C, Index begin, Index end, const float* x, const float* y,
                    const float* dy, const float* mean, const NormFactors& f, float* dx);

}  // namespace etude::ETUDE_BACKEND
