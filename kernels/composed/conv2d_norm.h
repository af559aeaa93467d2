// conv2d_norm_* (kernels.def) from the back end's own convolution and batch norm: for back ends,
// and shapes, without a kernel of their own.
//
// Included by one file of each back end; everything here is in that back end's namespace.
#pragma once

#include <algorithm>

#include "kernels/composed/work.h"

namespace etude::ETUDE_BACKEND {
namespace composed {

inline std::size_t conv_norm_inference_workspace(const Conv2dShape& p) {
  return aligned_bytes(p.y_size()) + conv2d_forward_workspace(p);
}

inline void conv_norm_inference(Stream s, const Conv2dShape& p, const BatchNormShape& norm,
                                const T* x, const T* w, const T* bias, const T* gamma,
                                const T* beta, const T* running_mean, const T* running_var,
                                const T* residual, T* y, void* work) {
  T* const convolved = static_cast<T*>(work);
  conv2d_forward(s, p, x, w, bias, false, convolved, after(work, aligned_bytes(p.y_size())));
  batch_norm_inference(s, norm, convolved, gamma, beta, residual, running_mean, running_var, y);
}

inline std::size_t conv_norm_forward_workspace(const Conv2dShape& p, const BatchNormShape& norm) {
  return std::max(conv2d_forward_workspace(p), batch_norm_workspace(norm));
}

inline void conv_norm_forward(Stream s, const Conv2dShape& p, const BatchNormShape& norm,
                              const T* x, const T* w, const T* bias, const T* gamma, const T* beta,
                              const T* residual, T* running_mean, T* running_var, T* z, T* y,
                              T* mean, T* inv_std, void* work) {
  conv2d_forward(s, p, x, w, bias, false, z, work);
  batch_norm_forward(s, norm, z, gamma, beta, residual, running_mean, running_var, y, mean, inv_std,
                     work);
}

}  // namespace composed
}  // namespace etude::ETUDE_BACKEND
