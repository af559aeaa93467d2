// Copies of tensors with their channels, the inner axis, rounded up to a multiple of 4:
//
//   to[row][c] = c < C ? from[row][c] : 0,   c < C4 = ceil(C / 4) 4
//
// for the implicit matrix products, which move four channels at a time. Zeros add nothing to a sum,
// but for a product's shape: the channels that are added cost as much as others (1 of 20 for
// C = 19, 3 of 20 for 17).
//
// Mapping: a block copies whole rows, as many as have about 1024 elements, its threads neighbouring
// elements. No shared memory. Bytes: 4 rows (C + C4), each once: bound by memory. A product of 3x3
// taps moves about as much, and is bound by arithmetic. Deterministic: nothing is added up.
#include "kernels/cuda/conv2d.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 4 * kThreads;  // elements of a block, or one row

__global__ void __launch_bounds__(kThreads)
    conv2d_pad_channels(int rows, int rows_each, int channels, int padded,
                        const float* __restrict__ from, float* __restrict__ to) {
  const int first = static_cast<int>(blockIdx.x) * rows_each;
  const int size = min_of(rows_each, rows - first) * padded;
  from += static_cast<Index>(first) * channels;
  to += static_cast<Index>(first) * padded;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < size; i += kThreads) {
    const int row = i / padded, c = i - row * padded;
    to[i] = c < channels ? from[row * channels + c] : 0;
  }
}

}  // namespace

std::size_t in_fours_workspace(const Rows& rows) {
  if (rows.channels % 4 == 0) return 0;
  // What comes behind it is aligned as a tensor is.
  const std::size_t bytes =
      static_cast<std::size_t>(rows.count * in_fours(rows.channels)) * sizeof(float);
  return ceil_div<std::size_t>(bytes, 64) * 64;
}

const float* in_fours(Stream s, const Rows& rows, const float* x, void*& work) {
  if (rows.channels % 4 == 0) return x;
  float* const copy = static_cast<float*>(work);
  work = static_cast<char*>(work) + in_fours_workspace(rows);
  const int padded = static_cast<int>(in_fours(rows.channels));
  const int rows_each = max_of(1, kTile / padded);
  ETUDE_CUDA(
      launch({.grid = grid_for(rows.count, rows_each), .block = kThreads, .stream = stream_of(s)},
             conv2d_pad_channels, static_cast<int>(rows.count), rows_each,
             static_cast<int>(rows.channels), padded, x, copy));
  return copy;
}

GatherConv in_fours(const GatherConv& g) {
  GatherConv padded = g;
  padded.c = static_cast<int>(in_fours(Index{g.c}));
  // The filter's strides are multiples of its inner axis, but for the one along that axis.
  const bool channels_inner = g.order == FilterOrder::channels_inner;
  const Index inner = channels_inner ? g.c : g.k;
  const auto stretch = [&](Index stride) { return stride / inner * in_fours(inner); };
  if (channels_inner) padded.filter_c = padded.c;
  padded.w_k = channels_inner ? stretch(g.w_k) : 1;
  padded.w_c = channels_inner ? 1 : stretch(g.w_c);
  padded.w_r = stretch(g.w_r), padded.w_s = stretch(g.w_s);
  return padded;
}

}  // namespace etude::ETUDE_BACKEND
