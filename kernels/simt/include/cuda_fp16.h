// __half: IEEE binary16.
#pragma once

#include "cuda_runtime.h"
#include "simt_shim/half_types.h"

namespace simt::cuda {

struct __align__(2) __half {
  std::uint16_t bits;

  __half() = default;
  __half(float x) : bits(detail::half_bits(x)) {}
  explicit __half(double x) : bits(detail::half_bits(detail::to_float_odd(x))) {}
  explicit __half(int x) : __half(static_cast<double>(x)) {}
  explicit __half(unsigned x) : __half(static_cast<double>(x)) {}
  operator float() const { return detail::half_value(bits); }
  static __half from_bits(unsigned bits) {
    __half h;
    h.bits = static_cast<std::uint16_t>(bits);
    return h;
  }
};

struct __align__(4) __half2 {
  __half x, y;

  __half2() = default;
  __half2(__half x_, __half y_) : x(x_), y(y_) {}
#if SIMT_COUNTING
  // One access of 4 bytes, as on a GPU.
  __half2(const __half2& from) { copy(from); }
  __half2& operator=(const __half2& from) {
    copy(from);
    return *this;
  }
  __attribute__((always_inline)) void copy(const __half2& from) {
    using W = detail::Word<4>::Type;
    *reinterpret_cast<W*>(this) = *reinterpret_cast<const W*>(&from);
  }
#endif
};

#define SIMT_HALF __half
#define SIMT_HALF2 __half2
#include "simt_shim/half_operations.h"
#undef SIMT_HALF
#undef SIMT_HALF2

using half = __half;
using half2 = __half2;
struct __half_raw {
  unsigned short x;
};

inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline __half __double2half(double x) { return __half(x); }
inline float __half2float(__half x) { return x; }
inline __half __int2half_rn(int x) { return __half(x); }
inline int __half2int_rn(__half x) { return __float2int_rn(x); }
inline int __half2int_rz(__half x) { return __float2int_rz(x); }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline short __half_as_short(__half x) { return static_cast<short>(x.bits); }
inline __half __ushort_as_half(unsigned short bits) { return __half::from_bits(bits); }
inline __half __short_as_half(short bits) {
  return __half::from_bits(static_cast<unsigned short>(bits));
}
inline __half2 __halves2half2(__half low, __half high) { return {low, high}; }
inline __half2 make_half2(__half low, __half high) { return {low, high}; }
inline __half2 __half2half2(__half x) { return {x, x}; }
inline __half2 __float2half2_rn(float x) { return {x, x}; }
inline __half2 __floats2half2_rn(float low, float high) { return {low, high}; }
inline __half2 __float22half2_rn(float2 x) { return {x.x, x.y}; }
inline float2 __half22float2(__half2 x) { return {x.x, x.y}; }
inline __half __low2half(__half2 x) { return x.x; }
inline __half __high2half(__half2 x) { return x.y; }
inline float __low2float(__half2 x) { return x.x; }
inline float __high2float(__half2 x) { return x.y; }
inline __half2 __low2half2(__half2 x) { return {x.x, x.x}; }
inline __half2 __high2half2(__half2 x) { return {x.y, x.y}; }
inline __half2 __lowhigh2highlow(__half2 x) { return {x.y, x.x}; }

}  // namespace simt::cuda
