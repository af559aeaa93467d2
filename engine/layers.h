// The layers that models are made of: thin modules over ops.h with PyTorch's parameter names and
// PyTorch's default initialisation (uniform in +-1/sqrt(fan_in)).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/module.h"

namespace etude {

// weight [K,R,S,C], optional bias [K].
class Conv2d final : public Module {
 public:
  Conv2d(Index in_channels, Index out_channels, Index kernel, Conv2dOptions options, bool bias,
         Generator& generator);
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "Conv2d"; }
  std::string describe() const override;
  Index macs(const Shape& x, const Shape& y) const override;

  Tensor weight, bias;
  Conv2dOptions options;
};

// weight [K,C], optional bias [K]. `flattened` is the (H, W, C) that a Flatten before it turned
// into columns; it decides how the weight is permuted in checkpoints.
class Linear final : public Module {
 public:
  Linear(Index in_features, Index out_features, bool bias, Generator& generator,
         Layout flattened = {});
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "Linear"; }
  std::string describe() const override;
  Index macs(const Shape& x, const Shape& y) const override;

  Tensor weight, bias;
};

// weight, bias, running_mean, running_var [C], num_batches_tracked (int64 scalar).
class BatchNorm2d final : public Module {
 public:
  explicit BatchNorm2d(Index channels, bool relu = false, double eps = 1e-5, double momentum = 0.1);
  Tensor forward(const Tensor& x) override { return forward(x, Tensor{}); }
  // relu(bn(x) + residual) in one pass; no ReLU unless the layer has it.
  Tensor forward(const Tensor& x, const Tensor& residual);
  std::string kind() const override { return relu_ ? "BatchNorm2d+ReLU" : "BatchNorm2d"; }
  std::string describe() const override;

  // What a call now runs with; in training it counts the batch.
  BatchNormOptions options_of_call();

  Tensor weight, bias, running_mean, running_var, num_batches_tracked;

 private:
  bool relu_;
  double eps_, momentum_;
};

class ReLU final : public Module {
 public:
  Tensor forward(const Tensor& x) override { return relu(x); }
  std::string kind() const override { return "ReLU"; }
};

class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(Pool2dOptions pool_options) : options(pool_options) {}
  Tensor forward(const Tensor& x) override { return max_pool2d(x, options); }
  std::string kind() const override { return "MaxPool2d"; }
  std::string describe() const override;

  Pool2dOptions options;
};

// norm(conv(x)) with the norm's residual and ReLU, and the same with max-pooling behind it: as few
// ops as there are for it, or one by one where an observer wants to see them. In evaluation without
// gradients the norm is part of the convolution; in training, of the pooling.
Tensor conv_norm(Conv2d& conv, BatchNorm2d& norm, const Tensor& x, const Tensor& residual = {});
Tensor conv_norm_max_pool(Conv2d& conv, BatchNorm2d& norm, MaxPool2d& pool, const Tensor& x);

class GlobalAvgPool2d final : public Module {
 public:
  Tensor forward(const Tensor& x) override { return global_avg_pool2d(x); }
  std::string kind() const override { return "GlobalAvgPool2d"; }
};

class Flatten final : public Module {
 public:
  Tensor forward(const Tensor& x) override { return flatten(x); }
  std::string kind() const override { return "Flatten"; }
};

class Dropout final : public Module {
 public:
  Dropout(double p, std::uint64_t seed) : p_(p), generator_(seed) {}
  Tensor forward(const Tensor& x) override { return dropout(x, p_, training(), generator_); }
  std::string kind() const override { return "Dropout"; }
  std::string describe() const override;
  Generator& generator() { return generator_; }

 private:
  double p_;
  Generator generator_;
};

// Children named "0", "1", ... run in order.
class Sequential final : public Module {
 public:
  Sequential() = default;
  template <class M, class... Args>
  M& emplace(Args&&... args) {
    auto child = std::make_unique<M>(std::forward<Args>(args)...);
    M& result = *child;
    push(std::move(child));
    return result;
  }
  void push(std::unique_ptr<Module> child);
  Index length() const { return static_cast<Index>(owned_.size()); }
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "Sequential"; }

 private:
  std::vector<std::unique_ptr<Module>> owned_;
};

}  // namespace etude
