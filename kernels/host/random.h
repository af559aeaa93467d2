// The numbers of random.cpp by the counter, for kernels that draw within other work: Philox's words
// and what they become. The comment there defines them.
#pragma once

#include <cmath>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

constexpr Index lanes_per_counter = 4;

struct Lanes {
  std::uint32_t b[4];
};

inline Lanes philox(std::uint64_t counter, std::uint64_t key) {
  constexpr std::uint64_t m0 = 0xD2511F53, m1 = 0xCD9E8D57;
  constexpr std::uint32_t w0 = 0x9E3779B9, w1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1
  std::uint32_t c0 = static_cast<std::uint32_t>(counter);
  std::uint32_t c1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t c2 = 0, c3 = 0;
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c0, p1 = m1 * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += w0;
    k1 += w1;
  }
  return {{c0, c1, c2, c3}};
}

// 24 of the 32 bits: as many as a float holds exactly.
inline std::uint32_t top24(std::uint32_t bits) { return bits >> 8; }
constexpr double two_to_minus_24 = 0x1p-24;

// Horner's rule, coefficients from the highest power down, one fma a step.
template <int n>
double horner(double x, const double (&coefficients)[n]) {
  double y = coefficients[0];
  for (int i = 1; i < n; ++i) y = std::fma(y, x, coefficients[i]);
  return y;
}

// ln(k 2^-24) for k in [1, 2^24]: k 2^-24 = m 2^e with m in [0.75, 1.5), then
// ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.2.
inline double log_of_24_bits(std::uint32_t k) {
  int e = 0;
  double m = k * two_to_minus_24;  // exact, as are the doublings
  while (m < 0.75) {
    m *= 2;
    --e;
  }
  constexpr double odd[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                            1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
  constexpr double ln2 = 0.693147180559945309417;
  const double s = (m - 1) / (m + 1);
  return std::fma(static_cast<double>(e), ln2, 2 * s * horner(s * s, odd));
}

// cos and sin of 2 pi k 2^-24. The nearest quarter turn is taken out of the integer k, so the
// polynomials (Taylor) see at most 45 degrees.
inline void cos_sin_of_24_bits(std::uint32_t k, double& cosine, double& sine) {
  constexpr double half_pi = 1.57079632679489661923;
  const std::uint32_t quarter = (k + (1u << 21)) >> 22;  // 0 .. 4
  const double a =
      half_pi *
      (static_cast<double>(static_cast<std::int64_t>(k) - (std::int64_t{quarter} << 22)) * 0x1p-22);
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
  const double a2 = a * a;
  const double s = a * horner(a2, sin_terms), c = horner(a2, cos_terms);
  switch (quarter & 3) {
    case 0:
      cosine = c, sine = s;
      break;
    case 1:
      cosine = -s, sine = c;
      break;
    case 2:
      cosine = -c, sine = -s;
      break;
    default:
      cosine = s, sine = -c;
      break;
  }
}

// Two standard normal numbers from two words (Box and Muller, 1958).
inline void normal_pair(std::uint32_t even, std::uint32_t odd, double& first, double& second) {
  const double r = std::sqrt(-2 * log_of_24_bits(top24(even) + 1));
  cos_sin_of_24_bits(top24(odd), first, second);
  first *= r;
  second *= r;
}

}  // namespace etude::ETUDE_BACKEND
