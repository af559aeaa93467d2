#include "engine/random.h"

#include <cmath>
#include <numbers>

namespace etude {

std::array<std::uint32_t, 4> philox4x32(std::uint64_t counter_low, std::uint64_t counter_high,
                                        std::uint64_t key) {
  std::array<std::uint32_t, 4> c = {
      static_cast<std::uint32_t>(counter_low), static_cast<std::uint32_t>(counter_low >> 32),
      static_cast<std::uint32_t>(counter_high), static_cast<std::uint32_t>(counter_high >> 32)};
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2511F53ull * c[0];
    const std::uint64_t b = 0xCD9E8D57ull * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(a)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

PhiloxState Generator::reserve(Index n) {
  const PhiloxState start = state_;
  state_.offset += static_cast<std::uint64_t>((n + 3) / 4);
  return start;
}

std::uint64_t Generator::bits() {
  const auto words = philox4x32(state_.offset++, 0, state_.seed);
  return words[0] | static_cast<std::uint64_t>(words[1]) << 32;
}

double Generator::uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

double Generator::uniform(double low, double high) { return low + (high - low) * uniform(); }

double Generator::normal() {
  const auto words = philox4x32(state_.offset++, 0, state_.seed);
  const double u = (words[0] + 1.0) * 0x1p-32;  // (0, 1]
  const double v = words[1] * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

Index Generator::below(Index n) {
  // Rejection: the largest multiple of n below 2^64 is the fair range.
  const auto range = static_cast<std::uint64_t>(n);
  const std::uint64_t limit = ~std::uint64_t{0} - ~std::uint64_t{0} % range;
  std::uint64_t value = bits();
  while (value >= limit) value = bits();
  return static_cast<Index>(value % range);
}

Generator Generator::fork(std::uint64_t name) const {
  // The name is a counter in the upper half, which no draw of this stream reaches.
  const auto words = philox4x32(name, 1, state_.seed);
  return Generator(words[0] | static_cast<std::uint64_t>(words[1]) << 32);
}

}  // namespace etude
