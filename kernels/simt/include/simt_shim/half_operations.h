// The functions that __half and __nv_bfloat16 have in common, written once: included by cuda_fp16.h
// and cuda_bf16.h, which define SIMT_HALF, SIMT_HALF2, SIMT_BITS and SIMT_VALUE before.
//
// Every operation is correctly rounded: float has more than twice the digits, so rounding its
// result again is harmless for + - * / and the square root; fma goes through round-to-odd.
// No #pragma once: included twice.

inline SIMT_HALF __hadd(SIMT_HALF a, SIMT_HALF b) { return SIMT_HALF(float(a) + float(b)); }
inline SIMT_HALF __hsub(SIMT_HALF a, SIMT_HALF b) { return SIMT_HALF(float(a) - float(b)); }
inline SIMT_HALF __hmul(SIMT_HALF a, SIMT_HALF b) { return SIMT_HALF(float(a) * float(b)); }
inline SIMT_HALF __hdiv(SIMT_HALF a, SIMT_HALF b) { return SIMT_HALF(float(a) / float(b)); }
inline SIMT_HALF __hadd_rn(SIMT_HALF a, SIMT_HALF b) { return __hadd(a, b); }
inline SIMT_HALF __hsub_rn(SIMT_HALF a, SIMT_HALF b) { return __hsub(a, b); }
inline SIMT_HALF __hmul_rn(SIMT_HALF a, SIMT_HALF b) { return __hmul(a, b); }
inline SIMT_HALF __hfma(SIMT_HALF a, SIMT_HALF b, SIMT_HALF c) {
  return SIMT_HALF(detail::to_float_odd(detail::fma_to_odd(float(a), float(b), float(c))));
}
inline SIMT_HALF __hneg(SIMT_HALF a) { return SIMT_HALF::from_bits(a.bits ^ 0x8000); }
inline SIMT_HALF __habs(SIMT_HALF a) { return SIMT_HALF::from_bits(a.bits & 0x7FFF); }
inline SIMT_HALF __hmin(SIMT_HALF a, SIMT_HALF b) { return SIMT_HALF(::fminf(float(a), float(b))); }
inline SIMT_HALF __hmax(SIMT_HALF a, SIMT_HALF b) { return SIMT_HALF(::fmaxf(float(a), float(b))); }
inline SIMT_HALF hsqrt(SIMT_HALF a) { return SIMT_HALF(::sqrtf(float(a))); }
inline SIMT_HALF hrsqrt(SIMT_HALF a) { return SIMT_HALF(1.0f / ::sqrtf(float(a))); }
inline SIMT_HALF hrcp(SIMT_HALF a) { return SIMT_HALF(1.0f / float(a)); }
inline SIMT_HALF hexp(SIMT_HALF a) { return SIMT_HALF(::expf(float(a))); }
inline SIMT_HALF hlog(SIMT_HALF a) { return SIMT_HALF(::logf(float(a))); }
inline SIMT_HALF htanh(SIMT_HALF a) { return SIMT_HALF(::tanhf(float(a))); }
inline bool __heq(SIMT_HALF a, SIMT_HALF b) { return float(a) == float(b); }
inline bool __hne(SIMT_HALF a, SIMT_HALF b) { return float(a) != float(b); }
inline bool __hlt(SIMT_HALF a, SIMT_HALF b) { return float(a) < float(b); }
inline bool __hle(SIMT_HALF a, SIMT_HALF b) { return float(a) <= float(b); }
inline bool __hgt(SIMT_HALF a, SIMT_HALF b) { return float(a) > float(b); }
inline bool __hge(SIMT_HALF a, SIMT_HALF b) { return float(a) >= float(b); }
inline bool __hisnan(SIMT_HALF a) { return float(a) != float(a); }

inline SIMT_HALF operator+(SIMT_HALF a, SIMT_HALF b) { return __hadd(a, b); }
inline SIMT_HALF operator-(SIMT_HALF a, SIMT_HALF b) { return __hsub(a, b); }
inline SIMT_HALF operator*(SIMT_HALF a, SIMT_HALF b) { return __hmul(a, b); }
inline SIMT_HALF operator/(SIMT_HALF a, SIMT_HALF b) { return __hdiv(a, b); }
inline SIMT_HALF operator-(SIMT_HALF a) { return __hneg(a); }
inline SIMT_HALF& operator+=(SIMT_HALF& a, SIMT_HALF b) { return a = a + b; }
inline SIMT_HALF& operator-=(SIMT_HALF& a, SIMT_HALF b) { return a = a - b; }
inline SIMT_HALF& operator*=(SIMT_HALF& a, SIMT_HALF b) { return a = a * b; }
inline SIMT_HALF& operator/=(SIMT_HALF& a, SIMT_HALF b) { return a = a / b; }
inline bool operator==(SIMT_HALF a, SIMT_HALF b) { return __heq(a, b); }
inline bool operator<(SIMT_HALF a, SIMT_HALF b) { return __hlt(a, b); }
inline bool operator<=(SIMT_HALF a, SIMT_HALF b) { return __hle(a, b); }
inline bool operator>(SIMT_HALF a, SIMT_HALF b) { return __hgt(a, b); }
inline bool operator>=(SIMT_HALF a, SIMT_HALF b) { return __hge(a, b); }

inline SIMT_HALF2 __hadd2(SIMT_HALF2 a, SIMT_HALF2 b) { return {a.x + b.x, a.y + b.y}; }
inline SIMT_HALF2 __hsub2(SIMT_HALF2 a, SIMT_HALF2 b) { return {a.x - b.x, a.y - b.y}; }
inline SIMT_HALF2 __hmul2(SIMT_HALF2 a, SIMT_HALF2 b) { return {a.x * b.x, a.y * b.y}; }
inline SIMT_HALF2 __h2div(SIMT_HALF2 a, SIMT_HALF2 b) { return {a.x / b.x, a.y / b.y}; }
inline SIMT_HALF2 __hfma2(SIMT_HALF2 a, SIMT_HALF2 b, SIMT_HALF2 c) {
  return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
inline SIMT_HALF2 __hneg2(SIMT_HALF2 a) { return {-a.x, -a.y}; }
inline SIMT_HALF2 __habs2(SIMT_HALF2 a) { return {__habs(a.x), __habs(a.y)}; }
inline SIMT_HALF2 __hmin2(SIMT_HALF2 a, SIMT_HALF2 b) {
  return {__hmin(a.x, b.x), __hmin(a.y, b.y)};
}
inline SIMT_HALF2 __hmax2(SIMT_HALF2 a, SIMT_HALF2 b) {
  return {__hmax(a.x, b.x), __hmax(a.y, b.y)};
}
inline SIMT_HALF2 operator+(SIMT_HALF2 a, SIMT_HALF2 b) { return __hadd2(a, b); }
inline SIMT_HALF2 operator-(SIMT_HALF2 a, SIMT_HALF2 b) { return __hsub2(a, b); }
inline SIMT_HALF2 operator*(SIMT_HALF2 a, SIMT_HALF2 b) { return __hmul2(a, b); }
inline SIMT_HALF2 operator/(SIMT_HALF2 a, SIMT_HALF2 b) { return __h2div(a, b); }
inline SIMT_HALF2 operator-(SIMT_HALF2 a) { return __hneg2(a); }
inline SIMT_HALF2& operator+=(SIMT_HALF2& a, SIMT_HALF2 b) { return a = a + b; }
inline SIMT_HALF2& operator-=(SIMT_HALF2& a, SIMT_HALF2 b) { return a = a - b; }
inline SIMT_HALF2& operator*=(SIMT_HALF2& a, SIMT_HALF2 b) { return a = a * b; }

inline SIMT_HALF atomicAdd(SIMT_HALF* p, SIMT_HALF value) {
  return detail::atomic_update(p, [value](SIMT_HALF old) { return old + value; });
}
