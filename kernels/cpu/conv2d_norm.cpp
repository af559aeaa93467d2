// A convolution and batch norm.
//
// Evaluation: as one convolution. With running statistics the norm is a factor and a summand a
// channel,
//
//   y = scale (conv(x, w) + bias - mean) + beta (+ residual) (then ReLU),
//   scale = gamma / sqrt(var + eps),
//
// which the register tiles apply before they store (Epilogue). Scaling the filters instead would
// read and write all of them at each call, or keep copies that have to be made anew whenever a
// weight or a statistic changes. Bytes: those of the convolution, and of the residual; by itself
// the norm is two passes more over y. Scratch: the factors.
//
// Training: the tasks of the convolution leave the statistics of what they computed
// (output_statistics.h), so that batch norm is one pass, that which makes y of z. Bytes: those of
// the convolution, z read and y written; by itself the norm reads z twice. Scratch: the parts.
//
// The planar algorithm has neither, and its layers, of few channels, run one kernel after the
// other.
#include "kernels/composed/conv2d_norm.h"

#include <cmath>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv2d_algorithm.h"
#include "kernels/cpu/output_statistics.h"

namespace etude::ETUDE_BACKEND {
namespace {

using composed::after;
using composed::aligned_bytes;

void convolve(ConvAlgorithm algorithm, const Conv2dShape& p, const float* x, const float* w,
              const Epilogue& then, float* y, void* work) {
  if (algorithm == ConvAlgorithm::winograd2)
    winograd_forward<2>(p, x, w, then, y, work);
  else if (algorithm == ConvAlgorithm::winograd4)
    winograd_forward<4>(p, x, w, then, y, work);
  else
    gather_forward(p, x, w, then, y, work);
}

Index statistics_parts(ConvAlgorithm algorithm, const Conv2dShape& p) {
  return algorithm == ConvAlgorithm::winograd2   ? winograd_statistics_parts<2>(p)
         : algorithm == ConvAlgorithm::winograd4 ? winograd_statistics_parts<4>(p)
                                                 : gather_statistics_parts(p);
}

}  // namespace

std::size_t conv2d_norm_inference_workspace(const Conv2dShape& p) {
  return conv2d_algorithm(p, ConvPass::forward) == ConvAlgorithm::planar
             ? composed::conv_norm_inference_workspace(p)
             : aligned_bytes(2 * p.k) + conv2d_forward_workspace(p);
}

void conv2d_norm_inference(Stream s, const Conv2dShape& p, const BatchNormShape& norm,
                           const float* x, const float* w, const float* bias, const float* gamma,
                           const float* beta, const float* running_mean, const float* running_var,
                           const float* residual, float* y, void* work) {
  const ConvAlgorithm algorithm = conv2d_algorithm(p, ConvPass::forward);
  if (algorithm == ConvAlgorithm::planar)
    return composed::conv_norm_inference(s, p, norm, x, w, bias, gamma, beta, running_mean,
                                         running_var, residual, y, work);
  float *const scale = static_cast<float*>(work), *const shift = scale + p.k;
  for (Index k = 0; k < p.k; ++k) {
    const double factor = gamma[k] / std::sqrt(running_var[k] + norm.eps);
    const double centre = bias ? static_cast<double>(bias[k]) - running_mean[k] : -running_mean[k];
    scale[k] = static_cast<float>(factor);
    shift[k] = static_cast<float>(beta[k] + factor * centre);
  }
  convolve(algorithm, p, x, w, {shift, norm.relu, scale, residual}, y,
           after(work, aligned_bytes(2 * p.k)));
}

std::size_t conv2d_norm_forward_workspace(const Conv2dShape& p, const BatchNormShape& norm) {
  const ConvAlgorithm algorithm = conv2d_algorithm(p, ConvPass::forward);
  if (algorithm == ConvAlgorithm::planar) return composed::conv_norm_forward_workspace(p, norm);
  return (norm_workspace(p.k, 1) + 63) / 64 * 64 +
         aligned_bytes(statistics_parts(algorithm, p) * StatisticsPart::size(p.k)) +
         conv2d_forward_workspace(p);
}

void conv2d_norm_forward(Stream s, const Conv2dShape& p, const BatchNormShape& norm, const float* x,
                         const float* w, const float* bias, const float* gamma, const float* beta,
                         const float* residual, float* running_mean, float* running_var, float* z,
                         float* y, float* mean, float* inv_std, void* work) {
  const ConvAlgorithm algorithm = conv2d_algorithm(p, ConvPass::forward);
  if (algorithm == ConvAlgorithm::planar)
    return composed::conv_norm_forward(s, p, norm, x, w, bias, gamma, beta, residual, running_mean,
                                       running_var, z, y, mean, inv_std, work);
  const Index parts = statistics_parts(algorithm, p);
  void* const part_work = after(work, (norm_workspace(p.k, 1) + 63) / 64 * 64);
  auto* const statistics = static_cast<float*>(part_work);
  Epilogue then{bias};
  then.statistics = statistics;
  convolve(algorithm, p, x, w, then, z,
           after(part_work, aligned_bytes(parts * StatisticsPart::size(p.k))));
  merge_statistics(statistics, parts, p.k, NormSums(work, p.k, 0));
  finish_statistics(norm, 1, &norm.rows, gamma, beta, running_mean, running_var, mean, inv_std,
                    work);
  normalize(norm, z, mean, NormFactors(work, p.k, 1), residual, y);
}

}  // namespace etude::ETUDE_BACKEND
