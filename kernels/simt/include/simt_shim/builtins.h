// Index variables, barriers, fences and what else every kernel sees without including anything.
#pragma once

#include <cstdint>

#include "simt_shim/detail.h"

namespace simt::cuda {

// Real variables rather than macros: cudaLaunchConfig_t has members called gridDim and blockDim.
// Not const, or the compiler would keep their values across a barrier, where threads change.
#define SIMT_INDEX extern constinit thread_local __attribute__((tls_model("initial-exec")))
SIMT_INDEX uint3 threadIdx;
SIMT_INDEX uint3 blockIdx;
SIMT_INDEX dim3 blockDim;
SIMT_INDEX dim3 gridDim;
#undef SIMT_INDEX
inline constexpr int warpSize = 32;

inline void __syncthreads(SIMT_SITE) { detail::block_barrier(site); }
inline int __syncthreads_count(int predicate, SIMT_SITE) {
  return detail::block_barrier_reduce(detail::Reduce::Count, predicate, site);
}
inline int __syncthreads_and(int predicate, SIMT_SITE) {
  return detail::block_barrier_reduce(detail::Reduce::And, predicate, site);
}
inline int __syncthreads_or(int predicate, SIMT_SITE) {
  return detail::block_barrier_reduce(detail::Reduce::Or, predicate, site);
}

// Blocks run on several host threads: a device-wide fence is a real one.
inline void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// Loads through the read-only cache and with cache hints are loads.
template <class T>
inline __attribute__((always_inline)) T __ldg(const T* p) {
  return *p;
}
template <class T>
inline __attribute__((always_inline)) T __ldcg(const T* p) {
  return *p;
}
template <class T>
inline __attribute__((always_inline)) T __ldca(const T* p) {
  return *p;
}
template <class T>
inline __attribute__((always_inline)) T __ldcs(const T* p) {
  return *p;
}
template <class T>
inline __attribute__((always_inline)) void __stcg(T* p, T value) {
  *p = value;
}
template <class T>
inline __attribute__((always_inline)) void __stcs(T* p, T value) {
  *p = value;
}

// A count that grows with time (nanoseconds): differences order events and measure nothing else.
long long clock64();
inline int clock() { return static_cast<int>(clock64()); }
inline void __nanosleep(unsigned) {}

// Ends the launch with cudaErrorLaunchFailure.
[[noreturn]] void __trap(SIMT_SITE);

template <class P>
inline std::size_t __cvta_generic_to_shared(P* pointer) {
  return reinterpret_cast<std::size_t>(pointer);
}

}  // namespace simt::cuda
