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
//            ln, sin and cos are the polynomials of random.h in double, built from IEEE basic
//            operations and explicit fma only: a libm's last bit differs between systems.
//            |y| <= sqrt(2 ln 2^24) = 5.77 deviations.
//
// Cost: about 40 integer operations for four numbers; n numbers written, for dropout n read too.
#include "kernels/host/random.h"

#include <algorithm>
#include <cmath>

namespace etude::ETUDE_BACKEND {
namespace {

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
      double even, odd;
      normal_pair(lanes.b[lane], lanes.b[lane + 1], even, odd);
      y[first + lane] = static_cast<T>(std::fma(deviation, even, mean));
      if (lane + 1 < count) y[first + lane + 1] = static_cast<T>(std::fma(deviation, odd, mean));
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
