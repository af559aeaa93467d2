// Which algorithm of the CPU back end computes a pass of a convolution.
//
// The passes and their `_workspace` functions ask this one function. It looks at the shape alone,
// so that every instruction set, every number of threads and every call with this shape gets the
// same answer.
#pragma once

#include "kernels/shapes.h"

namespace etude {

enum class ConvPass { forward, backward_data, backward_filter };

enum class ConvAlgorithm {
  gather,     // implicit matrix product (gather.h): every shape
  planar,     // tiles of pixels as lanes (planar.h): few channels, 3x3, stride 1
  winograd2,  // Winograd's F(2x2, 3x3) (winograd.h): 3x3, stride 1, dilation 1
  winograd4,  // F(4x4, 3x3): likewise
};

// ETUDE_CONV_CPU=gather|planar|winograd2|winograd4 prefers an algorithm: it is taken wherever it
// applies, `gather` elsewhere. ETUDE_LOG=kernels shows the answers.
ConvAlgorithm conv2d_algorithm(const Conv2dShape& p, ConvPass pass);

}  // namespace etude
