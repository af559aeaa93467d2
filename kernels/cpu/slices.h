// Sums that are made in slices: lanes to numbers, then slice to slice in order.
#pragma once

#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {

// vectors[j] = sum of the lanes of vector j, in place: `count` numbers remain.
inline void sum_lanes(float* vectors, Index count) {
  for (Index j = 0; j < count; j += kLanes) {
    Vec square[kLanes];
    for (Index l = 0; l < kLanes; ++l)
      square[l] = j + l < count ? load(vectors + (j + l) * kLanes) : Vec{};
    transpose(square);
    for (int half = kLanes / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) square[l] += square[l + half];
    store_n(vectors + j, square[0], min_of(kLanes, count - j));
  }
}

// sum[i] = parts[0][i] + parts[1][i] + ...
inline void add_slices(const float* parts, Index slices, Index size, float* sum) {
  for_each_vector(size, [&](Index i, auto access) {
    Vec total{};
    for (Index slice = 0; slice < slices; ++slice) total += access.load(parts + slice * size + i);
    access.store(sum + i, total);
  });
}

}  // namespace etude::ETUDE_BACKEND
