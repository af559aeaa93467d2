// Tensor-core instructions as functions, for both compilers: nvcc gets the PTX instruction, the
// emulator the same mathematics.
//
// All 32 lanes of a warp call together. Fragments are arrays of registers, laid out as PTX defines
// them. With g = lane / 4 and t = lane % 4:
//
//   A, 16-bit, 16 x 16:  a[0] (row g,   columns 2t, 2t+1)    a[1] (row g+8, columns 2t, 2t+1)
//                        a[2] (row g,   columns 2t+8, 2t+9)  a[3] (row g+8, columns 2t+8, 2t+9)
//   A, 16-bit, 16 x 8:   a[0], a[1] as above
//   B, 16-bit, 16 x 8:   b[0] (rows 2t, 2t+1, column g)      b[1] (rows 2t+8, 2t+9, column g)
//   B, 16-bit, 8 x 8:    b[0] as above
//   A, tf32, 16 x 8:     a[0] (g, t)   a[1] (g+8, t)   a[2] (g, t+4)   a[3] (g+8, t+4)
//   B, tf32, 8 x 8:      b[0] (t, g)   b[1] (t+4, g)
//   C and D, 16 x 8:     c[0] (g, 2t)  c[1] (g, 2t+1)  c[2] (g+8, 2t)  c[3] (g+8, 2t+1)
//
// A 32-bit register holds two 16-bit numbers, the one with the smaller index in its low half.
//
// D = A B + C, in place: c becomes d. Products are exact and added in float. The order and the
// rounding of the additions inside one instruction differ between GPUs and are not documented: the
// emulator adds the products and c in double and rounds once, to nearest.
//
// Architectures: m16n8k8 of fp16 from sm_75; everything else from sm_80.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#if SIMT_EMULATED
#define SIMT_TENSOR_SITE , ::simt::detail::Site site = ::simt::detail::Site::here()
#else
#define SIMT_TENSOR_SITE
#endif

namespace simt {
#if SIMT_EMULATED
inline namespace emulated {
#else
inline namespace device {
#endif

// To tf32: 10 bits of mantissa, to nearest, ties away from zero. mma_tf32 ignores the other bits.
__device__ inline float to_tf32(float x) {
#if SIMT_EMULATED
  return __float_to_tf32(x);
#else
  std::uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return __uint_as_float(y);
#endif
}

#if SIMT_EMULATED

__device__ inline void mma_m16n8k8_tf32(float (&c)[4], const float (&a)[4],
                                        const float (&b)[2] SIMT_TENSOR_SITE) {
  detail::mma_m16n8k8_tf32(c, a, b, site);
}
__device__ inline void mma_m16n8k16_f16(float (&c)[4], const std::uint32_t (&a)[4],
                                        const std::uint32_t (&b)[2] SIMT_TENSOR_SITE) {
  detail::mma_m16n8k16_f16(c, a, b, site);
}
__device__ inline void mma_m16n8k16_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2] SIMT_TENSOR_SITE) {
  detail::mma_m16n8k16_bf16(c, a, b, site);
}
__device__ inline void mma_m16n8k8_f16(float (&c)[4], const std::uint32_t (&a)[2],
                                       const std::uint32_t (&b)[1] SIMT_TENSOR_SITE) {
  detail::mma_m16n8k8_f16(c, a, b, site);
}

// Loads Count (1, 2, 4) matrices of 8 x 8 16-bit numbers from shared memory: lanes 8i .. 8i+7 pass
// the addresses of the rows of matrix i, 16 bytes each and aligned so; the other lanes' addresses
// are ignored. Lane l gets row l / 4, columns 2 (l % 4) and 2 (l % 4) + 1 of each matrix.
template <int Count>
__device__ inline void ldmatrix(std::uint32_t (&r)[Count], const void* row SIMT_TENSOR_SITE) {
  static_assert(Count == 1 || Count == 2 || Count == 4);
  detail::ldmatrix(r, Count, false, row, site);
}
// The same of each matrix's transpose.
template <int Count>
__device__ inline void ldmatrix_transposed(std::uint32_t (&r)[Count],
                                           const void* row SIMT_TENSOR_SITE) {
  static_assert(Count == 1 || Count == 2 || Count == 4);
  detail::ldmatrix(r, Count, true, row, site);
}

#else

__device__ inline void mma_m16n8k8_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
__device__ inline void mma_m16n8k16_f16(float (&c)[4], const std::uint32_t (&a)[4],
                                        const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_m16n8k16_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_m16n8k8_f16(float (&c)[4], const std::uint32_t (&a)[2],
                                       const std::uint32_t (&b)[1]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

template <int Count>
__device__ inline void ldmatrix(std::uint32_t (&r)[Count], const void* row) {
  static_assert(Count == 1 || Count == 2 || Count == 4);
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (Count == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(r[0])
                 : "r"(address)
                 : "memory");
  } else if constexpr (Count == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
}
template <int Count>
__device__ inline void ldmatrix_transposed(std::uint32_t (&r)[Count], const void* row) {
  static_assert(Count == 1 || Count == 2 || Count == 4);
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (Count == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(r[0])
                 : "r"(address)
                 : "memory");
  } else if constexpr (Count == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
}

#endif

}  // namespace emulated or device
}  // namespace simt

#undef SIMT_TENSOR_SITE
