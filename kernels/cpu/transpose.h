// kLanes x kLanes transpose in registers.
#pragma once

#include <utility>

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

// Lane i of the result is lane Pick(i) of a, or lane Pick(i) - kLanes of b.
template <auto Pick, int... I>
ETUDE_INLINE Vec shuffle(Vec a, Vec b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, Pick(I)...);
}
template <auto Pick>
ETUDE_INLINE Vec shuffle(Vec a, Vec b) {
  return shuffle<Pick>(a, b, std::make_integer_sequence<int, kLanes>{});
}

// Transposes each 4 x 4 block of four vectors: lane 4 b + i of r[c] was lane 4 b + c of r[i]. (The
// unpack instructions of x86.)
ETUDE_INLINE void transpose_blocks(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  constexpr auto low = [](int i) { return i / 4 * 4 + i % 4 / 2 + i % 2 * kLanes; };
  constexpr auto high = [](int i) { return i / 4 * 4 + 2 + i % 4 / 2 + i % 2 * kLanes; };
  constexpr auto low_pairs = [](int i) { return i / 4 * 4 + i % 2 + i % 4 / 2 * kLanes; };
  constexpr auto high_pairs = [](int i) { return i / 4 * 4 + 2 + i % 2 + i % 4 / 2 * kLanes; };
  const Vec a = shuffle<low>(r0, r1), b = shuffle<high>(r0, r1);
  const Vec c = shuffle<low>(r2, r3), d = shuffle<high>(r2, r3);
  r0 = shuffle<low_pairs>(a, c);
  r1 = shuffle<high_pairs>(a, c);
  r2 = shuffle<low_pairs>(b, d);
  r3 = shuffle<high_pairs>(b, d);
}

// Rows become columns. Within blocks of four lanes first, then whole blocks change places (one
// round with 8 lanes, two with 16): kLanes log2 kLanes shuffles of two sources in all.
ETUDE_INLINE void transpose(Vec (&r)[kLanes]) {
#pragma GCC unroll 16
  for (int g = 0; g < kLanes; g += 4) transpose_blocks(r[g], r[g + 1], r[g + 2], r[g + 3]);
  // Now block q of r[4 g + c] holds column 4 q + c of rows 4 g ... 4 g + 3.
  [[maybe_unused]] constexpr auto even = [](int i) { return i / 4 * 8 + i % 4; };
  [[maybe_unused]] constexpr auto odd = [](int i) { return i / 4 * 8 + 4 + i % 4; };
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    if constexpr (kLanes == 8) {
      const Vec a = r[c], b = r[4 + c];
      r[c] = shuffle<even>(a, b);
      r[4 + c] = shuffle<odd>(a, b);
    } else if constexpr (kLanes == 16) {
      const Vec a = shuffle<even>(r[c], r[4 + c]), b = shuffle<odd>(r[c], r[4 + c]);
      const Vec d = shuffle<even>(r[8 + c], r[12 + c]), e = shuffle<odd>(r[8 + c], r[12 + c]);
      r[c] = shuffle<even>(a, d);
      r[4 + c] = shuffle<even>(b, e);
      r[8 + c] = shuffle<odd>(a, d);
      r[12 + c] = shuffle<odd>(b, e);
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
