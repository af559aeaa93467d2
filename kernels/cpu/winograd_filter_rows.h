// The filter gradient of Winograd's algorithm, a row of the tiles' elements at a time.
#pragma once

#include "kernels/cpu/winograd_tiles.h"

namespace etude::ETUDE_BACKEND {

// dw of a convolution 3 x 3 with stride 1, from x as tiles of (M + 2) x (M + 2) pixels and dy as
// tiles of M x M; at least one tile.
template <int M>
std::size_t winograd_rows_workspace(const Conv2dShape& p);
template <int M>
void winograd_rows_backward_filter(const Conv2dShape& p, const TiledImage& inputs,
                                   const TiledImage& gradients, float* dw, float* work);

}  // namespace etude::ETUDE_BACKEND
