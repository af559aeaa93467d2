// What the two implicit matrix products (conv2d_gemm.cu, conv2d_gemm_filter.cu) have in common.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "kernels/cuda/conv2d.h"

namespace etude::ETUDE_BACKEND {

inline constexpr int kTileDepth = 16;  // terms of the sums that are in shared memory at a time
inline constexpr int kThreadTile = 8;  // a thread has 8 x 8 outputs in registers

// A coordinate that lies outside every image, whatever a tap adds to it.
inline constexpr int kNowhere = -(1 << 30);

// to[0 .. 4) = inside ? from[0 .. 4) : 0, in shared memory, there after the next
// __pipeline_wait_prior(0) and __syncthreads().
__device__ inline void copy_or_zero(float* to, const float* from, bool inside) {
  constexpr unsigned kBytes = 4 * sizeof(float);
  __pipeline_memcpy_async(to, from, kBytes, inside ? 0 : kBytes);  // else it reads nothing
}

// How many slices to cut the sums of `tiles` tiles into, each of `steps` steps. Two warps for each
// of the about 528 schedulers of the large GPUs keep their arithmetic busy, one nearly; more for
// the smaller ones changes little. With too few steps a slice would spend its time on filling the
// buffers and on its partial sums.
constexpr int kEnoughWarps = 1024, kLeastSteps = 8;

inline int slices_for(Index tiles, int tile_elements, int steps) {
  const Index warps = tiles * tile_elements / (kThreadTile * kThreadTile * 32);
  if (warps >= kEnoughWarps / 2) return 1;
  return static_cast<int>(
      max_of<Index>(1, min_of<Index>(kEnoughWarps / max_of<Index>(1, warps), steps / kLeastSteps)));
}

// ---- places in the gathered matrix: rows are output pixels, columns taps and channels ----------

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

// A record of 16 bytes from or to shared memory in one access.
template <class Record>
__device__ inline Record load_record(const Record& from) {
  static_assert(sizeof(Record) == 16 && alignof(Record) == 16);
  const int4 bits = reinterpret_cast<const int4&>(from);
  return reinterpret_cast<const Record&>(bits);
}
template <class Record>
__device__ inline void store_record(Record& to, const Record& from) {
  static_assert(sizeof(Record) == 16 && alignof(Record) == 16);
  reinterpret_cast<int4&>(to) = reinterpret_cast<const int4&>(from);
}

__device__ inline bool within(int i, int size) {
  return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

}  // namespace etude::ETUDE_BACKEND
