// Decibels of a vector.
#pragma once

#include <limits>

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

// 10 log10(x) of a normal x > 0; infinity and NaN come back as they are.
//
// x = 2^e m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh(t), t = (m - 1) / (m + 1), |t| <
// 0.1716: five terms of the series leave 2 t^11 / 11 < 4e-9 of the value. Largest error over all
// floats in [1e-37, 1e37]: 3e-7 of the value, most of it from rounding where e and log m nearly
// cancel.
ETUDE_INLINE Vec decibel(Vec x) {
  const IntVec bits = __builtin_bit_cast(IntVec, x);
  // The exponent of x / sqrt(1/2): what remains of the bits is m's distance from sqrt(1/2).
  const IntVec shifted = bits - splat(std::int32_t{0x3f3504f3});
  const IntVec e = shifted >> 23;
  const IntVec mantissa =
      (shifted & splat(std::int32_t{0x007fffff})) + splat(std::int32_t{0x3f3504f3});
  const Vec m = __builtin_bit_cast(Vec, mantissa);
  const Vec t = (m - splat(1.f)) / (m + splat(1.f));
  const Vec z = t * t;
  constexpr double scale = 2 * 4.342944819032518;  // 2 * 10 / ln 10
  Vec series = fma(z, splat(float(scale / 9)), splat(float(scale / 7)));
  series = fma(z, series, splat(float(scale / 5)));
  series = fma(z, series, splat(float(scale / 3)));
  series = t * fma(z, series, splat(float(scale)));
  const Vec y = fma(__builtin_convertvector(e, Vec), splat(3.010299956639812f), series);
  return x <= splat(std::numeric_limits<float>::max()) ? y : x;
}

}  // namespace etude::ETUDE_BACKEND
