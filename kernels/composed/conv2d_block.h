// conv2d_block_* (kernels.def) from the back end's own convolution, and convolution with pooling:
// for back ends, and shapes, without a kernel of their own. The first convolution's output lives in
// `work` only and is computed again for the backward pass.
//
// Included by one file of each back end; everything here is in that back end's namespace.
#pragma once

#include "kernels/composed/conv2d_pool.h"

namespace etude::ETUDE_BACKEND {
namespace composed {

inline std::size_t block_forward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  const std::size_t one = conv2d_forward_workspace(first);
  const std::size_t two = conv2d_pool_forward_workspace(second);
  return aligned_bytes(first.y_size()) + (one > two ? one : two);
}

inline void block_forward(Stream s, const Conv2dShape& first, const Conv2dShape& second, const T* x,
                          const T* w1, const T* bias1, const T* w2, const T* bias2, T* y,
                          std::uint8_t* winners, void* work) {
  T* const between = static_cast<T*>(work);
  void* const rest = after(work, aligned_bytes(first.y_size()));
  conv2d_forward(s, first, x, w1, bias1, true, between, rest);
  conv2d_pool_forward(s, second, between, w2, bias2, y, winners, rest);
}

inline std::size_t block_backward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  const std::size_t one = conv2d_forward_workspace(first);
  const std::size_t two = conv2d_pool_backward_workspace(second);
  const std::size_t three = conv2d_backward_filter_workspace(first);
  const std::size_t more = two > three ? two : three;
  return 2 * aligned_bytes(first.y_size()) + (one > more ? one : more);
}

inline void block_backward(Stream s, const Conv2dShape& first, const Conv2dShape& second,
                           const T* x, const T* w1, const T* bias1, const T* w2, const T* y,
                           const std::uint8_t* winners, const T* dy, T* dw1, T* dbias1, T* dw2,
                           T* dbias2, void* work) {
  const std::size_t bytes = aligned_bytes(first.y_size());
  T* const between = static_cast<T*>(work);
  T* const gradient = static_cast<T*>(after(work, bytes));
  void* const rest = after(gradient, bytes);
  conv2d_forward(s, first, x, w1, bias1, true, between, rest);
  conv2d_pool_backward(s, second, between, w2, y, winners, dy, gradient, dw2, dbias2, rest);
  relu_backward(s, first.y_size(), between, gradient, gradient);
  conv2d_backward_filter(s, first, x, gradient, dw1, dbias1, rest);
}

}  // namespace composed
}  // namespace etude::ETUDE_BACKEND
