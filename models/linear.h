// Linear models on numbers about the whole input: the floor under every result, and a member of
// ensembles that errs where networks do not.
#pragma once

#include <memory>
#include <vector>

#include "engine/layers.h"

namespace etude::models {

// PyTorch's BatchNorm1d(affine=False, momentum=None) on x [N, features]: batch statistics in
// training, and in evaluation their average over all batches seen. It makes one learning rate fit
// features of any scale (decibels, pixels); scale and shift would be redundant before a linear
// layer. A training batch of one example is standardised as in evaluation.
class Standardize final : public Module {
 public:
  explicit Standardize(Index features);
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "BatchNorm1d"; }
  std::string describe() const override;

 private:
  Tensor running_mean_, running_var_, num_batches_tracked_;
};

// Mean and deviation over the width (time) of every row (mel band) and channel, standardised, then
// one linear layer. What a network adds is what it reaches beyond this.
//
// Features are in the order [row][mean, deviation][channel]. Names: norm.running_{mean,var}, fc.
class LinearModel final : public Module {
 public:
  LinearModel(Index height, Index channels, Index outputs, std::uint64_t seed);
  // x [N, height, W, channels] -> logits [N, outputs], for any W
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "LinearModel"; }

 private:
  LinearModel(Index height, Index channels, Index outputs, Generator generator);
  Index height_, channels_;
  Standardize norm_;
  Linear fc_;
};

// The same on more numbers: of every row and channel the mean, and its deviation over the width
// after averaging over 1, 2, 4, 8, 16 and 32 columns. From one of these scales to the next falls
// what changes at that rate, so of a mel spectrogram they are a modulation spectrum in octaves a
// band: roughness, onsets, beat, bar, phrase. Scales wider than half the input are left out, which
// is decided once, from `width`; averages that do not fill their columns at the end are dropped.
//
//   y = b + sum over scales k of W_k standardise(mean and deviation of average_k(x))
//
// Names: those of LinearModel, and norm.K.running_{mean,var}, fc.K.weight for averages over 2^K.
class StatisticsModel final : public Module {
 public:
  StatisticsModel(Index height, Index width, Index channels, Index outputs, std::uint64_t seed);
  // x [N, height, W, channels] -> logits [N, outputs], for any W of at least the widest scale
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "StatisticsModel"; }

 private:
  StatisticsModel(Index height, Index width, Index channels, Index outputs, Generator generator);
  Index height_, channels_;
  std::vector<std::unique_ptr<Standardize>> norms_;  // one a scale
  std::vector<std::unique_ptr<Linear>> parts_;       // the linear layer's columns, a scale each
};

}  // namespace etude::models
