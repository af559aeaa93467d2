// Two convolutions with ReLU and 2x2 max-pooling: the kernels of these, one after the other.
#include "kernels/conv2d_block.h"

namespace etude::ETUDE_BACKEND {

std::size_t conv2d_block_forward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  return composed::block_forward_workspace(first, second);
}
void conv2d_block_forward(Stream s, const Conv2dShape& first, const Conv2dShape& second, const T* x,
                          const T* w1, const T* bias1, const T* w2, const T* bias2, T* y,
                          std::uint8_t* winners, void* work) {
  composed::block_forward(s, first, second, x, w1, bias1, w2, bias2, y, winners, work);
}

std::size_t conv2d_block_backward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  return composed::block_backward_workspace(first, second);
}
void conv2d_block_backward(Stream s, const Conv2dShape& first, const Conv2dShape& second,
                           const T* x, const T* w1, const T* bias1, const T* w2, const T* y,
                           const std::uint8_t* winners, const T* dy, T* dw1, T* dbias1, T* dw2,
                           T* dbias2, void* work) {
  composed::block_backward(s, first, second, x, w1, bias1, w2, y, winners, dy, dw1, dbias1, dw2,
                           dbias2, work);
}

}  // namespace etude::ETUDE_BACKEND
