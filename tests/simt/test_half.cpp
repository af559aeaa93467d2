// 16-bit floats against the compiler's own, or against exact arithmetic.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

TEST_SUITE_BEGIN("simt.half");

TEST_CASE("every half and bfloat16 survives the way through float") {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const __half h = __half::from_bits(bits);
    const __nv_bfloat16 b = __nv_bfloat16::from_bits(bits);
    if (__hisnan(h)) {
      REQUIRE(std::isnan(float(__half(float(h)))));
    } else {
      REQUIRE(__half(float(h)).bits == bits);
    }
    if (__hisnan(b)) {
      REQUIRE(std::isnan(float(__nv_bfloat16(float(b)))));
    } else {
      REQUIRE(__nv_bfloat16(float(b)).bits == bits);
    }
  }
  CHECK(float(__half::from_bits(0x3C00)) == 1.0f);
  CHECK(float(__half::from_bits(0x0001)) == 0x1p-24f);
  CHECK(float(__half::from_bits(0x7BFF)) == 65504.0f);
  CHECK(float(__nv_bfloat16::from_bits(0x3F80)) == 1.0f);
}

// The nearest of all numbers of the type, ties to even bits: by search.
template <class T>
unsigned nearest(double x) {
  unsigned low = 0, high = std::is_same_v<T, __half> ? 0x7BFF : 0x7F7F;
  const double magnitude = std::fabs(x);
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    (double(float(T::from_bits(middle))) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - double(float(T::from_bits(low)));
  const double above = double(float(T::from_bits(high))) - magnitude;
  const unsigned chosen = below < above || (below == above && low % 2 == 0) ? low : high;
  return chosen | (std::signbit(x) ? 0x8000 : 0);
}

TEST_CASE_TEMPLATE("conversion rounds to the nearest, ties to even", T, __half, __nv_bfloat16) {
  std::mt19937 generator(1);
  for (int i = 0; i < 200000; ++i) {
    // Around a number of the type: on it, halfway to the next, and a little beside.
    const unsigned bits = generator() % (std::is_same_v<T, __half> ? 0x7BFE : 0x7F7E);
    const double a = float(T::from_bits(bits)), b = float(T::from_bits(bits + 1));
    const float middle = static_cast<float>((a + b) / 2);
    for (const float x :
         {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e30f), -middle})
      REQUIRE(T(x).bits == nearest<T>(x));
  }
  CHECK(std::isinf(float(__half(65520.0f))));
  CHECK(float(__half(65519.0f)) == 65504.0f);
  CHECK(std::isinf(float(__nv_bfloat16(3.4e38f))));
}

TEST_CASE_TEMPLATE("fma rounds once", T, __half, __nv_bfloat16) {
  std::mt19937 generator(2);
  const auto any = [&] {  // of moderate size, so that long double holds a b + c exactly
    const float magnitude = std::ldexp(1.0f + static_cast<float>(generator() % 256) / 256,
                                       static_cast<int>(generator() % 20) - 10);
    return T(generator() % 2 ? magnitude : -magnitude);
  };
  for (int i = 0; i < 200000; ++i) {
    const T a = any(), b = any(), c = any();
    const double exact = double(float(a)) * float(b) + float(c);
    if (std::fabs(exact) > 60000) continue;
    REQUIRE(__hfma(a, b, c).bits == (exact == 0 ? T(0.0f).bits : nearest<T>(exact)));
  }
}

TEST_CASE("fma: a product halfway between two numbers, and an addend far below decides") {
  // 1.0078125 x 1.5 = 1.51171875 lies between the bfloat16 1.5078125 and 1.515625.
  const __nv_bfloat16 a(1.0078125f), b(1.5f), tiny(0x1p-120f);
  CHECK(float(__hfma(a, b, tiny)) == 1.515625f);
  CHECK(float(__hfma(a, b, -tiny)) == 1.5078125f);
}

TEST_CASE("pairs and conversions") {
  const __half2 pair = __floats2half2_rn(1.5f, -2.0f);
  CHECK(__low2float(pair) == 1.5f);
  CHECK(__high2float(pair) == -2.0f);
  const float2 back = __half22float2(__hfma2(pair, pair, pair));
  CHECK(back.x == 3.75f);
  CHECK(back.y == 2.0f);
  CHECK(sizeof(__half2) == 4);
  CHECK(alignof(__half2) == 4);
  CHECK(float(__hmax(__half(1.0f), __half(2.0f))) == 2.0f);
  CHECK(__half(3.0f) / __half(2.0f) == __half(1.5f));
  CHECK(__float_to_tf32(1.0f + 0x1p-11f) == 1.0f + 0x1p-10f);  // ties away
  CHECK(__float_to_tf32(-1.0f - 0x1p-11f) == -1.0f - 0x1p-10f);
  CHECK(__float_to_tf32(1.0f + 0x1p-12f) == 1.0f);
}

TEST_CASE("integer and bit intrinsics") {
  CHECK(__popc(0xF0F0u) == 8);
  CHECK(__clz(1) == 31);
  CHECK(__ffs(0) == 0);
  CHECK(__ffs(8) == 4);
  CHECK(__brev(1u) == 0x80000000u);
  CHECK(__byte_perm(0x33221100, 0x77665544, 0x7610) == 0x77661100);
  CHECK(__funnelshift_l(0x80000000u, 1u, 1) == 3u);
  CHECK(__umulhi(0x80000000u, 6u) == 3u);
  CHECK(__float2int_rn(2.5f) == 2);
  CHECK(__float2int_rz(-2.5f) == -2);
  CHECK(__float2int_rd(-2.5f) == -3);
  CHECK(__float2int_ru(2.1f) == 3);
  CHECK(__float2int_rn(1e20f) == 2147483647);
  CHECK(__float2uint_rn(-1.0f) == 0);
  CHECK(__dp4a(0x01020304, 0x01FF01FF, 10) == 10 + 1 - 2 + 3 - 4);
  CHECK(min(-1, 2) == -1);
  CHECK(max(1.0f, 2.0f) == 2.0f);
  CHECK(sinpif(1.0f) == 0.0f);
  CHECK(cospif(0.5f) == 0.0f);
}

TEST_SUITE_END();
