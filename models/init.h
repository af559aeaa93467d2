// Weight initialisation beyond the layers' default.
#pragma once

#include "engine/layers.h"

namespace etude::models {

// Filters from N(0, 2 / fan_out), fan_out = K R S: the variance of gradients stays the same through
// a stack of convolutions with ReLU. The bias, where there is one, is left.
// Source: He et al., "Delving deep into rectifiers", ICCV 2015.
void kaiming_normal_fan_out(Conv2d& conv, Generator& generator);

// Uniform in +-1/sqrt(fan_in): what layers.h gives filters and linear weights.
Tensor uniform_fan_in(Shape shape, Index fan_in, Generator& generator);

}  // namespace etude::models
