#include "models/linear.h"

namespace etude::models {

LinearModel::Standardize::Standardize(Index features)
    : running_mean_(Tensor::zeros({features})),
      running_var_(Tensor::full({features}, 1)),
      num_batches_tracked_(Tensor::zeros({}, DType::i64)) {
  register_buffer("running_mean", running_mean_);
  register_buffer("running_var", running_var_);
  register_buffer("num_batches_tracked", num_batches_tracked_);
}

Tensor LinearModel::Standardize::forward(const Tensor& x) {
  BatchNormOptions options;
  options.training = training() && x.dim(0) > 1;
  if (options.training) {
    const std::int64_t batches = ++*num_batches_tracked_.data<std::int64_t>();
    options.momentum = 1 / static_cast<double>(batches);  // a plain average
  }
  const Index features = running_mean_.size();
  const Tensor gamma = Tensor::full({features}, 1, x.dtype(), x.device());
  const Tensor beta = Tensor::zeros({features}, x.dtype(), x.device());
  return batch_norm(x, gamma, beta, running_mean_, running_var_, options);
}

std::string LinearModel::Standardize::describe() const {
  return fmt::format("{}, no scale and shift", running_mean_.size());
}

LinearModel::LinearModel(Index height, Index channels, Index outputs, std::uint64_t seed)
    : LinearModel(height, channels, outputs, Generator(seed)) {}

LinearModel::LinearModel(Index height, Index channels, Index outputs, Generator generator)
    : height_(height),
      channels_(channels),
      norm_(height * 2 * channels),
      fc_(height * 2 * channels, outputs, true, generator) {
  check(height > 0 && channels > 0 && outputs > 0,
        "linear: height {}, channels {} and outputs {} must be positive", height, channels,
        outputs);
  register_module("norm", norm_);
  register_module("fc", fc_);
}

Tensor LinearModel::forward(const Tensor& x) {
  check(x.rank() == 4 && x.dim(1) == height_ && x.dim(3) == channels_,
        "linear: built for inputs [N]x{}x[W]x{}, got {}", height_, channels_, to_string(x.shape()));
  return fc_(norm_(flatten(mean_std(x))));
}

}  // namespace etude::models
