// Convolution on the GPU: the one problem that the kernels solve, and who solves it.
#pragma once

#include <string>

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

enum class FilterOrder { channels_inner, outputs_inner };  // what is dense in memory

// A gather convolution. Forward is one; the data gradient is one for each phase of the stride, with
// dy in the role of x. With x = 0 outside the image, for i < p, j < q, o < k:
//
//   y[n, i, j, o] = bias[o] + sum over r, s, c of
//       x[n, i stride_h + r step_h + first_h, j stride_w + s step_w + first_w, c] w[o, r, s, c]
//
// y and w lie in memory as their strides (in elements) say; x is dense [n, h, w, c]. A data
// gradient reads the filter where it lies: its strides exchange the roles of K and C and step over
// the taps of other phases.
struct GatherConv {
  int n, h, w, c;  // x
  int p, q, k;     // outputs
  int r, s;        // taps
  int stride_h, stride_w, step_h, step_w, first_h, first_w;
  Index y_n, y_p, y_q;       // strides of y; its channels are dense
  Index w_k, w_r, w_s, w_c;  // strides of the filter
  FilterOrder order;         // which of w_c and w_k is 1
  int filter_c;              // channels that the filter has: c, or fewer than a padded x has
};

// The forward pass as one. Throws where a count of pixels, an image or the filters do not fit in
// 31 bits: the kernels keep 64 bits for what grows with the batch.
GatherConv gather_forward(const Conv2dShape& p);

// ---- few channels: halo tile and filters in shared memory (conv2d_direct*.cu) ------------------

bool direct_fits(const GatherConv& g);
void direct_gather(Stream s, const GatherConv& g, const float* x, const float* w, const float* bias,
                   bool relu, float* y);

bool direct_filter_fits(const Conv2dShape& p);
std::size_t direct_filter_workspace(const Conv2dShape& p);
void direct_filter(Stream s, const Conv2dShape& p, const float* x, const float* dy, float* dw,
                   float* dbias, void* work);

// ---- all others: implicit matrix products (conv2d_gemm*.cu) -------------------------------------
//
// These move four channels at a time. Tensors whose inner axis is no multiple of 4 are copied
// first, with zeros after each row, and the product runs on the copies.

constexpr Index in_fours(Index channels) { return (channels + 3) / 4 * 4; }

// Rows of channels, the inner axis of a dense tensor.
struct Rows {
  Index count, channels;
};
std::size_t in_fours_workspace(const Rows& rows);  // 0 if the channels are a multiple of 4

// x itself, or if its channels are no multiple of 4 a copy with in_fours(channels) channels: at the
// beginning of `work`, which is moved behind it.
const float* in_fours(Stream s, const Rows& rows, const float* x, void*& work);

// g for such x and w. Outputs keep their number, and their places in y.
GatherConv in_fours(const GatherConv& g);

// g, x and w are in fours.
std::size_t gemm_gather_workspace(const GatherConv& g);
void gemm_gather(Stream s, const GatherConv& g, const float* x, const float* w, const float* bias,
                 bool relu, float* y, void* work);
std::string gemm_gather_plan(const GatherConv& g);  // in words, for the log

// x and dy are in fours; p, dw and dbias are as the caller has them.
std::size_t gemm_filter_workspace(const Conv2dShape& p);
void gemm_filter(Stream s, const Conv2dShape& p, const float* x, const float* dy, float* dw,
                 float* dbias, void* work);
std::string gemm_filter_plan(const Conv2dShape& p);

}  // namespace etude::ETUDE_BACKEND
