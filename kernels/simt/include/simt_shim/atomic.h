// Atomic functions on global and shared memory. Blocks run on several host threads, so these are
// real atomics. The _block and _system variants do the same.
#pragma once

#include <cstdint>
#include <type_traits>

#include "simt_shim/detail.h"

namespace simt::detail {

#if SIMT_COUNTING
// The compiler's own callbacks would see the loop of a compare-and-swap; this tells of the one
// access that it stands for.
#define SIMT_ATOMIC_FUNCTION __attribute__((noinline, no_sanitize_thread))
inline void announce(const void* p, std::size_t bytes, const void* pc) { on_atomic(p, bytes, pc); }
#else
#define SIMT_ATOMIC_FUNCTION inline __attribute__((always_inline))
inline void announce(const void*, std::size_t, const void*) {}
#endif

template <std::size_t Bytes>
using AtomicWord = std::conditional_t<Bytes == 2, std::uint16_t,
                                      std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>;

// old = *p; *p = update(old), as one step; returns old.
template <class T, class Update>
SIMT_ATOMIC_FUNCTION T atomic_update(T* p, Update update) {
  using W = AtomicWord<sizeof(T)>;
  typedef W Aliasing __attribute__((may_alias));
  announce(p, sizeof(T), __builtin_return_address(0));
  auto* word = reinterpret_cast<Aliasing*>(p);
  W seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    T old;
    __builtin_memcpy(&old, &seen, sizeof(T));
    const T next = update(old);
    W wanted;
    __builtin_memcpy(&wanted, &next, sizeof(T));
    if (__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return old;
  }
}

template <class T>
SIMT_ATOMIC_FUNCTION T atomic_fetch_add(T* p, T value) {
  announce(p, sizeof(T), __builtin_return_address(0));
  return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
}

#undef SIMT_ATOMIC_FUNCTION

}  // namespace simt::detail

namespace simt::cuda {

#define SIMT_INLINE inline __attribute__((always_inline))
#define SIMT_ATOMIC_VARIANTS(T, name)                                  \
  SIMT_INLINE T name##_block(T* p, T value) { return name(p, value); } \
  SIMT_INLINE T name##_system(T* p, T value) { return name(p, value); }
#define SIMT_ATOMIC(T, name, expression)                                            \
  SIMT_INLINE T name(T* p, T value) {                                               \
    return detail::atomic_update(                                                   \
        p, [value]([[maybe_unused]] T old) { return static_cast<T>(expression); }); \
  }                                                                                 \
  SIMT_ATOMIC_VARIANTS(T, name)
#define SIMT_ATOMIC_INTEGER(T)                                                          \
  SIMT_INLINE T atomicAdd(T* p, T value) { return detail::atomic_fetch_add(p, value); } \
  SIMT_ATOMIC_VARIANTS(T, atomicAdd)                                                    \
  SIMT_ATOMIC(T, atomicMin, old < value ? old : value)                                  \
  SIMT_ATOMIC(T, atomicMax, old > value ? old : value)                                  \
  SIMT_ATOMIC(T, atomicAnd, old& value)                                                 \
  SIMT_ATOMIC(T, atomicOr, old | value)                                                 \
  SIMT_ATOMIC(T, atomicXor, old ^ value)                                                \
  SIMT_ATOMIC(T, atomicExch, value)
SIMT_ATOMIC_INTEGER(int)
SIMT_ATOMIC_INTEGER(unsigned)
SIMT_ATOMIC_INTEGER(long long)
SIMT_ATOMIC_INTEGER(unsigned long long)
SIMT_ATOMIC(int, atomicSub, old - value)
SIMT_ATOMIC(unsigned, atomicSub, old - value)
SIMT_ATOMIC(unsigned, atomicInc, old >= value ? 0 : old + 1)
SIMT_ATOMIC(unsigned, atomicDec, old == 0 || old > value ? value : old - 1)
SIMT_ATOMIC(float, atomicAdd, old + value)
SIMT_ATOMIC(float, atomicExch, value)
SIMT_ATOMIC(double, atomicAdd, old + value)
SIMT_ATOMIC(double, atomicExch, value)
#undef SIMT_ATOMIC_INTEGER
#undef SIMT_ATOMIC
#undef SIMT_ATOMIC_VARIANTS

template <class T>
requires(std::is_integral_v<T> &&
         (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8)) SIMT_INLINE T
    atomicCAS(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  return detail::atomic_update(p, [=](T old) { return old == compare ? value : old; });
}
#undef SIMT_INLINE

}  // namespace simt::cuda
