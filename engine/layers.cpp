#include "engine/layers.h"

#include <cmath>

#include "engine/dispatch.h"

namespace etude {
namespace {

Tensor uniform(Shape shape, double bound, Generator& generator) {
  Tensor tensor(shape);
  kernels_for<float>(cpu_device)
      .random_uniform(current_stream(cpu_device), tensor.size(), -bound, bound,
                      generator.reserve(tensor.size()), tensor.data<float>());
  return tensor;
}

}  // namespace

Conv2d::Conv2d(Index in_channels, Index out_channels, Index kernel, Conv2dOptions conv_options,
               bool with_bias, Generator& generator)
    : options(conv_options) {
  const double bound = 1 / std::sqrt(static_cast<double>(in_channels * kernel * kernel));
  weight = uniform({out_channels, kernel, kernel, in_channels}, bound, generator);
  register_parameter("weight", weight, {Layout::filter});
  if (with_bias) {
    bias = uniform({out_channels}, bound, generator);
    register_parameter("bias", bias);
  }
}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight, bias, options); }

std::string Conv2d::describe() const {
  std::string text =
      fmt::format("{}x{}, {} -> {}", weight.dim(1), weight.dim(2), weight.dim(3), weight.dim(0));
  if (options.stride_h != 1 || options.stride_w != 1)
    text += fmt::format(", stride {}", options.stride_h);
  if (options.pad_h != 0 || options.pad_w != 0) text += fmt::format(", pad {}", options.pad_h);
  if (options.relu) text += ", ReLU";
  return text;
}

Index Conv2d::macs(const Shape&, const Shape& y) const {
  return y.size() * (weight.size() / weight.dim(0));
}

Linear::Linear(Index in_features, Index out_features, bool with_bias, Generator& generator,
               Layout flattened) {
  const double bound = 1 / std::sqrt(static_cast<double>(in_features));
  weight = uniform({out_features, in_features}, bound, generator);
  register_parameter("weight", weight, flattened);
  if (with_bias) {
    bias = uniform({out_features}, bound, generator);
    register_parameter("bias", bias);
  }
}

Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }

std::string Linear::describe() const {
  return fmt::format("{} -> {}", weight.dim(1), weight.dim(0));
}

Index Linear::macs(const Shape&, const Shape& y) const { return y.size() * weight.dim(1); }

BatchNorm2d::BatchNorm2d(Index channels, bool relu, double eps, double momentum)
    : weight(Tensor::full({channels}, 1)),
      bias(Tensor::zeros({channels})),
      running_mean(Tensor::zeros({channels})),
      running_var(Tensor::full({channels}, 1)),
      num_batches_tracked(Tensor::zeros({}, DType::i64)),
      relu_(relu),
      eps_(eps),
      momentum_(momentum) {
  register_parameter("weight", weight);
  register_parameter("bias", bias);
  register_buffer("running_mean", running_mean);
  register_buffer("running_var", running_var);
  register_buffer("num_batches_tracked", num_batches_tracked);
}

BatchNormOptions BatchNorm2d::options_of_call() {
  if (training()) ++*num_batches_tracked.data<std::int64_t>();
  return {training(), momentum_, eps_, relu_};
}

Tensor BatchNorm2d::forward(const Tensor& x, const Tensor& residual) {
  return batch_norm(x, weight, bias, running_mean, running_var, options_of_call(), residual);
}

std::string BatchNorm2d::describe() const { return fmt::format("{}", weight.size()); }

std::string MaxPool2d::describe() const {
  return fmt::format("{}x{}, stride {}", options.r, options.s,
                     options.stride_h ? options.stride_h : options.r);
}

Tensor conv_norm(Conv2d& conv, BatchNorm2d& norm, const Tensor& x, const Tensor& residual) {
  if (Module::observed())
    return residual.defined() ? norm.forward(conv(x), residual) : norm(conv(x));
  return conv2d_batch_norm(x, conv.weight, conv.bias, conv.options, norm.weight, norm.bias,
                           norm.running_mean, norm.running_var, norm.options_of_call(), residual);
}

Tensor conv_norm_max_pool(Conv2d& conv, BatchNorm2d& norm, MaxPool2d& pool, const Tensor& x) {
  if (Module::observed() || !norm.training()) return pool(conv_norm(conv, norm, x));
  return batch_norm_max_pool2d(conv(x), norm.weight, norm.bias, norm.running_mean, norm.running_var,
                               norm.options_of_call(), pool.options);
}

std::string Dropout::describe() const { return fmt::format("p = {}", p_); }

void Sequential::push(std::unique_ptr<Module> child) {
  register_module(std::to_string(owned_.size()), *child);
  owned_.push_back(std::move(child));
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& child : owned_) y = (*child)(y);
  return y;
}

}  // namespace etude
