#include "models/linear.h"

#include <fmt/format.h>

namespace etude::models {

Standardize::Standardize(Index features)
    : running_mean_(Tensor::zeros({features})),
      running_var_(Tensor::full({features}, 1)),
      num_batches_tracked_(Tensor::zeros({}, DType::i64)) {
  register_buffer("running_mean", running_mean_);
  register_buffer("running_var", running_var_);
  register_buffer("num_batches_tracked", num_batches_tracked_);
}

Tensor Standardize::forward(const Tensor& x) {
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

std::string Standardize::describe() const {
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

namespace {

constexpr Index widest_average = 32;

}  // namespace

StatisticsModel::StatisticsModel(Index height, Index width, Index channels, Index outputs,
                                 std::uint64_t seed)
    : StatisticsModel(height, width, channels, outputs, Generator(seed)) {}

StatisticsModel::StatisticsModel(Index height, Index width, Index channels, Index outputs,
                                 Generator generator)
    : height_(height), channels_(channels) {
  check(height > 0 && width > 0 && channels > 0 && outputs > 0,
        "statistics: height {}, width {}, channels {} and outputs {} must be positive", height,
        width, channels, outputs);
  const Index features = height * 2 * channels;
  for (Index columns = 1; columns == 1 || (columns <= widest_average && 2 * columns <= width);
       columns *= 2) {
    const std::string scale = columns == 1 ? "" : fmt::format(".{}", parts_.size());
    norms_.push_back(std::make_unique<Standardize>(features));
    parts_.push_back(std::make_unique<Linear>(features, outputs, columns == 1, generator));
    register_module("norm" + scale, *norms_.back());
    register_module("fc" + scale, *parts_.back());
  }
}

Tensor StatisticsModel::forward(const Tensor& x) {
  const Index widest = Index{1} << (parts_.size() - 1);
  check(x.rank() == 4 && x.dim(1) == height_ && x.dim(2) >= widest && x.dim(3) == channels_,
        "statistics: built for inputs [N]x{}x[at least {}]x{}, got {}", height_, widest, channels_,
        to_string(x.shape()));
  Tensor average = x;
  Tensor y = (*parts_[0])((*norms_[0])(flatten(mean_std(average))));
  for (std::size_t k = 1; k < parts_.size(); ++k) {
    average = avg_pool2d(average, {1, 2});
    y = add(y, (*parts_[k])((*norms_[k])(flatten(mean_std(average)))));
  }
  return y;
}

}  // namespace etude::models
