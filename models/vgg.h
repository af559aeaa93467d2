// Plain stacks of 3x3 convolutions: TinyVGG and a four-block VGG for small spectrograms.
#pragma once

#include <memory>
#include <vector>

#include "engine/layers.h"
#include "models/temporal_head.h"

namespace etude::models {

struct TinyVggOptions {
  Index height = 64, width = 64, channels = 3;  // of the input
  Index outputs = 10;
  Index hidden = 10;  // channels of every convolution
  Index blocks = 2;
  Index padding = 1;   // of every convolution; 0 in the original
  double dropout = 0;  // before the linear layer
  std::uint64_t seed = 0;
};

// `blocks` times [conv 3x3, ReLU, conv 3x3, ReLU, max-pool 2], flatten, linear.
// Names: conv_block_B.{0,2} and classifier.1, those of the usual PyTorch program.
// Source: Wang et al., "CNN Explainer", IEEE TVCG 2020 (two blocks of 10 channels, no padding).
class TinyVgg final : public Module {
 public:
  // Error where the input is too small for the blocks: it names the least size.
  explicit TinyVgg(const TinyVggOptions& options);
  ~TinyVgg() override;
  // x [N, height, width, channels] -> logits [N, outputs]
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "TinyVGG"; }

 private:
  class Block;
  class Classifier;
  Shape input_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<Classifier> classifier_;
};

struct Vgg4Options {
  Index channels = 1;  // of the input
  Index outputs = 4;
  Index steps = 0;     // answers over time: so many, by a TemporalHead; 0: one
  double dropout = 0;  // before the linear layer; not over time
  std::uint64_t seed = 0;
};

// Four times [conv 3x3 without bias, batch norm, ReLU, max-pool 2] of 16, 32, 64 and 128 channels,
// global average pool, linear. The input has at least 16x16 pixels.
// Over time, the last block pools rows alone, which leaves an eighth of the columns, and `head`
// takes the place of what follows.
// Names: conv_block_B.{0,1} (B = 1 ... 4) and fc, or head.
class Vgg4 final : public Module {
 public:
  explicit Vgg4(const Vgg4Options& options);
  ~Vgg4() override;
  // x [N,H,W,channels] -> logits [N, outputs], or [N, steps outputs]
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "VGG4"; }

 private:
  class Block;
  std::vector<std::unique_ptr<Block>> blocks_;
  GlobalAvgPool2d avgpool_;
  Flatten flatten_;
  std::unique_ptr<Dropout> dropout_;
  std::unique_ptr<Linear> fc_;
  std::unique_ptr<TemporalHead> head_;
};

}  // namespace etude::models
