// Wide residual networks for small images.
#pragma once

#include <array>
#include <memory>

#include "engine/layers.h"
#include "models/temporal_head.h"

namespace etude::models {

struct WideResNetOptions {
  Index depth = 28;  // 6 n + 4: three groups of n blocks
  Index widen = 10;  // channels are 16, 16 widen, 32 widen, 64 widen
  Index channels = 3;
  Index outputs = 10;
  Index steps = 0;     // answers over time: so many, by a TemporalHead; 0: one
  double dropout = 0;  // between the convolutions of a block
  std::uint64_t seed = 0;
};

// conv 3x3, three groups of pre-activation blocks (norm, ReLU, conv, norm, ReLU, conv) with strides
// 1, 2, 2, norm, ReLU, global average pool, linear. Inputs of any size work. Over time, `head`
// takes the place of pool and linear. Names: conv1,
// blockG.layer.B.{bn1,conv1,bn2,conv2,convShortcut}, bn1, fc, or head. Source: Zagoruyko &
// Komodakis, "Wide residual networks", BMVC 2016: 2.7 M parameters for WRN-16-4, 36.5 M for
// WRN-28-10 with three input channels and ten outputs.
class WideResNet final : public Module {
 public:
  explicit WideResNet(const WideResNetOptions& options);
  ~WideResNet() override;
  // x [N,H,W,channels] -> logits [N, outputs], or [N, steps outputs]
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "WideResNet"; }

 private:
  class Group;
  WideResNet(const WideResNetOptions& options, Generator generator);
  Conv2d conv1_;
  std::array<std::unique_ptr<Group>, 3> groups_;
  BatchNorm2d bn1_;
  GlobalAvgPool2d avgpool_;
  Flatten flatten_;
  std::unique_ptr<Linear> fc_;
  std::unique_ptr<TemporalHead> head_;
};

}  // namespace etude::models
