// __nv_bfloat16.
#pragma once

#include "cuda_runtime.h"
#include "simt_shim/half_types.h"

namespace simt::cuda {

struct __align__(2) __nv_bfloat16 {
  std::uint16_t bits;

  __nv_bfloat16() = default;
  __nv_bfloat16(float x) : bits(detail::bfloat16_bits(x)) {}
  explicit __nv_bfloat16(double x) : bits(detail::bfloat16_bits(detail::to_float_odd(x))) {}
  explicit __nv_bfloat16(int x) : __nv_bfloat16(static_cast<double>(x)) {}
  explicit __nv_bfloat16(unsigned x) : __nv_bfloat16(static_cast<double>(x)) {}
  operator float() const { return detail::bfloat16_value(bits); }
  static __nv_bfloat16 from_bits(unsigned bits) {
    __nv_bfloat16 h;
    h.bits = static_cast<std::uint16_t>(bits);
    return h;
  }
};

struct __align__(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;

  __nv_bfloat162() = default;
  __nv_bfloat162(__nv_bfloat16 x_, __nv_bfloat16 y_) : x(x_), y(y_) {}
#if SIMT_COUNTING
  // One access of 4 bytes, as on a GPU.
  __nv_bfloat162(const __nv_bfloat162& from) { copy(from); }
  __nv_bfloat162& operator=(const __nv_bfloat162& from) {
    copy(from);
    return *this;
  }
  __attribute__((always_inline)) void copy(const __nv_bfloat162& from) {
    using W = detail::Word<4>::Type;
    *reinterpret_cast<W*>(this) = *reinterpret_cast<const W*>(&from);
  }
#endif
};

#define SIMT_HALF __nv_bfloat16
#define SIMT_HALF2 __nv_bfloat162
#include "simt_shim/half_operations.h"
#undef SIMT_HALF
#undef SIMT_HALF2

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline __nv_bfloat16 __double2bfloat16(double x) { return __nv_bfloat16(x); }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  return __nv_bfloat16::from_bits(bits);
}
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) {
  return {low, high};
}
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) { return {low, high}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 x) { return {x, x}; }
inline __nv_bfloat162 __float2bfloat162_rn(float x) { return {x, x}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) { return {low, high}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 x) { return {x.x, x.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 x) { return {x.x, x.y}; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 x) { return x.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 x) { return x.y; }
inline float __low2float(__nv_bfloat162 x) { return x.x; }
inline float __high2float(__nv_bfloat162 x) { return x.y; }

}  // namespace simt::cuda
