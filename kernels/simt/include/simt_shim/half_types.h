// The 16-bit floats' bits: IEEE binary16 (11 bits of precision) and bfloat16 (8).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace simt::detail {

// To nearest, ties to even.
constexpr std::uint16_t half_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7FFF);   // NaN
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00);  // >= 65520
  std::uint32_t kept, rest, half;
  if (magnitude >= 0x38800000u) {  // >= 2^-14: normal
    kept = (magnitude - 0x38000000u) >> 13;
    rest = magnitude & 0x1FFF;
    half = 0x1000;
  } else {
    const int exponent = static_cast<int>(magnitude >> 23);
    const int shift = 126 - exponent;  // of the mantissa, to units of 2^-24
    if (shift > 24) return sign;
    const std::uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    kept = mantissa >> shift;
    rest = mantissa & ((1u << shift) - 1);
    half = 1u << (shift - 1);
  }
  if (rest > half || (rest == half && (kept & 1))) ++kept;  // may carry into the exponent
  return static_cast<std::uint16_t>(sign | kept);
}

constexpr float half_value(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000) << 16;
  const std::uint32_t exponent = h >> 10 & 0x1F, mantissa = h & 0x3FF;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float tiny = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -tiny : tiny;
}

constexpr std::uint16_t bfloat16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

constexpr float bfloat16_value(std::uint16_t h) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(h) << 16);
}

// a b + c rounded to odd, for rounding to 16 bits next: then that is the only rounding. (The
// product of two 16-bit floats is exact in double; the sum may not be.)
inline double fma_to_odd(float a, float b, float c) {
  const double p = static_cast<double>(a) * b, q = c;
  const double s = p + q;
  if (!std::isfinite(s)) return s;
  const double back = s - p;
  const double error = (p - (s - back)) + (q - back);  // exact (Knuth's two-sum)
  auto bits = std::bit_cast<std::uint64_t>(s);
  if (error == 0 || (bits & 1)) return s;
  bits += (error > 0) == (s > 0) ? 1 : std::uint64_t(-1);
  return std::bit_cast<double>(bits);
}
// Double to float, again to odd.
inline float to_float_odd(double x) {
  const float f = static_cast<float>(x);
  if (static_cast<double>(f) == x || !std::isfinite(f) || !std::isfinite(x)) return f;
  auto bits = std::bit_cast<std::uint32_t>(f);
  if (bits & 1) return f;
  const bool too_big = std::fabs(static_cast<double>(f)) > std::fabs(x);
  return std::bit_cast<float>(bits + (too_big ? std::uint32_t(-1) : 1u));
}

}  // namespace simt::detail
