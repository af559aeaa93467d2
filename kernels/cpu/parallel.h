// Threads, by OpenMP. How work is cut into items is fixed by the problem and every item writes its
// own outputs, so the number of threads decides only who does what, never a bit of the result.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

// Waking the other threads costs microseconds: below this many float operations (or floats moved)
// a kernel stays on the calling thread.
inline constexpr Index kSerialWork = 32 * 1024;

inline int threads_for([[maybe_unused]] Index items, [[maybe_unused]] Index work) {
#ifdef _OPENMP
  if (work <= kSerialWork || items <= 1) return 1;
  return static_cast<int>(min_of(items, omp_get_max_threads()));
#else
  return 1;
#endif
}

// body(i) for i in [0, items); `work` is the total, in float operations. Items are handed out one
// by one, which balances uneven ones.
template <class Body>
void parallel_for(Index items, Index work, Body&& body) {
  [[maybe_unused]] const int threads = threads_for(items, work);
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index i = 0; i < items; ++i) body(i);
    return;
  }
#endif
  for (Index i = 0; i < items; ++i) body(i);
}

// body(begin, end) over contiguous, cache-line-sized parts of [0, n), one part a thread: for
// element-wise work, where the same thread then meets the same memory in one op after another.
template <class Body>
void parallel_range(Index n, Body&& body) {
  [[maybe_unused]] const int threads = threads_for(ceil_div(n, 1024), n);
#ifdef _OPENMP
  if (threads > 1) {
    const Index part = round_up(ceil_div(n, threads), 1024);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int t = 0; t < threads; ++t)
      if (t * part < n) body(t * part, min_of(n, (t + 1) * part));
    return;
  }
#endif
  body(Index{0}, n);
}

}  // namespace etude::ETUDE_BACKEND
