// conv2d_pool_* (kernels.def) from the back end's own convolution, ReLU and pooling: for back ends,
// and shapes, without a kernel of their own. The convolution's full-size output lives in `work`
// only, so nothing of its size is kept for the backward pass.
//
// The ReLU may come after the pooling: a maximum that is positive is the same before and after it
// and at the same place, and where none is positive neither lets a gradient through.
//
// Included by one file of each back end; everything here is in that back end's namespace.
#pragma once

#include "kernels/composed/work.h"

namespace etude::ETUDE_BACKEND {
namespace composed {

inline Pool2dShape pooling_of(const Conv2dShape& p) { return {p.n, p.p(), p.q(), p.k, 2, 2, 2, 2}; }

inline std::size_t pool_forward_workspace(const Conv2dShape& p) {
  return aligned_bytes(p.y_size()) + conv2d_forward_workspace(p);
}

inline void pool_forward(Stream s, const Conv2dShape& p, const T* x, const T* w, const T* bias,
                         T* y, std::uint8_t* winners, void* work) {
  T* const full = static_cast<T*>(work);
  conv2d_forward(s, p, x, w, bias, true, full, after(work, aligned_bytes(p.y_size())));
  max_pool2d_forward(s, pooling_of(p), full, y, winners);
}

inline std::size_t pool_backward_workspace(const Conv2dShape& p) {
  const std::size_t filter = conv2d_backward_filter_workspace(p);
  const std::size_t data = conv2d_backward_data_workspace(p);
  return aligned_bytes(pooling_of(p).y_size()) + aligned_bytes(p.y_size()) +
         (filter > data ? filter : data);
}

inline void pool_backward(Stream s, const Conv2dShape& p, const T* x, const T* w, const T* y,
                          const std::uint8_t* winners, const T* dy, T* dx, T* dw, T* dbias,
                          void* work) {
  const Pool2dShape pooling = pooling_of(p);
  T* const masked = static_cast<T*>(work);
  T* const full = static_cast<T*>(after(work, aligned_bytes(pooling.y_size())));
  void* const rest = after(full, aligned_bytes(p.y_size()));
  relu_backward(s, pooling.y_size(), y, dy, masked);
  max_pool2d_backward(s, pooling, masked, winners, full);
  if (dw) conv2d_backward_filter(s, p, x, full, dw, dbias, rest);
  if (dx) conv2d_backward_data(s, p, full, w, dx, rest);
}

}  // namespace composed
}  // namespace etude::ETUDE_BACKEND
