// A convolution and batch norm in evaluation, as one convolution: with running statistics the norm
// is a factor and a summand a channel,
//
//   y = scale (conv(x, w) + bias - mean) + beta (+ residual) (then ReLU),
//   scale = gamma / sqrt(var + eps),
//
// which the register tiles apply before they store (Epilogue). Scaling the filters instead would
// read and write all of them at each call, or keep copies that have to be made anew whenever a
// weight or a statistic changes. The planar algorithm has no such epilogue, and its layers, of few
// channels, run one kernel after the other.
//
// Bytes: those of the convolution, and of the residual; by itself the norm is two passes more over
// y. Scratch: the factors.
#include "kernels/composed/conv2d_norm.h"

#include <cmath>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv2d_algorithm.h"

namespace etude::ETUDE_BACKEND {
namespace {

std::size_t factor_bytes(const Conv2dShape& p) {
  return (static_cast<std::size_t>(2 * p.k) * sizeof(float) + 63) / 64 * 64;
}

}  // namespace

std::size_t conv2d_norm_forward_workspace(const Conv2dShape& p) {
  return conv2d_algorithm(p, ConvPass::forward) == ConvAlgorithm::planar
             ? composed::conv_norm_forward_workspace(p)
             : factor_bytes(p) + conv2d_forward_workspace(p);
}

void conv2d_norm_forward(Stream s, const Conv2dShape& p, const BatchNormShape& norm, const float* x,
                         const float* w, const float* bias, const float* gamma, const float* beta,
                         const float* running_mean, const float* running_var, const float* residual,
                         float* y, void* work) {
  const ConvAlgorithm algorithm = conv2d_algorithm(p, ConvPass::forward);
  if (algorithm == ConvAlgorithm::planar)
    return composed::conv_norm_forward(s, p, norm, x, w, bias, gamma, beta, running_mean,
                                       running_var, residual, y, work);
  float *const scale = static_cast<float*>(work), *const shift = scale + p.k;
  for (Index k = 0; k < p.k; ++k) {
    const double factor = gamma[k] / std::sqrt(running_var[k] + norm.eps);
    const double centre = bias ? static_cast<double>(bias[k]) - running_mean[k] : -running_mean[k];
    scale[k] = static_cast<float>(factor);
    shift[k] = static_cast<float>(beta[k] + factor * centre);
  }
  const Epilogue then{shift, norm.relu, scale, residual};
  void* const rest = static_cast<char*>(work) + factor_bytes(p);
  if (algorithm == ConvAlgorithm::winograd2)
    winograd_forward<2>(p, x, w, then, y, rest);
  else if (algorithm == ConvAlgorithm::winograd4)
    winograd_forward<4>(p, x, w, then, y, rest);
  else
    gather_forward(p, x, w, then, y, rest);
}

}  // namespace etude::ETUDE_BACKEND
