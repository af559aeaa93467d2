// Residual networks with torchvision's structure, parameter names and initialisation.
#pragma once

#include <array>
#include <memory>

#include "engine/layers.h"
#include "models/temporal_head.h"

namespace etude::models {

struct ResNetOptions {
  enum Block {
    basic,      // 3x3, 3x3; ResNet-18 and -34
    bottleneck  // 1x1, 3x3, 1x1 to four times the channels; ResNet-50, -101, -152
  } block = basic;
  std::array<Index, 4> layers{2, 2, 2, 2};  // blocks of each stage
  Index channels = 3;                       // of the input
  Index outputs = 1000;
  Index width = 64;         // channels of the stem and the first stage; they double at each stage
  Index steps = 0;          // answers over time: so many, by a TemporalHead; 0: one
  double dropout = 0;       // before the linear layer; not over time
  bool conv_bias = false;   // a bias in every convolution
  bool pool_first = false;  // stem: conv, max-pool, norm, ReLU; else conv, norm, ReLU, max-pool
  bool zero_init_residual = false;  // the last norm of a block starts at 0: the block as identity
  std::uint64_t seed = 0;
};

// conv 7x7/2, batch norm, ReLU, max-pool 3x3/2; four stages; global average pool; linear. Inputs of
// any size work. Over time, `head` takes the place of pool and linear.
// Names: conv1, bn1, layerL.B.{convK,bnK,downsample.{0,1}}, fc, or head.
// Source: He et al., "Deep residual learning for image recognition", CVPR 2016; a bottleneck has
// its stride on the 3x3 convolution.
class ResNet final : public Module {
 public:
  explicit ResNet(const ResNetOptions& options);
  // x [N,H,W,channels] -> logits [N, outputs], or [N, steps outputs]
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "ResNet"; }

 private:
  ResNet(const ResNetOptions& options, Generator generator);
  bool pool_first_;
  Conv2d conv1_;
  BatchNorm2d bn1_;
  MaxPool2d maxpool_;
  std::array<Sequential, 4> stages_;
  GlobalAvgPool2d avgpool_;
  Flatten flatten_;
  std::unique_ptr<Dropout> dropout_;
  std::unique_ptr<Linear> fc_;
  std::unique_ptr<TemporalHead> head_;
};

}  // namespace etude::models
