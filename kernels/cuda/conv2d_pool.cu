// Convolution, ReLU and 2x2 max-pooling: the kernels of the three, one after the other.
#include "kernels/conv2d_pool.h"

namespace etude::ETUDE_BACKEND {

std::size_t conv2d_pool_forward_workspace(const Conv2dShape& p) {
  return composed::pool_forward_workspace(p);
}
void conv2d_pool_forward(Stream s, const Conv2dShape& p, const T* x, const T* w, const T* bias,
                         T* y, std::uint8_t* winners, void* work) {
  composed::pool_forward(s, p, x, w, bias, y, winners, work);
}

std::size_t conv2d_pool_backward_workspace(const Conv2dShape& p) {
  return composed::pool_backward_workspace(p);
}
void conv2d_pool_backward(Stream s, const Conv2dShape& p, const T* x, const T* w, const T* y,
                          const std::uint8_t* winners, const T* dy, T* dx, T* dw, T* dbias,
                          void* work) {
  composed::pool_backward(s, p, x, w, y, winners, dy, dx, dw, dbias, work);
}

}  // namespace etude::ETUDE_BACKEND
