// What several ops share: the shapes of their problems, checked, and what they record.
#pragma once

#include "engine/ops.h"

namespace etude {

// The problem of pooling x; Error, in the name of `op`, where x or the options do not fit.
Pool2dShape pool2d_shape(const char* op, const Tensor& x, const Pool2dOptions& options);

// The problem of normalising x, whatever its shape is checked against; Errors likewise.
BatchNormShape batch_norm_shape(const char* op, const Shape& x, const Tensor& gamma,
                                const Tensor& beta, const Tensor& running_mean,
                                const Tensor& running_var, const BatchNormOptions& options);
// Error where they are not all where x is, or `residual`, if defined, is not like `y`.
void check_batch_norm_operands(const char* op, const Tensor& x, const Shape& y, const Tensor& gamma,
                               const Tensor& beta, const Tensor& running_mean,
                               const Tensor& running_var, const Tensor& residual);

// Records y = batch norm of x as ops.h has it. mean, spread: in training the batch's mean and
// 1 / sqrt(variance + eps), in evaluation copies of the running mean and variance.
Tensor record_batch_norm(const Tensor& y, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                         const Tensor& residual, const Tensor& running_mean,
                         const Tensor& running_var, const BatchNormShape& p, bool training,
                         const Tensor& mean, const Tensor& spread);

}  // namespace etude
