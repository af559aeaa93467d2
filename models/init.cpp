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

}  // namespace etude::models
