// Four neighbouring elements of a tensor, the unit of the element-wise kernels: one 16-byte access
// where all four exist, else one for each that does.
//
// A kernel's body is written once, as a generic lambda of the access, and instantiated for both:
// the branch between them comes before the first load, so that the loads of the common case stand
// side by side and are all on their way at once. (A branch in each load makes the next one wait.)
#pragma once

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

struct Quad {
  float e[4];
};

// All four elements at p, which is aligned to 16 bytes.
struct WholeQuad {
  __device__ int first() const { return 0; }
  __device__ bool has(int /*i*/) const { return true; }
  __device__ Quad load(const float* p, float /*outside*/ = 0) const {
    const float4 v = load4(p);
    return {{v.x, v.y, v.z, v.w}};
  }
  __device__ void store(float* p, const Quad& q) const {
    store4(p, make_float4(q.e[0], q.e[1], q.e[2], q.e[3]));
  }
};

// Elements from <= i < to of the four at p, or none; the others are `outside` and are not stored.
struct PartQuad {
  int from, to;
  __device__ int first() const { return max_of(from, 0); }
  __device__ bool has(int i) const { return i >= from && i < to; }
  __device__ Quad load(const float* p, float outside = 0) const {
    Quad q;
#pragma unroll
    for (int i = 0; i < 4; ++i) q.e[i] = has(i) ? p[i] : outside;
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
