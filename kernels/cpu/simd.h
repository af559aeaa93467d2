// The widest float vector of the instruction set this file is compiled for, by GCC's and Clang's
// vector extensions: arithmetic and comparisons are the plain operators on `Vec`. Measured on the
// convolution kernels they equal intrinsics and Google Highway within 2 %, and need neither a
// library nor a second set of names. Only what the extensions lack is spelled per instruction set:
// the fused multiply-add (which contraction may or may not make of a * b + c) and the partial loads
// and stores of a row's tail.
//
// Everything here is in the back end's own namespace: these functions differ between instruction
// sets, so two tables must not share them.
//
// With ETUDE_LANES=16 defined (a table of the tests) the sixteen lanes of AVX-512 are made of what
// the processor has: the same kernels, tiles and tails, to be tested where AVX-512 is not.
#pragma once

#include "kernels/backend.h"

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace etude::ETUDE_BACKEND {

#define ETUDE_INLINE [[gnu::always_inline]] inline

#if defined(ETUDE_LANES)
inline constexpr int kLanes = ETUDE_LANES;
#elif defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;  // SSE2, NEON
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef float VecMemory __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::int32_t IntVec __attribute__((vector_size(4 * kLanes)));  // also what a > b yields

ETUDE_INLINE Vec load(const float* p) { return *reinterpret_cast<const VecMemory*>(p); }
ETUDE_INLINE void store(float* p, Vec v) { *reinterpret_cast<VecMemory*>(p) = v; }
ETUDE_INLINE Vec splat(float a) { return a - Vec{}; }
ETUDE_INLINE IntVec splat(std::int32_t a) { return a - IntVec{}; }

// Four floats, for what is shorter than a vector; or sixteen bytes, which may lie anywhere.
typedef float Vec4 __attribute__((vector_size(16)));
typedef float Vec4Memory __attribute__((vector_size(16), aligned(1), may_alias));

ETUDE_INLINE Vec4 load4(const float* p) { return *reinterpret_cast<const Vec4Memory*>(p); }
ETUDE_INLINE void store4(float* p, Vec4 v) { *reinterpret_cast<Vec4Memory*>(p) = v; }

// A vector of kLanes / 4 such blocks: block b is loaded from address(b).
template <class Address>
ETUDE_INLINE Vec load_blocks(Address&& address) {
#if defined(ETUDE_LANES)
  Vec v;
  for (int b = 0; b < kLanes / 4; ++b)
    for (int l = 0; l < 4; ++l) v[4 * b + l] = load4(address(b))[l];
  return v;
#elif defined(__AVX512F__)
  const auto half = [&](int b) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(load4(address(b))), load4(address(b + 1)),
                                1);
  };
  return _mm512_insertf32x8(_mm512_castps256_ps512(half(0)), half(2), 1);
#elif defined(__AVX2__)
  return _mm256_insertf128_ps(_mm256_castps128_ps256(load4(address(0))), load4(address(1)), 1);
#else
  return load4(address(0));
#endif
}
// body(b, block b) for each of them.
template <int Block = 0, class Body>
ETUDE_INLINE void for_each_block(Vec v, Body&& body) {
  constexpr int l = 4 * Block;
  body(Block, __builtin_shufflevector(v, v, l, l + 1, l + 2, l + 3));
  if constexpr (l + 4 < kLanes) for_each_block<Block + 1>(v, body);
}

// a b + c, rounded once where the processor has it.
ETUDE_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__) && !defined(ETUDE_LANES)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  for (int i = 0; i < kLanes; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}

ETUDE_INLINE Vec square_root(Vec v) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), v);
#elif defined(__AVX2__) && !defined(ETUDE_LANES)
  return _mm256_sqrt_ps(v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// max(0, v); a NaN stays, because it is not <= 0.
ETUDE_INLINE Vec relu(Vec v) { return v <= Vec{} ? Vec{} : v; }
// `v` where gate > 0 or gate is NaN, else 0: the gradient of relu, given its output.
ETUDE_INLINE Vec relu_gate(Vec gate, Vec v) { return gate <= Vec{} ? Vec{} : v; }

// Whether a comparison holds in at least one lane.
ETUDE_INLINE bool any(IntVec holds) {
  std::int32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= holds[i];
  return bits != 0;
}

// The first n lanes (0 <= n <= kLanes); the rest reads as zero and is not touched in memory.
#if defined(__AVX512F__)
ETUDE_INLINE __mmask16 tail_mask(Index n) { return static_cast<__mmask16>((1u << n) - 1); }
ETUDE_INLINE Vec load_n(const float* p, Index n) { return _mm512_maskz_loadu_ps(tail_mask(n), p); }
ETUDE_INLINE void store_n(float* p, Vec v, Index n) { _mm512_mask_storeu_ps(p, tail_mask(n), v); }
#elif defined(ETUDE_LANES)
ETUDE_INLINE Vec load_n(const float* p, Index n) {
  Vec v{};
  for (Index i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
ETUDE_INLINE void store_n(float* p, Vec v, Index n) {
  for (Index i = 0; i < n; ++i) p[i] = v[i];
}
#else
// The first n < 4 lanes, in steps of two and one.
ETUDE_INLINE Vec4 load4_n(const float* p, Index n) {
  Vec4 v{};
  if (n >= 1) v[0] = p[0];
  if (n >= 2) v[1] = p[1];
  if (n >= 3) v[2] = p[2];
  return v;
}
ETUDE_INLINE void store4_n(float* p, Vec4 v, Index n) {
  if (n >= 1) p[0] = v[0];
  if (n >= 2) p[1] = v[1];
  if (n >= 3) p[2] = v[2];
}
#if defined(__AVX2__)
ETUDE_INLINE Vec load_n(const float* p, Index n) {
  if (n >= kLanes) return load(p);
  const Vec4 low = n >= 4 ? load4(p) : load4_n(p, n);
  const Vec4 high = n >= 4 ? load4_n(p + 4, n - 4) : Vec4{};
  return _mm256_set_m128(high, low);
}
ETUDE_INLINE void store_n(float* p, Vec v, Index n) {
  if (n >= kLanes) return store(p, v);
  const Vec4 low = _mm256_castps256_ps128(v), high = _mm256_extractf128_ps(v, 1);
  if (n < 4) return store4_n(p, low, n);
  store4(p, low);
  store4_n(p + 4, high, n - 4);
}
#else
ETUDE_INLINE Vec load_n(const float* p, Index n) { return n >= kLanes ? load(p) : load4_n(p, n); }
ETUDE_INLINE void store_n(float* p, Vec v, Index n) {
  if (n >= kLanes) return store(p, v);
  store4_n(p, v, n);
}
#endif
#endif

// A byte a lane, for the positions of maxima: the first n of them, n <= kLanes.
ETUDE_INLINE IntVec load_bytes_n(const std::uint8_t* p, Index n) {
#if defined(__AVX512F__)
  // The plain forms of these two intrinsics draw a false warning from GCC 12.
  const __m128i bytes = _mm_maskz_loadu_epi8(tail_mask(n), p);
  return reinterpret_cast<IntVec>(_mm512_maskz_cvtepu8_epi32(tail_mask(n), bytes));
#else
#if defined(__AVX2__) && !defined(ETUDE_LANES)
  if (n == kLanes)
    return reinterpret_cast<IntVec>(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#endif
  IntVec v{};
  for (Index i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}
ETUDE_INLINE void store_bytes_n(std::uint8_t* p, IntVec v, Index n) {
#if defined(__AVX512F__)
  _mm512_mask_cvtepi32_storeu_epi8(p, tail_mask(n), reinterpret_cast<__m512i>(v));
#else
  for (Index i = 0; i < n; ++i) p[i] = static_cast<std::uint8_t>(v[i]);
#endif
}

// How for_each_vector's body touches memory: whole vectors, or the n lanes of the tail.
struct FullAccess {
  static constexpr Index n = kLanes;
  ETUDE_INLINE Vec load(const float* p) const { return ETUDE_BACKEND::load(p); }
  ETUDE_INLINE void store(float* p, Vec v) const { ETUDE_BACKEND::store(p, v); }
};
struct TailAccess {
  Index n;
  ETUDE_INLINE Vec load(const float* p) const { return load_n(p, n); }
  ETUDE_INLINE void store(float* p, Vec v) const { store_n(p, v, n); }
};
// body(i, access) for i = 0, kLanes, ... < n:
//   for_each_vector(n, [&](Index i, auto at) { at.store(y + i, relu(at.load(x + i))); });
template <class Body>
ETUDE_INLINE void for_each_vector(Index n, Body&& body) {
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, FullAccess{});
  if (i < n) body(i, TailAccess{n - i});
}

inline constexpr Index kLine = 16;  // floats of a cache line

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }
constexpr Index min_of(Index a, Index b) { return a < b ? a : b; }
constexpr Index max_of(Index a, Index b) { return a > b ? a : b; }

}  // namespace etude::ETUDE_BACKEND
