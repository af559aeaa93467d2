// Answers over time: a head for convolutional features that keeps their course.
#pragma once

#include "engine/layers.h"

namespace etude::models {

// Average over the height (mel bands) and, adaptively, over time to `steps` columns; a convolution
// over time of 9 columns with ReLU (at half a second a column 4.5 s: listeners answer a second or
// two late, and their answers are smooth); a linear layer on each column.
// Names: context.{weight,bias} (that of a Conv2d 1x9) and fc.
class TemporalHead final : public Module {
 public:
  TemporalHead(Index channels, Index steps, Index outputs, Generator& generator);
  // x [N,h,w,channels] -> [N, steps outputs], the outputs of a step together
  Tensor forward(const Tensor& x) override;
  std::string kind() const override { return "TemporalHead"; }
  std::string describe() const override;

 private:
  class TimeConv final : public Module {
   public:
    TimeConv(Index in_channels, Index out_channels, Index length, Generator& generator);
    Tensor forward(const Tensor& x) override;
    std::string kind() const override { return "Conv2d"; }
    std::string describe() const override;
    Index macs(const Shape& x, const Shape& y) const override;

   private:
    Tensor weight_, bias_;
  };
  Index steps_, outputs_;
  TimeConv context_;
  Linear fc_;
};

}  // namespace etude::models
