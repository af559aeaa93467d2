// dim3, float4 and their kin, with the alignment CUDA gives them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simt::cuda {

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

}  // namespace simt::cuda

namespace simt::detail {
template <std::size_t Bytes>
struct Word;
template <>
struct Word<2> {
  typedef std::uint16_t Type __attribute__((may_alias));
};
template <>
struct Word<4> {
  typedef std::uint32_t Type __attribute__((may_alias));
};
template <>
struct Word<8> {
  typedef std::uint64_t Type __attribute__((may_alias));
};
template <>
struct Word<16> {
  typedef unsigned Type __attribute__((vector_size(16), may_alias));
};
}  // namespace simt::detail

// The plain build has trivial aggregates, which the compiler splits into scalars as it likes. The
// counting build must see one 16-byte access for one float4, as a GPU does, so there a copy is
// one load and one store of the whole. The types then differ between the two builds, and so do
// their names, lest objects of both be linked together.
#if SIMT_COUNTING
#define SIMT_VECTOR_BUILD inline namespace counting
#define SIMT_VECTOR_COPY(Name, Bytes)                                 \
  Name() = default;                                                   \
  Name(const Name& from) { copy(from); }                              \
  Name& operator=(const Name& from) {                                 \
    copy(from);                                                       \
    return *this;                                                     \
  }                                                                   \
  __attribute__((always_inline)) void copy(const Name& from) {        \
    using W = ::simt::detail::Word<Bytes>::Type;                      \
    *reinterpret_cast<W*>(this) = *reinterpret_cast<const W*>(&from); \
  }
#define SIMT_VECTOR_INIT2(Name, T) \
  constexpr Name(T x_, T y_) : x(x_), y(y_) {}
#define SIMT_VECTOR_INIT4(Name, T) \
  constexpr Name(T x_, T y_, T z_, T w_) : x(x_), y(y_), z(z_), w(w_) {}
#else
#define SIMT_VECTOR_BUILD inline namespace plain
#define SIMT_VECTOR_COPY(Name, Bytes)
#define SIMT_VECTOR_INIT2(Name, T)
#define SIMT_VECTOR_INIT4(Name, T)
#endif

#define SIMT_VECTOR_NO_COPY(Name, Bytes)
#define SIMT_VECTOR_NO_INIT(Name, T)

// base1, base2, base4 and make_base1(), ...; COPY4 and INIT4 say how the widest is copied and made.
#define SIMT_VECTOR_FAMILY(T, base, align2, align4, COPY4, INIT4) \
  struct base##1 {                                                \
    T x;                                                          \
  };                                                              \
  struct alignas(align2) base##2 {                                \
    T x, y;                                                       \
    SIMT_VECTOR_COPY(base##2, 2 * sizeof(T))                      \
    SIMT_VECTOR_INIT2(base##2, T)                                 \
  };                                                              \
  struct alignas(align4) base##4 {                                \
    T x, y, z, w;                                                 \
    COPY4(base##4, 4 * sizeof(T))                                 \
    INIT4(base##4, T)                                             \
  };                                                              \
  inline base##1 make_##base##1(T x) { return {x}; }              \
  inline base##2 make_##base##2(T x, T y) { return {x, y}; }      \
  inline base##4 make_##base##4(T x, T y, T z, T w) { return {x, y, z, w}; }

#define SIMT_VECTOR_UPTO4BYTES(T, base, align2, align4) \
  SIMT_VECTOR_FAMILY(T, base, align2, align4, SIMT_VECTOR_COPY, SIMT_VECTOR_INIT4)
// 32 bytes: two accesses on a GPU too.
#define SIMT_VECTOR_8BYTES(T, base) \
  SIMT_VECTOR_FAMILY(T, base, 16, 16, SIMT_VECTOR_NO_COPY, SIMT_VECTOR_NO_INIT)

#define SIMT_VECTOR3(T, base) \
  struct base##3 {            \
    T x, y, z;                \
  };                          \
  inline base##3 make_##base##3(T x, T y, T z) { return {x, y, z}; }

namespace simt::cuda {

inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }

using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned;
using ulong = unsigned long;
using longlong = long long;
using ulonglong = unsigned long long;

SIMT_VECTOR_BUILD {
  SIMT_VECTOR_UPTO4BYTES(signed char, char, 2, 4)
  SIMT_VECTOR_UPTO4BYTES(unsigned char, uchar, 2, 4)
  SIMT_VECTOR_UPTO4BYTES(short, short, 4, 8)
  SIMT_VECTOR_UPTO4BYTES(unsigned short, ushort, 4, 8)
  SIMT_VECTOR_UPTO4BYTES(int, int, 8, 16)
  SIMT_VECTOR_UPTO4BYTES(unsigned, uint, 8, 16)
  SIMT_VECTOR_UPTO4BYTES(float, float, 8, 16)
  SIMT_VECTOR_8BYTES(long, long)
  SIMT_VECTOR_8BYTES(unsigned long, ulong)
  SIMT_VECTOR_8BYTES(long long, longlong)
  SIMT_VECTOR_8BYTES(unsigned long long, ulonglong)
  SIMT_VECTOR_8BYTES(double, double)
  SIMT_VECTOR3(signed char, char)
  SIMT_VECTOR3(unsigned char, uchar)
  SIMT_VECTOR3(short, short)
  SIMT_VECTOR3(unsigned short, ushort)
  SIMT_VECTOR3(int, int)
  SIMT_VECTOR3(long long, longlong)
  SIMT_VECTOR3(unsigned long long, ulonglong)
  SIMT_VECTOR3(float, float)
  SIMT_VECTOR3(double, double)
}

}  // namespace simt::cuda

#undef SIMT_VECTOR_BUILD
#undef SIMT_VECTOR_COPY
#undef SIMT_VECTOR_INIT2
#undef SIMT_VECTOR_INIT4
#undef SIMT_VECTOR_NO_COPY
#undef SIMT_VECTOR_NO_INIT
#undef SIMT_VECTOR_FAMILY
#undef SIMT_VECTOR_UPTO4BYTES
#undef SIMT_VECTOR_8BYTES
#undef SIMT_VECTOR3
