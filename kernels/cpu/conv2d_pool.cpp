// Convolution, ReLU and 2x2 max-pooling, the full-size output never in memory: a tile of planar
// (planar_strip.h) or Winograd's (winograd.cpp) passes is whole windows, so the forward pass pools
// it before it is written and notes, a byte an element, which tap won; the backward passes read
// these and put the gradient back in its place as they load it. Where another algorithm computes a
// pass of the convolution, the three kernels run one after the other.
#include "kernels/composed/conv2d_pool.h"

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv2d_algorithm.h"

namespace etude::ETUDE_BACKEND {
namespace {

// The planar passes' winners say where the ReLU lets nothing through, too; they belong together.
bool planar(const Conv2dShape& p) {
  const auto planar_pass = [&](ConvPass pass) {
    return conv2d_algorithm(p, pass) == ConvAlgorithm::planar;
  };
  return planar_pass(ConvPass::forward) && planar_pass(ConvPass::backward_data) &&
         planar_pass(ConvPass::backward_filter);
}

bool is_winograd(ConvAlgorithm algorithm) {
  return algorithm == ConvAlgorithm::winograd2 || algorithm == ConvAlgorithm::winograd4;
}
bool winograd_backward(const Conv2dShape& p) {
  return is_winograd(conv2d_algorithm(p, ConvPass::backward_data)) &&
         is_winograd(conv2d_algorithm(p, ConvPass::backward_filter));
}

Index pooled_size(const Conv2dShape& p) { return composed::pooling_of(p).y_size(); }

std::size_t larger(std::size_t a, std::size_t b) { return a > b ? a : b; }

}  // namespace

std::size_t conv2d_pool_forward_workspace(const Conv2dShape& p) {
  if (planar(p)) return planar_forward_workspace(p);
  if (is_winograd(conv2d_algorithm(p, ConvPass::forward))) return conv2d_forward_workspace(p);
  return composed::pool_forward_workspace(p);
}

void conv2d_pool_forward(Stream s, const Conv2dShape& p, const float* x, const float* w,
                         const float* bias, float* y, std::uint8_t* winners, void* work) {
  if (planar(p)) return planar_pool_forward(p, x, w, bias, y, winners, work);
  switch (conv2d_algorithm(p, ConvPass::forward)) {
    case ConvAlgorithm::winograd2:
      return winograd_pool_forward<2>(p, x, w, bias, y, winners, work);
    case ConvAlgorithm::winograd4:
      return winograd_pool_forward<4>(p, x, w, bias, y, winners, work);
    default:
      composed::pool_forward(s, p, x, w, bias, y, winners, work);
  }
}

std::size_t conv2d_pool_backward_workspace(const Conv2dShape& p) {
  if (planar(p))
    return larger(planar_backward_filter_workspace(p), planar_backward_data_workspace(p));
  if (winograd_backward(p))
    return composed::aligned_bytes(pooled_size(p)) +
           larger(conv2d_backward_filter_workspace(p), conv2d_backward_data_workspace(p));
  return composed::pool_backward_workspace(p);
}

void conv2d_pool_backward(Stream s, const Conv2dShape& p, const float* x, const float* w,
                          const float* y, const std::uint8_t* winners, const float* dy, float* dx,
                          float* dw, float* dbias, void* work) {
  if (planar(p)) {
    if (dw) planar_backward_filter(p, x, dy, winners, dw, dbias, work);
    if (dx) planar_backward_data(p, dy, winners, w, dx, work);
    return;
  }
  if (!winograd_backward(p))
    return composed::pool_backward(s, p, x, w, y, winners, dy, dx, dw, dbias, work);
  float* const masked = static_cast<float*>(work);
  void* const rest = composed::after(work, composed::aligned_bytes(pooled_size(p)));
  relu_backward(s, pooled_size(p), y, dy, masked);
  const auto two = [&](ConvPass pass) {
    return conv2d_algorithm(p, pass) == ConvAlgorithm::winograd2;
  };
  if (dw && two(ConvPass::backward_filter))
    winograd_backward_filter<2>(p, x, masked, winners, dw, dbias, rest);
  else if (dw)
    winograd_backward_filter<4>(p, x, masked, winners, dw, dbias, rest);
  if (dx && two(ConvPass::backward_data))
    winograd_backward_data<2>(p, masked, winners, w, dx, rest);
  else if (dx)
    winograd_backward_data<4>(p, masked, winners, w, dx, rest);
}

}  // namespace etude::ETUDE_BACKEND
