// The floor under every result: a linear model on two numbers a band.
#pragma once

#include "engine/layers.h"

namespace etude::models {

// Mean and deviation over the width (time) of every row (mel band) and channel, standardised, then
// one linear layer. What a network adds is what it reaches beyond this.
//
// The standardisation is PyTorch's BatchNorm1d(affine=False, momentum=None): batch statistics in
// training, and in evaluation their average over all batches seen. It makes one learning rate fit
// features of any scale (decibels, pixels); scale and shift would be redundant before a linear
// layer. A training batch of one example is standardised as in evaluation.
// Features are in the order [row][mean, deviation][channel]. Names: norm.running_{mean,var}, fc.
class LinearModel final : public Module {
 public:
  LinearModel(Index height, Index channels, Index outputs, std::uint64_t seed);
  // x [N, height, W, channels] -> logits [N, outputs], for any W
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "LinearModel"; }

 private:
  class Standardize final : public Module {
   public:
    explicit Standardize(Index features);
    Tensor forward(const Tensor& x) override;
    std::string kind() const override { return "BatchNorm1d"; }
    std::string describe() const override;

   private:
    Tensor running_mean_, running_var_, num_batches_tracked_;
  };

  LinearModel(Index height, Index channels, Index outputs, Generator generator);
  Index height_, channels_;
  Standardize norm_;
  Linear fc_;
};

}  // namespace etude::models
