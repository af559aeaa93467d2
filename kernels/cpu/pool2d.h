// Rows of max-pooling, for the layers that have it fused (batch_norm_pool.cpp).
#pragma once

#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {

// Row p of image n of max_pool2d_forward: y and argmax are that row, [q, c]. Where `sign` is given,
// one of 1, 0, -1 a channel, the taps are compared by their product with it (0: the first wins).
void max_pool2d_row(const Pool2dShape& d, Index n, Index p, const float* sign, const float* x,
                    float* y, std::uint8_t* argmax);
// Row h of image n of max_pool2d_backward: dx is that row, [w, c].
void max_pool2d_backward_row(const Pool2dShape& d, Index n, Index h, const float* dy,
                             const std::uint8_t* argmax, float* dx);

}  // namespace etude::ETUDE_BACKEND
