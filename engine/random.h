// Random numbers: Philox4x32-10, counter-based, the same on every back end.
//
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "kernels/shapes.h"

namespace etude {

// The four 32-bit outputs of Philox4x32-10 for a 128-bit counter and a 64-bit key.
std::array<std::uint32_t, 4> philox4x32(std::uint64_t counter_low, std::uint64_t counter_high,
                                        std::uint64_t key);

// A reproducible stream. Two numbers are its whole state, so a run can be resumed.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0, std::uint64_t offset = 0) : state_{seed, offset} {}

  PhiloxState state() const { return state_; }
  void set_state(PhiloxState state) { state_ = state; }
  // Reserves counters for n elements of a kernel and returns where they start.
  PhiloxState reserve(Index n);

  // Host-side draws; each uses one counter.
  std::uint64_t bits();
  double uniform();                         // [0, 1)
  double uniform(double low, double high);  // [low, high)
  double normal();                          // N(0, 1), Box-Muller
  Index below(Index n);                     // {0, ..., n - 1}, unbiased
  template <class It>
  void shuffle(It first, It last) {  // Fisher-Yates
    for (auto n = last - first; n > 1; --n) std::swap(first[n - 1], first[below(n)]);
  }
  // An independent stream named by a number (an epoch, a sample), the same every time.
  Generator fork(std::uint64_t name) const;

 private:
  PhiloxState state_;
};

}  // namespace etude
