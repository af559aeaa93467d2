#include "models/wide_resnet.h"

#include "models/init.h"

namespace etude::models {

namespace {

class PreActivationBlock final : public Module {
 public:
  PreActivationBlock(Index in_channels, Index channels, Index stride, double dropout,
                     Generator& generator)
      : bn1_(in_channels, /*relu=*/true),
        conv1_(in_channels, channels, 3, Conv2dOptions::square(stride, 1), false, generator),
        bn2_(channels, /*relu=*/true),
        conv2_(channels, channels, 3, Conv2dOptions::square(1, 1), false, generator) {
    for (Conv2d* conv : {&conv1_, &conv2_}) kaiming_normal_fan_out(*conv, generator);
    register_module("bn1", bn1_);
    register_module("conv1", conv1_);
    register_module("bn2", bn2_);
    if (dropout > 0) {
      dropout_ = std::make_unique<Dropout>(dropout, generator.bits());
      register_module("dropout", *dropout_);
    }
    register_module("conv2", conv2_);
    if (in_channels != channels || stride != 1) {
      shortcut_ = std::make_unique<Conv2d>(in_channels, channels, 1,
                                           Conv2dOptions::square(stride, 0), false, generator);
      kaiming_normal_fan_out(*shortcut_, generator);
      register_module("convShortcut", *shortcut_);
    }
  }
  // Where the shortcut is a convolution, it shares the first activation with the other branch.
  Tensor forward(const Tensor& x) override {
    const Tensor active = bn1_(x);
    Tensor y = conv_norm(conv1_, bn2_, active);
    if (dropout_) y = (*dropout_)(y);
    return add(conv2_(y), shortcut_ ? (*shortcut_)(active) : x);
  }
  std::string kind() const override { return "PreActivationBlock"; }

 private:
  BatchNorm2d bn1_;
  Conv2d conv1_;
  BatchNorm2d bn2_;
  std::unique_ptr<Dropout> dropout_;
  Conv2d conv2_;
  std::unique_ptr<Conv2d> shortcut_;
};

const WideResNetOptions& checked(const WideResNetOptions& o) {
  check(o.depth >= 10 && (o.depth - 4) % 6 == 0,
        "wide resnet: depth is {}, must be 6 n + 4 with n >= 1 (10, 16, 22, 28, ...)", o.depth);
  check(o.widen > 0 && o.channels > 0 && o.outputs > 0,
        "wide resnet: widening {}, channels {} and outputs {} must be positive", o.widen,
        o.channels, o.outputs);
  return o;
}

}  // namespace

// n blocks, the first of which changes the number of channels and the size.
class WideResNet::Group final : public Module {
 public:
  Group(Index blocks, Index in_channels, Index channels, Index stride, double dropout,
        Generator& generator) {
    layer_.emplace<PreActivationBlock>(in_channels, channels, stride, dropout, generator);
    for (Index i = 1; i < blocks; ++i)
      layer_.emplace<PreActivationBlock>(channels, channels, 1, dropout, generator);
    register_module("layer", layer_);
  }
  Tensor forward(const Tensor& x) override { return layer_(x); }
  std::string kind() const override { return "Group"; }

 private:
  Sequential layer_;
};

WideResNet::WideResNet(const WideResNetOptions& options)
    : WideResNet(checked(options), Generator(options.seed)) {}

WideResNet::WideResNet(const WideResNetOptions& o, Generator generator)
    : conv1_(o.channels, 16, 3, Conv2dOptions::square(1, 1), false, generator),
      bn1_(64 * o.widen, /*relu=*/true) {
  // The draws of the linear layer come first, as they always did: a seed keeps its weights.
  if (o.steps == 0) fc_ = std::make_unique<Linear>(64 * o.widen, o.outputs, true, generator);
  kaiming_normal_fan_out(conv1_, generator);
  register_module("conv1", conv1_);
  Index in_channels = 16, channels = 16 * o.widen;
  for (std::size_t g = 0; g < groups_.size(); ++g, channels *= 2) {
    groups_[g] = std::make_unique<Group>((o.depth - 4) / 6, in_channels, channels, g == 0 ? 1 : 2,
                                         o.dropout, generator);
    register_module(fmt::format("block{}", g + 1), *groups_[g]);
    in_channels = channels;
  }
  register_module("bn1", bn1_);
  if (o.steps > 0) {
    head_ = std::make_unique<TemporalHead>(in_channels, o.steps, o.outputs, generator);
    register_module("head", *head_);
    return;
  }
  register_module("avgpool", avgpool_);
  register_module("flatten", flatten_);
  register_module("fc", *fc_);
}

WideResNet::~WideResNet() = default;

Tensor WideResNet::forward(const Tensor& x) {
  Tensor y = conv1_(x);
  for (const auto& group : groups_) y = (*group)(y);
  y = bn1_(y);
  return head_ ? (*head_)(y) : (*fc_)(flatten_(avgpool_(y)));
}

}  // namespace etude::models
