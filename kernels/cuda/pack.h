// Neighbouring floats that move as one access: kWidth = 4, 2 or 1 of them, at an address that is a
// multiple of their size.
#pragma once

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

template <int kWidth>
struct Pack {
  float v[kWidth];
};

template <int kWidth>
__device__ inline Pack<kWidth> load(const float* p) {
  if constexpr (kWidth == 4) {
    const float4 a = load4(p);
    return {{a.x, a.y, a.z, a.w}};
  } else if constexpr (kWidth == 2) {
    const float2 a = *reinterpret_cast<const float2*>(p);
    return {{a.x, a.y}};
  } else {
    return {{*p}};
  }
}

template <int kWidth>
__device__ inline void store(float* p, const Pack<kWidth>& a) {
  if constexpr (kWidth == 4) {
    store4(p, make_float4(a.v[0], a.v[1], a.v[2], a.v[3]));
  } else if constexpr (kWidth == 2) {
    *reinterpret_cast<float2*>(p) = make_float2(a.v[0], a.v[1]);
  } else {
    *p = a.v[0];
  }
}

template <int kWidth>
__device__ inline Pack<kWidth> splat(float value) {
  Pack<kWidth> a;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) a.v[j] = value;
  return a;
}

}  // namespace etude::ETUDE_BACKEND
