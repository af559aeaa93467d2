// What the direct convolutions share: a tile of activations in shared memory, channel by channel.
//
// Activations are NHWC in global memory. In shared memory each channel has a plane of its own, so
// that the inputs of four neighbouring outputs are one 128-bit load whatever the number of
// channels. With a stride, the rows and columns of a plane are dealt out by their remainder: what
// neighbouring outputs read for the same tap are neighbours, as without a stride.
//
//   element (row a, column b) of a plane lies at
//   ((a % stride_h) phase_rows + a / stride_h) pitch + (b % stride_w) phase_pitch + b / stride_w
//
// Four-byte cp.async does the transposition on the way: neighbouring lanes copy neighbouring
// elements of a row of x (so a request touches no more sectors than its bytes fill, but for the
// row's ends), each to its plane; nothing passes through registers and a whole tile is in flight.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "kernels/cuda/conv2d.h"

namespace etude::ETUDE_BACKEND {
namespace {  // each .cu file has its own

struct PlanarTile {
  int log_tw, log_th, images;  // outputs: images x th x tw
  int stride_h, stride_w;
  int rows, cols;  // inputs of one image that are filled in
  int used_cols;   // those that an output reads; the rest are zeros
  int phase_rows, phase_pitch, pitch;
  int image, plane;  // elements from one image, and from one channel, to the next
};

// How 2^log_pixels outputs of a block lie: th x tw of each of some images.
struct TileChoice {
  int log_tw, log_th, images;
  int tiles_p, tiles_q;
  Index count;       // tiles in all
  bool full_enough;  // an image fills a quarter of its tiles: false for 1x1 images
};

inline int log2_up(int n) {
  int log = 0;
  while (1 << log < n) ++log;
  return log;
}

// The shape that needs the fewest tiles; of those the least empty, then the widest.
inline TileChoice choose_tile(int n, int p, int q, int log_pixels) {
  TileChoice best{};
  Index best_covered = 0;
  for (int tw = 5; tw >= 2; --tw) {
    // Narrow tiles need eight rows of one image to keep out of each other's banks.
    const int th = min_of(log_pixels - tw, max_of(log2_up(p), tw == 5 ? 0 : 3));
    const int images = 1 << (log_pixels - tw - th);
    const int tiles_p = ceil_div(p, 1 << th), tiles_q = ceil_div(q, 1 << tw);
    const Index count = Index{tiles_p} * tiles_q * ceil_div(n, images);
    const Index covered = Index{tiles_p} * tiles_q << (tw + th);  // of one image
    if (best.count != 0 && (count > best.count || (count == best.count && covered >= best_covered)))
      continue;
    best = {tw, th, images, tiles_p, tiles_q, count, 4 * Index{p} * q >= covered};
    best_covered = covered;
  }
  return best;
}

// Taps along the width are worked off in runs: those of one phase of the stride whose columns fill
// an aligned group of four (`tap_quads` groups a phase). Tap s reads column s step of the input;
// this is its place in the runs, phase after phase.
__host__ __device__ inline int column_of_tap(const GatherConv& g, int tap_quads, int s) {
  const int column = s * g.step_w;
  return column % g.stride_w * 4 * tap_quads + column / g.stride_w;
}

// The tile of x. A thread reads eight columns for the four outputs of a run.
inline PlanarTile planar_tile(const TileChoice& tiles, const GatherConv& g, int tap_quads,
                              int channels) {
  PlanarTile t{};
  const int tw = 1 << tiles.log_tw, th = 1 << tiles.log_th;
  t.log_tw = tiles.log_tw, t.log_th = tiles.log_th, t.images = tiles.images;
  t.stride_h = g.stride_h, t.stride_w = g.stride_w;
  t.rows = (th - 1) * g.stride_h + (g.r - 1) * g.step_h + 1;
  t.used_cols = (tw - 1) * g.stride_w + (g.s - 1) * g.step_w + 1;
  t.cols = g.stride_w * (tw + 4 * tap_quads);
  t.phase_rows = th + (g.r - 1) * g.step_h / g.stride_h;
  t.phase_pitch = tw + 4 * tap_quads;
  t.pitch = g.stride_w * t.phase_pitch;
  // An odd number of 16-byte words a row keeps the rows that a quarter warp reads in different
  // banks (see Place); with tw = 32 it reads one row.
  if (t.pitch / 4 % 2 == 0 && tw < 32) t.pitch += 4;
  t.image = g.stride_h * t.phase_rows * t.pitch;
  // Neighbouring lanes fill neighbouring channels: spread the planes over the banks.
  const int spread = ceil_div(ceil_div(32, channels), 4) * 4;
  t.plane = t.images * t.image;
  t.plane += (spread - t.plane % 32 + 32) % 32;
  return t;
}

// Of a row of outputs (of all images of the tile): its first input.
__host__ __device__ inline int row_at(const PlanarTile& t, int row) {
  return (row >> t.log_th) * t.image + (row & ((1 << t.log_th) - 1)) * t.pitch;
}

// Thread t's four outputs: `quad` along the width in `row`. The eight lanes that shared memory
// serves at once read rows tw / 4 apart, which lie in different banks.
struct Place {
  int row, quad;
};
__device__ inline Place place_of(int t, int log_tw) {
  const int log_quads = log_tw - 2, quads = 1 << log_quads;
  const int low = t & 7, high = t >> 3;
  return {(low >> log_quads) * quads + (high & (quads - 1)) + (high >> log_quads) * 8,
          low & (quads - 1)};
}

// Starts copying channels [c0, c0 + channels) of images n0... to `tile`, from row h0 and column w0
// on, with zeros outside the image; all threads of the block take part. A warp fills rows, a lane
// the same column and channel in each of them.
template <bool kStrided>
__device__ inline void load_tile(const PlanarTile& t, float* tile, const float* x, int n, int h,
                                 int w, int c, int n0, int h0, int w0, int c0, int channels) {
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int each = ceil_div(t.rows, warps);
  const int first = min_of(warp * each, t.rows), last = min_of(first + each, t.rows);
  const int phase_size = t.phase_rows * t.pitch;
  const int first_phase = kStrided ? first % t.stride_h : 0;
  const int first_at =
      kStrided ? first_phase * phase_size + first / t.stride_h * t.pitch : first * t.pitch;
  const Index row_size = Index{w} * c;
  for (int image = 0; image < t.images; ++image) {
    const bool there = n0 + image < n;
    const float* const row0 = x + (Index{n0 + image} * h + h0) * row_size + c0;
    int col = lane / channels, channel = lane % channels;
    const int next_col = 32 / channels, next_channel = 32 % channels;
    while (col < t.cols) {
      const int v = w0 + col;
      const bool inside = there && v >= 0 && v < w && col < t.used_cols;
      // Rows [top, bottom) come from x.
      const int top = inside ? max_of(first, min_of(-h0, last)) : last;
      const int bottom = max_of(top, min_of(h - h0, last));
      float* const to = tile + image * t.image + channel * t.plane +
                        (kStrided ? col % t.stride_w * t.phase_pitch + col / t.stride_w : col);
      int at = first_at, phase = first_phase, row = first;
      const auto next_row = [&] {
        ++row;
        if constexpr (kStrided) {
          at += phase_size;
          if (++phase == t.stride_h) phase = 0, at += t.pitch - t.stride_h * phase_size;
        } else {
          at += t.pitch;
        }
      };
      for (; row < top; next_row()) to[at] = 0;
      const float* from = row0 + row * row_size + Index{v} * c + channel;
#pragma unroll 4
      for (; row < bottom; next_row()) {
        __pipeline_memcpy_async(to + at, from, 4);
        from += row_size;
      }
      for (; row < last; next_row()) to[at] = 0;
      col += next_col, channel += next_channel;
      if (channel >= channels) channel -= channels, ++col;
    }
  }
}

}  // namespace
}  // namespace etude::ETUDE_BACKEND
