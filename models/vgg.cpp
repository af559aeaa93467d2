#include "models/vgg.h"

namespace etude::models {

namespace {

constexpr Index pool = 2;

// Up to here a first convolution of one channel costs less to compute again than to keep.
constexpr Index few_channels = 16;

// The side of a TinyVGG block's output, and the least side of its input.
Index shrink(Index side, Index padding) { return (side + 4 * (padding - 1)) / pool; }
Index least_side(Index blocks, Index padding) {
  Index side = 1;
  for (Index i = 0; i < blocks; ++i) side = std::max<Index>(1, side * pool - 4 * (padding - 1));
  return side;
}

}  // namespace

// ---- TinyVGG ------------------------------------------------------------------------------------

class TinyVgg::Block final : public Module {
 public:
  Block(Index in_channels, Index channels, Index padding, Generator& generator)
      : first_(in_channels, channels, 3, convolution(padding), true, generator),
        second_(channels, channels, 3, convolution(padding), true, generator),
        pool_(Pool2dOptions::square(pool)) {
    register_module("0", first_);  // 1 and 3 are the ReLUs, fused into the convolutions
    register_module("2", second_);
    register_module("4", pool_);
  }
  Tensor forward(const Tensor& x) override {
    if (observed()) return pool_(second_(first_(x)));
    if (x.dim(3) == 1 && first_.weight.dim(0) <= few_channels && !x.requires_grad())
      return vgg_block(x, first_.weight, first_.bias, second_.weight, second_.bias,
                       second_.options);
    const Tensor y = first_(x);
    return conv2d_relu_max_pool2d(y, second_.weight, second_.bias, second_.options);
  }
  std::string kind() const override { return "Sequential"; }

 private:
  static Conv2dOptions convolution(Index padding) {
    Conv2dOptions options = Conv2dOptions::square(1, padding);
    options.relu = true;
    return options;
  }
  Conv2d first_, second_;
  MaxPool2d pool_;
};

class TinyVgg::Classifier final : public Module {
 public:
  Classifier(Index h, Index w, Index c, Index outputs, double dropout, Generator& generator)
      : linear_(h * w * c, outputs, true, generator, {Layout::columns, h, w, c}) {
    register_module("0", flatten_);
    if (dropout > 0) {
      // Not under a number: the linear layer keeps its name with and without it.
      dropout_ = std::make_unique<Dropout>(dropout, generator.bits());
      register_module("dropout", *dropout_);
    }
    register_module("1", linear_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor columns = flatten_(x);
    return linear_(dropout_ ? (*dropout_)(columns) : columns);
  }
  std::string kind() const override { return "Sequential"; }

 private:
  Flatten flatten_;
  std::unique_ptr<Dropout> dropout_;
  Linear linear_;
};

TinyVgg::TinyVgg(const TinyVggOptions& o) : input_{o.height, o.width, o.channels} {
  check(o.channels > 0 && o.outputs > 0 && o.hidden > 0 && o.blocks > 0,
        "tinyvgg: channels {}, outputs {}, hidden {} and blocks {} must be positive", o.channels,
        o.outputs, o.hidden, o.blocks);
  check(o.padding >= 0 && o.padding <= 1, "tinyvgg: padding is {}, must be 0 or 1", o.padding);
  check(o.blocks <= 16, "tinyvgg: {} blocks; 16 already halve 65536 pixels to one", o.blocks);
  const Index least = least_side(o.blocks, o.padding);
  check(o.height >= least && o.width >= least,
        "tinyvgg: an input of {}x{} is too small for {} blocks with padding {}: at least {}x{}",
        o.height, o.width, o.blocks, o.padding, least, least);
  Generator generator(o.seed);
  Index h = o.height, w = o.width, c = o.channels;
  for (Index i = 1; i <= o.blocks; ++i) {
    blocks_.push_back(std::make_unique<Block>(c, o.hidden, o.padding, generator));
    register_module(fmt::format("conv_block_{}", i), *blocks_.back());
    h = shrink(h, o.padding);
    w = shrink(w, o.padding);
    c = o.hidden;
  }
  classifier_ = std::make_unique<Classifier>(h, w, c, o.outputs, o.dropout, generator);
  register_module("classifier", *classifier_);
}

TinyVgg::~TinyVgg() = default;

Tensor TinyVgg::forward(const Tensor& x) {
  check(x.rank() == 4 && Shape{x.dim(1), x.dim(2), x.dim(3)} == input_,
        "tinyvgg: built for inputs [N]x{}, got {}", to_string(input_), to_string(x.shape()));
  Tensor y = x;
  for (const auto& block : blocks_) y = (*block)(y);
  return (*classifier_)(y);
}

// ---- four-block VGG -----------------------------------------------------------------------------

class Vgg4::Block final : public Module {
 public:
  Block(Index in_channels, Index channels, Index pool_columns, Generator& generator)
      : conv_(in_channels, channels, 3, Conv2dOptions::square(1, 1), false, generator),
        norm_(channels, /*relu=*/true),
        pool_(Pool2dOptions{pool, pool_columns}) {
    register_module("0", conv_);
    register_module("1", norm_);  // 2 is the ReLU, fused into the batch norm
    register_module("3", pool_);
  }
  Tensor forward(const Tensor& x) override { return conv_norm_max_pool(conv_, norm_, pool_, x); }
  std::string kind() const override { return "Sequential"; }

 private:
  Conv2d conv_;
  BatchNorm2d norm_;
  MaxPool2d pool_;
};

Vgg4::Vgg4(const Vgg4Options& o) {
  check(o.channels > 0 && o.outputs > 0, "vgg4: channels {} and outputs {} must be positive",
        o.channels, o.outputs);
  Generator generator(o.seed);
  Index c = o.channels;
  for (const Index width : {16, 32, 64, 128}) {
    const bool last = width == 128;
    blocks_.push_back(std::make_unique<Block>(c, width, last && o.steps > 0 ? 1 : pool, generator));
    register_module(fmt::format("conv_block_{}", blocks_.size()), *blocks_.back());
    c = width;
  }
  if (o.steps > 0) {
    head_ = std::make_unique<TemporalHead>(c, o.steps, o.outputs, generator);
    register_module("head", *head_);
    return;
  }
  register_module("avgpool", avgpool_);
  register_module("flatten", flatten_);
  if (o.dropout > 0) {
    dropout_ = std::make_unique<Dropout>(o.dropout, generator.bits());
    register_module("dropout", *dropout_);
  }
  fc_ = std::make_unique<Linear>(c, o.outputs, true, generator);
  register_module("fc", *fc_);
}

Vgg4::~Vgg4() = default;

Tensor Vgg4::forward(const Tensor& x) {
  check(x.rank() == 4 && x.dim(1) >= 16 && x.dim(2) >= 16,
        "vgg4: expected [N,H,W,C] of at least 16x16 pixels, got {}", to_string(x.shape()));
  Tensor y = x;
  for (const auto& block : blocks_) y = (*block)(y);
  if (head_) return (*head_)(y);
  y = flatten_(avgpool_(y));
  return (*fc_)(dropout_ ? (*dropout_)(y) : y);
}

}  // namespace etude::models
