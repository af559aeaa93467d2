#include "models/init.h"

#include <cmath>

namespace etude::models {

void kaiming_normal_fan_out(Conv2d& conv, Generator& generator) {
  const Tensor& w = conv.weight;
  const double fan_out = static_cast<double>(w.dim(0) * w.dim(1) * w.dim(2));
  kernels_for<float>(w.device())
      .random_normal(current_stream(w.device()), w.size(), 0, std::sqrt(2 / fan_out),
                     generator.reserve(w.size()), w.data<float>());
}

Tensor uniform_fan_in(Shape shape, Index fan_in, Generator& generator) {
  Tensor tensor(std::move(shape));
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  kernels_for<float>(cpu_device)
      .random_uniform(current_stream(cpu_device), tensor.size(), -bound, bound,
                      generator.reserve(tensor.size()), tensor.data<float>());
  return tensor;
}

}  // namespace etude::models
