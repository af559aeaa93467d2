// batch_norm_pool_* (kernels.def) from the back end's own batch norm, ReLU and pooling: for back
// ends without a kernel of their own. The normalised map lives in `work` only; what is kept for the
// backward pass are the places of the maxima.
//
// Included by one file of each back end; everything here is in that back end's namespace.
#pragma once

#include "kernels/composed/work.h"

namespace etude::ETUDE_BACKEND {
namespace composed {

inline std::size_t norm_pool_kept(const Pool2dShape& d) {
  return static_cast<std::size_t>(d.y_size());
}

inline std::size_t norm_pool_forward_workspace(const BatchNormShape& p) {
  return aligned_bytes(p.size()) + batch_norm_workspace(p);
}

inline void norm_pool_forward(Stream s, const BatchNormShape& p, const Pool2dShape& d, const T* x,
                              const T* gamma, const T* beta, T* running_mean, T* running_var, T* y,
                              T* mean, T* inv_std, void* kept, void* work) {
  T* const full = static_cast<T*>(work);
  batch_norm_forward(s, p, x, gamma, beta, nullptr, running_mean, running_var, full, mean, inv_std,
                     after(work, aligned_bytes(p.size())));
  max_pool2d_forward(s, d, full, y, static_cast<std::uint8_t*>(kept));
}

inline std::size_t norm_pool_backward_workspace(const BatchNormShape& p, const Pool2dShape& d) {
  return aligned_bytes(d.y_size()) + aligned_bytes(p.size()) + batch_norm_workspace(p);
}

// The ReLU may come after the pooling: a maximum that is positive is the same before and after it
// and at the same place, and where none is positive neither lets a gradient through.
inline void norm_pool_backward(Stream s, const BatchNormShape& p, const Pool2dShape& d, const T* x,
                               const T* y, void* kept, const T* dy, const T* gamma, const T* mean,
                               const T* inv_std, T* dx, T* dgamma, T* dbeta, void* work) {
  T* const masked = static_cast<T*>(work);
  T* const full = static_cast<T*>(after(masked, aligned_bytes(d.y_size())));
  BatchNormShape without_relu = p;
  without_relu.relu = false;
  if (p.relu) relu_backward(s, d.y_size(), y, dy, masked);
  max_pool2d_backward(s, d, p.relu ? masked : dy, static_cast<std::uint8_t*>(kept), full);
  batch_norm_backward(s, without_relu, x, nullptr, full, gamma, mean, inv_std, dx, dgamma, dbeta,
                      nullptr, after(full, aligned_bytes(p.size())));
}

}  // namespace composed
}  // namespace etude::ETUDE_BACKEND
