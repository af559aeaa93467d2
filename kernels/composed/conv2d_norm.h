// conv2d_norm_* (kernels.def) from the back end's own convolution and batch norm: for back ends,
// and shapes, without a kernel of their own.
//
// Included by one file of each back end; everything here is in that back end's namespace.
#pragma once

#include "kernels/composed/work.h"

namespace etude::ETUDE_BACKEND {
namespace composed {

inline std::size_t conv_norm_forward_workspace(const Conv2dShape& p) {
  return aligned_bytes(p.y_size()) + conv2d_forward_workspace(p);
}

inline void conv_norm_forward(Stream s, const Conv2dShape& p, const BatchNormShape& norm,
                              const T* x, const T* w, const T* bias, const T* gamma, const T* beta,
                              const T* running_mean, const T* running_var, const T* residual, T* y,
                              void* work) {
  T* const convolved = static_cast<T*>(work);
  conv2d_forward(s, p, x, w, bias, false, convolved, after(work, aligned_bytes(p.y_size())));
  batch_norm_inference(s, norm, convolved, gamma, beta, residual, running_mean, running_var, y);
}

}  // namespace composed
}  // namespace etude::ETUDE_BACKEND
