// Neighbouring floats that move as one access: kWidth = 4, 2 or 1 of them, at an address that is a
// multiple of their size.
//
// A quad, four of them, is the unit of the element-wise kernels, also where a tensor ends within
// one. Their bodies are written once, as a generic lambda of the access, and instantiated for whole
// quads and for parts: the branch between them comes before the first load, so that the loads of
// the common case stand side by side and are all on their way at once. (A branch in each load makes
// the next one wait.)
#pragma once

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

template <int kWidth>
struct Pack {
  float e[kWidth];
};
using Quad = Pack<4>;

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
    store4(p, make_float4(a.e[0], a.e[1], a.e[2], a.e[3]));
  } else if constexpr (kWidth == 2) {
    *reinterpret_cast<float2*>(p) = make_float2(a.e[0], a.e[1]);
  } else {
    *p = a.e[0];
  }
}

template <int kWidth>
__device__ inline Pack<kWidth> splat(float value) {
  Pack<kWidth> a;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) a.e[j] = value;
  return a;
}

// ---- quads, whole and in part -------------------------------------------------------------------

// All four elements at p.
struct WholeQuad {
  __device__ int first() const { return 0; }
  __device__ bool has(int /*i*/) const { return true; }
  __device__ Quad load(const float* p, const Quad& /*outside*/ = {}) const {
    return ETUDE_BACKEND::load<4>(p);
  }
  __device__ void store(float* p, const Quad& q) const { ETUDE_BACKEND::store(p, q); }
};

// Elements from <= i < to of the four at p, or none; the others are as `outside` has them, and are
// not stored.
struct PartQuad {
  int from, to;
  __device__ int first() const { return max_of(from, 0); }
  __device__ bool has(int i) const { return i >= from && i < to; }
  __device__ Quad load(const float* p, const Quad& outside = {}) const {
    Quad q = outside;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (has(i)) q.e[i] = p[i];
    return q;
  }
  __device__ void store(float* p, const Quad& q) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (has(i)) p[i] = q.e[i];
  }
};

// How the quad at `at` of a range of elements is moved: all elements exist, or from <= i < to.
struct WholeRange {
  __device__ WholeQuad operator()(int /*at*/) const { return {}; }
};
struct PartRange {
  int from, to;
  __device__ PartQuad operator()(int at) const { return {from - at, to - at}; }
};

}  // namespace etude::ETUDE_BACKEND
