#include "models/resnet.h"

#include "models/init.h"

namespace etude::models {

namespace {

constexpr Index bottleneck_expansion = 4;

// The 1x1 convolution and norm of a shortcut whose ends differ in size.
class Downsample final : public Module {
 public:
  Downsample(Index in_channels, Index channels, Index stride, bool conv_bias, Generator& generator)
      : conv_(in_channels, channels, 1, Conv2dOptions::square(stride, 0), conv_bias, generator),
        norm_(channels) {
    kaiming_normal_fan_out(conv_, generator);
    register_module("0", conv_);
    register_module("1", norm_);
  }
  Tensor forward(const Tensor& x) override { return conv_norm(conv_, norm_, x); }
  std::string kind() const override { return "Sequential"; }

 private:
  Conv2d conv_;
  BatchNorm2d norm_;
};

// relu(bn2(conv2(relu(bn1(conv1 x)))) + shortcut x); both ReLUs are fused into the norms.
class BasicBlock final : public Module {
 public:
  BasicBlock(Index in_channels, Index channels, Index stride, const ResNetOptions& o,
             Generator& generator)
      : conv1_(in_channels, channels, 3, Conv2dOptions::square(stride, 1), o.conv_bias, generator),
        bn1_(channels, /*relu=*/true),
        conv2_(channels, channels, 3, Conv2dOptions::square(1, 1), o.conv_bias, generator),
        bn2_(channels, /*relu=*/true) {
    for (Conv2d* conv : {&conv1_, &conv2_}) kaiming_normal_fan_out(*conv, generator);
    if (o.zero_init_residual) bn2_.weight.zero();
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("conv2", conv2_);
    register_module("bn2", bn2_);
    if (stride != 1 || in_channels != channels) {
      downsample_ =
          std::make_unique<Downsample>(in_channels, channels, stride, o.conv_bias, generator);
      register_module("downsample", *downsample_);
    }
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_norm(conv1_, bn1_, x);
    return conv_norm(conv2_, bn2_, y, downsample_ ? (*downsample_)(x) : x);
  }
  std::string kind() const override { return "BasicBlock"; }

 private:
  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  std::unique_ptr<Downsample> downsample_;
};

// As above with three convolutions; `width` channels inside, four times as many outside.
class Bottleneck final : public Module {
 public:
  Bottleneck(Index in_channels, Index width, Index stride, const ResNetOptions& o,
             Generator& generator)
      : conv1_(in_channels, width, 1, Conv2dOptions::square(1, 0), o.conv_bias, generator),
        bn1_(width, /*relu=*/true),
        conv2_(width, width, 3, Conv2dOptions::square(stride, 1), o.conv_bias, generator),
        bn2_(width, /*relu=*/true),
        conv3_(width, width * bottleneck_expansion, 1, Conv2dOptions::square(1, 0), o.conv_bias,
               generator),
        bn3_(width * bottleneck_expansion, /*relu=*/true) {
    for (Conv2d* conv : {&conv1_, &conv2_, &conv3_}) kaiming_normal_fan_out(*conv, generator);
    if (o.zero_init_residual) bn3_.weight.zero();
    register_module("conv1", conv1_);
    register_module("bn1", bn1_);
    register_module("conv2", conv2_);
    register_module("bn2", bn2_);
    register_module("conv3", conv3_);
    register_module("bn3", bn3_);
    const Index channels = width * bottleneck_expansion;
    if (stride != 1 || in_channels != channels) {
      downsample_ =
          std::make_unique<Downsample>(in_channels, channels, stride, o.conv_bias, generator);
      register_module("downsample", *downsample_);
    }
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_norm(conv2_, bn2_, conv_norm(conv1_, bn1_, x));
    return conv_norm(conv3_, bn3_, y, downsample_ ? (*downsample_)(x) : x);
  }
  std::string kind() const override { return "Bottleneck"; }

 private:
  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  Conv2d conv3_;
  BatchNorm2d bn3_;
  std::unique_ptr<Downsample> downsample_;
};

const ResNetOptions& checked(const ResNetOptions& o) {
  check(o.channels > 0 && o.outputs > 0 && o.width > 0,
        "resnet: channels {}, outputs {} and width {} must be positive", o.channels, o.outputs,
        o.width);
  return o;
}

}  // namespace

ResNet::ResNet(const ResNetOptions& options) : ResNet(checked(options), Generator(options.seed)) {}

ResNet::ResNet(const ResNetOptions& o, Generator generator)
    : pool_first_(o.pool_first),
      conv1_(o.channels, o.width, 7, Conv2dOptions::square(2, 3), o.conv_bias, generator),
      bn1_(o.width, /*relu=*/true),
      maxpool_(Pool2dOptions::square(3, 2, 1)) {
  kaiming_normal_fan_out(conv1_, generator);
  register_module("conv1", conv1_);
  register_module("bn1", bn1_);
  register_module("maxpool", maxpool_);
  Index in_channels = o.width, width = o.width;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage, width *= 2) {
    for (Index i = 0; i < o.layers[stage]; ++i) {
      const Index stride = stage > 0 && i == 0 ? 2 : 1;
      if (o.block == ResNetOptions::basic) {
        stages_[stage].emplace<BasicBlock>(in_channels, width, stride, o, generator);
        in_channels = width;
      } else {
        stages_[stage].emplace<Bottleneck>(in_channels, width, stride, o, generator);
        in_channels = width * bottleneck_expansion;
      }
    }
    register_module(fmt::format("layer{}", stage + 1), stages_[stage]);
  }
  if (o.steps > 0) {
    head_ = std::make_unique<TemporalHead>(in_channels, o.steps, o.outputs, generator);
    register_module("head", *head_);
    return;
  }
  register_module("avgpool", avgpool_);
  register_module("flatten", flatten_);
  if (o.dropout > 0) {
    dropout_ = std::make_unique<Dropout>(o.dropout, generator.bits());
    register_module("dropout", *dropout_);
  }
  fc_ = std::make_unique<Linear>(in_channels, o.outputs, true, generator);
  register_module("fc", *fc_);
}

Tensor ResNet::forward(const Tensor& x) {
  Tensor y =
      pool_first_ ? bn1_(maxpool_(conv1_(x))) : conv_norm_max_pool(conv1_, bn1_, maxpool_, x);
  for (Sequential& stage : stages_) y = stage(y);
  if (head_) return (*head_)(y);
  y = flatten_(avgpool_(y));
  return (*fc_)(dropout_ ? (*dropout_)(y) : y);
}

}  // namespace etude::models
