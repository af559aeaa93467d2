// Convolution, ReLU and 2x2 max-pooling. Where all passes of the convolution are planar they are
// one pass over memory each: the forward pass pools four products' pixels in registers and writes a
// quarter of the output and one byte an element, the backward passes read these and put the
// gradient back in its place as they load it. Elsewhere the three kernels run one after the other.
#include "kernels/conv2d_pool.h"

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv2d_algorithm.h"

namespace etude::ETUDE_BACKEND {
namespace {

bool planar(const Conv2dShape& p) {
  const auto planar_pass = [&](ConvPass pass) {
    return conv2d_algorithm(p, pass) == ConvAlgorithm::planar;
  };
  return planar_pass(ConvPass::forward) && planar_pass(ConvPass::backward_data) &&
         planar_pass(ConvPass::backward_filter);
}

}  // namespace

std::size_t conv2d_pool_forward_workspace(const Conv2dShape& p) {
  return planar(p) ? planar_forward_workspace(p) : composed::pool_forward_workspace(p);
}

void conv2d_pool_forward(Stream s, const Conv2dShape& p, const float* x, const float* w,
                         const float* bias, float* y, std::uint8_t* winners, void* work) {
  if (planar(p))
    planar_pool_forward(p, x, w, bias, y, winners, work);
  else
    composed::pool_forward(s, p, x, w, bias, y, winners, work);
}

std::size_t conv2d_pool_backward_workspace(const Conv2dShape& p) {
  if (!planar(p)) return composed::pool_backward_workspace(p);
  const std::size_t filter = planar_backward_filter_workspace(p);
  const std::size_t data = planar_backward_data_workspace(p);
  return filter > data ? filter : data;
}

void conv2d_pool_backward(Stream s, const Conv2dShape& p, const float* x, const float* w,
                          const float* y, const std::uint8_t* winners, const float* dy, float* dx,
                          float* dw, float* dbias, void* work) {
  if (!planar(p)) return composed::pool_backward(s, p, x, w, y, winners, dy, dx, dw, dbias, work);
  if (dw) planar_backward_filter(p, x, dy, winners, dw, dbias, work);
  if (dx) planar_backward_data(p, dy, winners, w, dx, work);
}

}  // namespace etude::ETUDE_BACKEND
