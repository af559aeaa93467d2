// Threads, by OpenMP. How work is cut into items is fixed by the problem and every item writes its
// own outputs, so the number of threads decides only who does what, never a bit of the result.
#pragma once

#include <atomic>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

// Waking the other threads costs microseconds: below this many float operations (or floats moved)
// a kernel stays on the calling thread.
inline constexpr Index kSerialWork = 32 * 1024;

inline constexpr Index kMostThreads = 256;

inline int threads_for([[maybe_unused]] Index items, [[maybe_unused]] Index work) {
#ifdef _OPENMP
  if (work <= kSerialWork || items <= 1) return 1;
  return static_cast<int>(min_of(items, min_of(kMostThreads, omp_get_max_threads())));
#else
  return 1;
#endif
}

// Floats between what two threads write again and again. A processor that goes through memory
// fetches up to some 100 KB beyond, and takes those lines from whoever has just written them.
inline constexpr Index kApart = 32 * 1024;

// Contiguous items: the next to be taken, and where they end.
struct alignas(64) Share {
  Index next, end;
};

// body(i, thread) for i in [0, items), on at most `threads` threads. A thread takes the items of
// its own share one by one, then those that the others have not come to, which balances uneven
// ones. Shares are contiguous, since threads at work on neighbours disturb each other: what a
// processor fetches beyond the end of an item, the other may be writing (README.md, "Threads").
template <class Body>
void share_items(Index items, [[maybe_unused]] int threads, Body&& body) {
#ifdef _OPENMP
  if (threads > 1) {
    Share shares[kMostThreads];
    for (int t = 0; t < threads; ++t) shares[t] = {items * t / threads, items * (t + 1) / threads};
#pragma omp parallel num_threads(threads)
    for (int k = 0; k < threads; ++k) {
      const int thread = omp_get_thread_num();
      Share& share = shares[(thread + k) % threads];
      const std::atomic_ref next(share.next);
      for (Index i; (i = next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
        body(i, thread);
    }
    return;
  }
#endif
  for (Index i = 0; i < items; ++i) body(i, 0);
}

// body(i) for i in [0, items); `work` is the total, in float operations.
template <class Body>
void parallel_for(Index items, Index work, Body&& body) {
  share_items(items, threads_for(items, work), [&](Index i, int) { body(i); });
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
