// Convolution: each pass by the algorithm that conv2d_algorithm.cpp chooses for its shape.
#include "kernels/cpu/conv2d.h"

#include "kernels/cpu/conv2d_algorithm.h"

namespace etude::ETUDE_BACKEND {

std::size_t conv2d_forward_workspace(const Conv2dShape& p) {
  switch (conv2d_algorithm(p, ConvPass::forward)) {
    case ConvAlgorithm::gather:
      break;
    case ConvAlgorithm::planar:
      return planar_forward_workspace(p);
    case ConvAlgorithm::winograd2:
      return winograd_forward_workspace<2>(p);
    case ConvAlgorithm::winograd4:
      return winograd_forward_workspace<4>(p);
  }
  return gather_forward_workspace(p);
}

void conv2d_forward(Stream, const Conv2dShape& p, const float* x, const float* w, const float* bias,
                    bool relu, float* y, void* work) {
  switch (conv2d_algorithm(p, ConvPass::forward)) {
    case ConvAlgorithm::gather:
      return gather_forward(p, x, w, {bias, relu}, y, work);
    case ConvAlgorithm::planar:
      return planar_forward(p, x, w, bias, relu, y, work);
    case ConvAlgorithm::winograd2:
      return winograd_forward<2>(p, x, w, {bias, relu}, y, work);
    case ConvAlgorithm::winograd4:
      return winograd_forward<4>(p, x, w, {bias, relu}, y, work);
  }
}

std::size_t conv2d_backward_data_workspace(const Conv2dShape& p) {
  switch (conv2d_algorithm(p, ConvPass::backward_data)) {
    case ConvAlgorithm::gather:
      break;
    case ConvAlgorithm::planar:
      return planar_backward_data_workspace(p);
    case ConvAlgorithm::winograd2:
      return winograd_backward_data_workspace<2>(p);
    case ConvAlgorithm::winograd4:
      return winograd_backward_data_workspace<4>(p);
  }
  return gather_backward_data_workspace(p);
}

void conv2d_backward_data(Stream, const Conv2dShape& p, const float* dy, const float* w, float* dx,
                          void* work) {
  switch (conv2d_algorithm(p, ConvPass::backward_data)) {
    case ConvAlgorithm::gather:
      return gather_backward_data(p, dy, w, dx, work);
    case ConvAlgorithm::planar:
      return planar_backward_data(p, dy, nullptr, w, dx, work);
    case ConvAlgorithm::winograd2:
      return winograd_backward_data<2>(p, dy, nullptr, w, dx, work);
    case ConvAlgorithm::winograd4:
      return winograd_backward_data<4>(p, dy, nullptr, w, dx, work);
  }
}

std::size_t conv2d_backward_filter_workspace(const Conv2dShape& p) {
  switch (conv2d_algorithm(p, ConvPass::backward_filter)) {
    case ConvAlgorithm::gather:
      break;
    case ConvAlgorithm::planar:
      return planar_backward_filter_workspace(p);
    case ConvAlgorithm::winograd2:
      return winograd_backward_filter_workspace<2>(p);
    case ConvAlgorithm::winograd4:
      return winograd_backward_filter_workspace<4>(p);
  }
  return gather_backward_filter_workspace(p);
}

void conv2d_backward_filter(Stream, const Conv2dShape& p, const float* x, const float* dy,
                            float* dw, float* dbias, void* work) {
  switch (conv2d_algorithm(p, ConvPass::backward_filter)) {
    case ConvAlgorithm::gather:
      return gather_backward_filter(p, x, dy, dw, dbias, work);
    case ConvAlgorithm::planar:
      return planar_backward_filter(p, x, dy, nullptr, dw, dbias, work);
    case ConvAlgorithm::winograd2:
      return winograd_backward_filter<2>(p, x, dy, nullptr, dw, dbias, work);
    case ConvAlgorithm::winograd4:
      return winograd_backward_filter<4>(p, x, dy, nullptr, dw, dbias, work);
  }
}

}  // namespace etude::ETUDE_BACKEND
