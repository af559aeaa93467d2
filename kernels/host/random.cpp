// Random numbers of the back ends that run on the host. Philox4x32-10 is counter-based: element i
// is a function of (seed, offset, i) alone, so neither threads nor the back end change a bit.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//
// Every back end must reproduce these conversions bit for bit:
//
//   bits     b[0..3] = philox(counter {offset + i / 4 (64 bits), 0 (64 bits)}, key = seed);
//            element i takes lane i % 4; words are little-endian halves: counter = {low, high, 0,
//            0}
//   uniform  u = (b >> 8) 2^-24, exact in float: a multiple of 2^-24 in [0, 1)
//            y = fma(u, T(high - low), T(low)), one rounding; `high` itself only by that rounding
//   dropout  dropped when (b >> 8) < ceil(p 2^24), an integer comparison;
//            y = x (kept ? T(1 / (1 - p)) : 0), a product so that NaN is not dropped
//   normal   Box-Muller on the lane pairs (0, 1) and (2, 3):
//            r = sqrt(-2 ln u'), u' = ((b_even >> 8) + 1) 2^-24 in (0, 1]; a = 2 pi u(b_odd);
//            the even lane is r cos a, the odd one r sin a; y = T(fma(deviation, z, mean)).
//            ln, sin and cos are the polynomials below in double, built from IEEE basic
//            operations and explicit fma only: a libm's last bit differs between systems.
//            |y| <= sqrt(2 ln 2^24) = 5.77 deviations.
//
// Cost: about 40 integer operations for four numbers; n numbers written, for dropout n read too.
#include <algorithm>
#include <cmath>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {
namespace {

struct Lanes {
  std::uint32_t b[4];
};

Lanes philox(std::uint64_t counter, std::uint64_t key) {
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

constexpr Index lanes_per_counter = 4;

// Calls f(first, count, lanes) for every counter: its lanes belong to elements first ... first +
// count - 1.
template <class F>
void for_each_counter(Index n, PhiloxState state, F f) {
  const Index counters = (n + lanes_per_counter - 1) / lanes_per_counter;
#pragma omp parallel for if (counters > 4096)
  for (Index block = 0; block < counters; ++block) {
    const Index first = block * lanes_per_counter;
    f(first, static_cast<int>(std::min(lanes_per_counter, n - first)),
      philox(state.offset + static_cast<std::uint64_t>(block), state.seed));
  }
}

// 24 of the 32 bits: as many as a float holds exactly.
std::uint32_t top24(std::uint32_t bits) { return bits >> 8; }
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
double log_of_24_bits(std::uint32_t k) {
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
void cos_sin_of_24_bits(std::uint32_t k, double& cosine, double& sine) {
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

}  // namespace

void random_uniform(Stream, Index n, double low, double high, PhiloxState state, T* y) {
  const T base = static_cast<T>(low), range = static_cast<T>(high - low);
  for_each_counter(n, state, [=](Index first, int count, const Lanes& lanes) {
    for (int lane = 0; lane < count; ++lane) {
      const T u = static_cast<T>(top24(lanes.b[lane]) * two_to_minus_24);
      y[first + lane] = std::fma(u, range, base);
    }
  });
}

void random_normal(Stream, Index n, double mean, double deviation, PhiloxState state, T* y) {
  for_each_counter(n, state, [=](Index first, int count, const Lanes& lanes) {
    for (int lane = 0; lane < count; lane += 2) {
      const double r = std::sqrt(-2 * log_of_24_bits(top24(lanes.b[lane]) + 1));
      double cosine, sine;
      cos_sin_of_24_bits(top24(lanes.b[lane + 1]), cosine, sine);
      y[first + lane] = static_cast<T>(std::fma(deviation, r * cosine, mean));
      if (lane + 1 < count)
        y[first + lane + 1] = static_cast<T>(std::fma(deviation, r * sine, mean));
    }
  });
}

void dropout(Stream, Index n, double probability, PhiloxState state, const T* x, T* y) {
  const auto threshold = static_cast<std::uint32_t>(std::ceil(probability * 0x1p24));
  const T factor = static_cast<T>(1 / (1 - probability));  // unused at probability 1
  for_each_counter(n, state, [=](Index first, int count, const Lanes& lanes) {
    for (int lane = 0; lane < count; ++lane) {
      const T mask = top24(lanes.b[lane]) < threshold ? T(0) : factor;
      y[first + lane] = x[first + lane] * mask;
    }
  });
}

}  // namespace etude::ETUDE_BACKEND
