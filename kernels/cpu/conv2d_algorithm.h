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
  gather,  // implicit matrix product (gather.h): every shape
  planar,  // tiles of pixels as lanes (planar.h): few channels, 3x3, stride 1
};

// ETUDE_CONV_CPU=gather|planar prefers an algorithm wherever it applies; elsewhere, and without the
// variable, the fastest as measured (README.md). ETUDE_LOG=kernels shows the answers.
ConvAlgorithm conv2d_algorithm(const Conv2dShape& p, ConvPass pass);

}  // namespace etude
