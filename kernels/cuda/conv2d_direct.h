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
  int rows, cols;    // inputs of one image that are filled in
  int used_cols;     // those that an output reads; the rest are zeros
  int phase_rows, phase_pitch, pitch;
  int image, plane;  // elements from one image, and from one channel, to the next
};

// The tile of x for th x tw outputs of `images` images. Each thread reads for its four outputs
// `tap_quads` aligned groups of four columns beyond the first, in each of the stride's phases, or
// (unit) six columns in all.
inline PlanarTile planar_tile(int log_tw, int log_th, int images, int r, int s, int stride_h,
                              int stride_w, int step_h, int step_w, int tap_quads, bool unit,
                              int channels) {
  PlanarTile t{};
  const int tw = 1 << log_tw, th = 1 << log_th;
  t.log_tw = log_tw, t.log_th = log_th, t.images = images;
  t.stride_h = stride_h, t.stride_w = stride_w;
  t.rows = (th - 1) * stride_h + (r - 1) * step_h + 1;
  t.used_cols = (tw - 1) * stride_w + (s - 1) * step_w + 1;
  t.cols = unit ? tw + s - 1 : stride_w * (tw + 4 * tap_quads);
  t.phase_rows = th + (r - 1) * step_h / stride_h;
  t.phase_pitch = tw + 4 * tap_quads;
  t.pitch = stride_w * t.phase_pitch;
  // An odd number of 16-byte words a row keeps the rows that a quarter warp reads in different
  // banks (see Place); with tw = 32 it reads one row.
  if (t.pitch / 4 % 2 == 0 && tw < 32) t.pitch += 4;
  t.image = stride_h * t.phase_rows * t.pitch;
  // Neighbouring lanes fill neighbouring channels: spread the planes over the banks.
  const int spread = ceil_div(ceil_div(32, channels), 4) * 4;
  t.plane = images * t.image;
  t.plane += (spread - t.plane % 32 + 32) % 32;
  return t;
}

// The four outputs of thread t of 64: `quad` along the width in `row` of 256 / tw rows. The eight
// lanes that shared memory serves at once read rows tw / 4 apart, which lie in different banks.
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
