// What the two implicit matrix products (conv2d_gemm.cu, conv2d_gemm_filter.cu) have in common.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "kernels/cuda/conv2d.h"

namespace etude::ETUDE_BACKEND {

inline constexpr int kTileDepth = 16;  // terms of the sums that are in shared memory at a time
inline constexpr int kThreadTile = 8;  // a thread has 8 x 8 outputs in registers

// A coordinate that lies outside every image, whatever a tap adds to it.
inline constexpr int kNowhere = -(1 << 30);

// to[0 .. V) = inside ? from[0 .. V) : 0, in shared memory, there after the next
// __pipeline_wait_prior(0) and __syncthreads().
template <int V>
__device__ inline void copy_or_zero(float* to, const float* from, bool inside) {
  static_assert(V == 1 || V == 4);
  constexpr unsigned kBytes = V * sizeof(float);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  // The primitive below takes a constant for the bytes that become zero, so that it would need two
  // copies, one of which runs. A third of the scalar kernels' overhead.
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const unsigned bytes = inside ? kBytes : 0;
  if constexpr (V == 4)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(bytes));
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from),
                 "r"(bytes));
#else
  __pipeline_memcpy_async(to, from, kBytes, inside ? 0 : kBytes);
#endif
}

// ---- places in the gathered matrix: its rows are output pixels, its columns taps and channels
// ----

constexpr Index kFloat = sizeof(float);  // offsets in bytes are added in fewer instructions

// Where the window of an output pixel begins: its place in bytes (perhaps before the image) and its
// coordinates.
struct alignas(16) PixelOrigin {
  Index offset;
  int h, w;
};

// Column (r S + s) C + c.
struct Tap {
  int r, s, c;
};

__device__ inline Tap tap_of(const GatherConv& g, int column) {
  const int tap = column / g.c;
  return {tap / g.s, tap % g.s, column % g.c};
}

// Row (n P + i) Q + j.
struct OutputPixel {
  int n, i, j;
};

__device__ inline OutputPixel pixel_of(const GatherConv& g, int row) {
  const int line = row / g.q;
  return {line / g.p, line % g.p, row % g.q};
}

__device__ inline PixelOrigin origin_of(const GatherConv& g, const OutputPixel& o) {
  const int h = o.i * g.stride_h + g.first_h, w = o.j * g.stride_w + g.first_w;
  return {((static_cast<Index>(o.n) * g.h + h) * g.w + w) * g.c * kFloat, h, w};
}

// Both are numbers of three digits, of which the lower two count to `middle` and `low`: a + by,
// without a division.
template <class Digits>
__device__ inline Digits add(const Digits& a, const Digits& by, int middle, int low) {
  auto [x, y, z] = a;
  const auto [by_x, by_y, by_z] = by;
  x += by_x, y += by_y, z += by_z;
  if (z >= low) z -= low, ++y;
  if (y >= middle) y -= middle, ++x;
  return {x, y, z};
}

__device__ inline bool within(int i, int size) {
  return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

}  // namespace etude::ETUDE_BACKEND
