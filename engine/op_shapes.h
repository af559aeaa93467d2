// Shape checks that several ops share.
#pragma once

#include "engine/ops.h"

namespace etude {

// The problem of pooling x; Error, in the name of `op`, where x or the options do not fit.
Pool2dShape pool2d_shape(const char* op, const Tensor& x, const Pool2dOptions& options);

}  // namespace etude
