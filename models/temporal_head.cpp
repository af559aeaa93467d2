#include "models/temporal_head.h"

#include "models/init.h"

namespace etude::models {

namespace {

constexpr Index hidden = 64, length = 9;

}  // namespace

TemporalHead::TimeConv::TimeConv(Index in_channels, Index out_channels, Index taps,
                                 Generator& generator)
    : weight_(uniform_fan_in({out_channels, 1, taps, in_channels}, in_channels * taps, generator)),
      bias_(uniform_fan_in({out_channels}, in_channels * taps, generator)) {
  register_parameter("weight", weight_, {Layout::filter});
  register_parameter("bias", bias_);
}

Tensor TemporalHead::TimeConv::forward(const Tensor& x) {
  Conv2dOptions options;
  options.pad_w = weight_.dim(2) / 2;
  options.relu = true;
  return conv2d(x, weight_, bias_, options);
}

std::string TemporalHead::TimeConv::describe() const {
  return fmt::format("1x{}, {} -> {}, ReLU", weight_.dim(2), weight_.dim(3), weight_.dim(0));
}

Index TemporalHead::TimeConv::macs(const Shape&, const Shape& y) const {
  return y.size() * (weight_.size() / weight_.dim(0));
}

TemporalHead::TemporalHead(Index channels, Index steps, Index outputs, Generator& generator)
    : steps_(steps),
      outputs_(outputs),
      context_(channels, hidden, length, generator),
      fc_(hidden, outputs, true, generator) {
  check(channels > 0 && steps > 0 && outputs > 0,
        "temporal head: channels {}, steps {} and outputs {} must be positive", channels, steps,
        outputs);
  register_module("context", context_);
  register_module("fc", fc_);
}

Tensor TemporalHead::forward(const Tensor& x) {
  const Index n = x.dim(0);
  const Tensor columns = context_(adaptive_avg_pool2d(x, 1, steps_));
  const Tensor answers = fc_(reshape(columns, {n * steps_, hidden}));
  return reshape(answers, {n, steps_ * outputs_});
}

std::string TemporalHead::describe() const {
  return fmt::format("{} steps of {}", steps_, outputs_);
}

}  // namespace etude::models
