// Convolution on the GPU: the one problem that the kernels solve, and who solves it.
#pragma once

#include <string>

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

// A gather convolution. Forward is one; the data gradient is one for each phase of the stride, with
// dy in the role of x. With x = 0 outside the image, for i < p, j < q, o < k:
//
//   y[n, i, j, o] = bias[o] + sum over r, s, c of
//       x[n, i stride_h + r step_h + first_h, j stride_w + s step_w + first_w, c] w[o, r, s, c]
//
// y and w lie in memory as their strides (in elements) say; x is dense [n, h, w, c]. A data
// gradient reads the filter where it lies: its strides exchange the roles of K and C and walk the
// taps backwards.
struct GatherConv {
  int n, h, w, c;  // x
  int p, q, k;     // outputs
  int r, s;        // taps
  int stride_h, stride_w, step_h, step_w, first_h, first_w;
  Index y_n, y_p, y_q;       // strides of y; its channels are dense
  Index w_k, w_r, w_s, w_c;  // strides of the filter
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

std::size_t gemm_gather_workspace(const GatherConv& g);
void gemm_gather(Stream s, const GatherConv& g, const float* x, const float* w, const float* bias,
                 bool relu, float* y, void* work);
std::string gemm_gather_plan(const GatherConv& g);  // in words, for the log

std::size_t gemm_filter_workspace(const Conv2dShape& p);
void gemm_filter(Stream s, const Conv2dShape& p, const float* x, const float* dy, float* dw,
                 float* dbias, void* work);
std::string gemm_filter_plan(const Conv2dShape& p);

}  // namespace etude::ETUDE_BACKEND
