// dbias[k] = sum over output pixels m of dy[m][k]. Adds: one an element of dy, which is read once;
// deterministic: fixed slices of rows, added in order.
#pragma once

#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {

// sum[k] (+)= sum over the rows of dy [rows, K], each chain of additions as long as `rows`.
inline void sum_rows(const float* dy, Index rows, Index K, bool accumulate, float* sum) {
  for_each_vector(K, [&](Index k, auto access) {
    Vec total{};
    for (Index m = 0; m < rows; ++m) total += access.load(dy + m * K + k);
    access.store(sum + k, accumulate ? access.load(sum + k) + total : total);
  });
}

// dbias[k] = sum over the slices of partial [slices, K], in order.
inline void sum_slices(const float* partial, Index slices, Index K, float* dbias) {
  sum_rows(partial, slices, K, false, dbias);
}

// By itself, in slices of rows, each of which sums blocks of rows; `work` holds a partial sum for
// each slice.
inline constexpr Index kBiasSlices = 32, kBiasRows = 96;
inline Index bias_gradient_work(Index K) { return kBiasSlices * K; }

inline void bias_gradient(const float* dy, Index rows, Index K, float* dbias, float* work) {
  const Index slice_rows = max_of(kBiasRows, round_up(ceil_div(rows, kBiasSlices), kBiasRows));
  const Index slices = ceil_div(rows, slice_rows);
  parallel_for(slices, rows * K, [&](Index slice) {
    const Index first = slice * slice_rows, last = min_of(rows, first + slice_rows);
    for (Index m = first; m < last; m += kBiasRows)
      sum_rows(dy + m * K, min_of(kBiasRows, last - m), K, m > first, work + slice * K);
  });
  sum_slices(work, slices, K, dbias);
}

}  // namespace etude::ETUDE_BACKEND
