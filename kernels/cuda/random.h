// The numbers of random.cu by the counter, for kernels that draw within other work: Philox's words
// and what they become, bit for bit as kernels/host/random.cpp defines them.
#pragma once

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

// ---- bits --------------------------------------------------------------------------------------

// The four words of counter {low, high, 0, 0}.
__device__ inline uint4 philox(std::uint64_t counter, std::uint64_t key) {
  constexpr std::uint64_t m0 = 0xD2511F53, m1 = 0xCD9E8D57;
  constexpr std::uint32_t w0 = 0x9E3779B9, w1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1
  std::uint32_t c0 = static_cast<std::uint32_t>(counter);
  std::uint32_t c1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t c2 = 0, c3 = 0;
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c0, p1 = m1 * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += w0;
    k1 += w1;
  }
  return make_uint4(c0, c1, c2, c3);
}

// 24 of the 32 bits: as many as a float holds exactly.
__device__ inline std::uint32_t top24(std::uint32_t bits) { return bits >> 8; }
constexpr double kTwoToMinus24 = 0x1p-24;

// ---- conversions -------------------------------------------------------------------------------

// Horner's rule, coefficients from the highest power down, one fma a step.
template <int n>
__device__ double horner(double x, const double (&coefficients)[n]) {
  double y = coefficients[0];
#pragma unroll
  for (int i = 1; i < n; ++i) y = fma(y, x, coefficients[i]);
  return y;
}

// ln(k 2^-24) for k in [1, 2^24]: k 2^-24 = m 2^-halvings with m in [0.75, 1.5), then
// ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.2.
__device__ inline double log_of_24_bits(std::uint32_t k) {
  constexpr double odd[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                            1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
  constexpr double ln2 = 0.693147180559945309417;
  int halvings = max_of(0, __clz(static_cast<int>(k)) - 8);  // k << halvings in [2^23, 2^24]
  double m = (k << halvings) * kTwoToMinus24;
  if (m < 0.75) {
    m *= 2;
    ++halvings;
  }
  const double s = (m - 1) / (m + 1);
  return fma(static_cast<double>(-halvings), ln2, 2 * s * horner(s * s, odd));
}

struct Direction {
  double cosine, sine;
};

// Of the angle 2 pi k 2^-24. The nearest quarter turn is taken out of the integer k, so the
// polynomials (Taylor) see at most 45 degrees.
__device__ inline Direction cos_sin_of_24_bits(std::uint32_t k) {
  constexpr double half_pi = 1.57079632679489661923;
  constexpr double sin_terms[] = {
      -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
      -1.0 / 5040,          1.0 / 120,        -1.0 / 6,        1.0};
  constexpr double cos_terms[] = {1.0 / 20922789888000,
                                  -1.0 / 87178291200,
                                  1.0 / 479001600,
                                  -1.0 / 3628800,
                                  1.0 / 40320,
                                  -1.0 / 720,
                                  1.0 / 24,
                                  -0.5,
                                  1.0};
  const std::uint32_t quarter = (k + (1u << 21)) >> 22;  // 0 .. 4
  const int rest = static_cast<int>(k) - static_cast<int>(quarter << 22);
  const double a = half_pi * (static_cast<double>(rest) * 0x1p-22);
  const double a2 = a * a;
  const double s = a * horner(a2, sin_terms), c = horner(a2, cos_terms);
  switch (quarter & 3) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

// Two standard normal numbers (Box and Muller, 1958).
__device__ inline Direction normal_pair(std::uint32_t even, std::uint32_t odd) {
  const double r = sqrt(-2 * log_of_24_bits(top24(even) + 1));
  const Direction d = cos_sin_of_24_bits(top24(odd));
  return {r * d.cosine, r * d.sine};
}

}  // namespace etude::ETUDE_BACKEND
