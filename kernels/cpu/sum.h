// Sums in double over long arrays, in an order fixed by the length.
#pragma once

#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {

// The sum over i in [0, n) of f(i) in kSumLanes interleaved double sums, which the compiler turns
// into vectors; f(i) is a double.
inline constexpr int kSumLanes = 16;

template <class F>
ETUDE_INLINE double serial_sum(Index n, F&& f) {
  double lanes[kSumLanes] = {};
  Index i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes)
    for (int l = 0; l < kSumLanes; ++l) lanes[l] += f(i + l);
  for (int l = 0; i < n; ++i, ++l) lanes[l] += f(i);
  double total = 0;
  for (double lane : lanes) total += lane;
  return total;
}

// The same by threads: the array is cut into at most kSumParts parts, whose sums are added in
// order.
inline constexpr Index kSumParts = 64;

template <class F>
double parallel_sum(Index n, F&& f) {
  const Index parts = max_of(1, min_of(kSumParts, n / 16384));
  double partial[kSumParts];
  parallel_for(parts, n, [&](Index part) {
    const Index begin = n * part / parts, end = n * (part + 1) / parts;
    partial[part] = serial_sum(end - begin, [&](Index i) { return f(begin + i); });
  });
  double total = 0;
  for (Index part = 0; part < parts; ++part) total += partial[part];
  return total;
}

}  // namespace etude::ETUDE_BACKEND
