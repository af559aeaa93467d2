// Shape checks that several ops share.
#pragma once

#include "engine/ops.h"

namespace etude {

// The problem of pooling x; Error, in the name of `op`, where x or the options do not fit.
Pool2dShape pool2d_shape(const char* op, const Tensor& x, const Pool2dOptions& options);

// The problem of normalising x, whatever its shape is checked against; Errors likewise.
BatchNormShape batch_norm_shape(const char* op, const Shape& x, const Tensor& gamma,
                                const Tensor& beta, const Tensor& running_mean,
                                const Tensor& running_var, const BatchNormOptions& options);

}  // namespace etude
