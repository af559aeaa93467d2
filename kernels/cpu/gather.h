// A convolution pass as a matrix product whose left side is gathered from an image.
//
// Every pass of a convolution visits, for each output pixel m = (n, i, j), a grid of source pixels
//
//   (i stride + offset(t),  j stride + offset(u))      for the taps t of the h axis, u of the w
//   axis
//
// whose offsets rise in equal steps. Row m of the gathered matrix holds those pixels' channels,
// column (t, u, c); pixels outside the image are zero. This covers
//   forward          source x, stride and dilation of the convolution;
//   filter gradient  the same matrix;
//   data gradient    source dy, stride 1, one gather for each phase (h mod stride, w mod stride) of
//                    the input image: a phase meets only its own taps.
#pragma once

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

// One axis. Tap t reads source position  i stride + offset + t step  and belongs to the filter
// position  filter + t filter_step.  Taps that no output can reach are left out (a 3x3 filter on a
// 1x1 image has one).
struct GatherAxis {
  Index outputs = 0;
  Index source = 0;  // extent of the image
  Index stride = 1;
  Index taps = 0;
  Index offset = 0, step = 1;
  Index filter = 0, filter_step = 1;
};

struct Gather {
  const float* image = nullptr;  // [n, h.source, w.source, channels]
  Index n = 0, channels = 0;
  GatherAxis h, w;

  Index rows() const { return n * h.outputs * w.outputs; }
  Index columns() const { return h.taps * w.taps * channels; }
  Index filter_tap(Index t, Index u, Index filter_width) const {
    return (h.filter + t * h.filter_step) * filter_width + w.filter + u * w.filter_step;
  }
};

// Pixels `first, first + step, ...` of the output image that row (i, j) of a gather stands for.
struct Scatter {
  Index height, width, channels;
  Index first_h = 0, first_w = 0;
  Index step_h = 1, step_w = 1;
};

Gather forward_gather(const Conv2dShape& p, const float* x);
// The phase (first_h, first_w) of the data gradient. Without taps (a stride past the filter's end)
// it has no columns, and its pixels are zero.
Gather backward_gather(const Conv2dShape& p, const float* dy, Index first_h, Index first_w);

// Rows of the gathered block lie kBlockStride floats apart: a constant, so that the product's loads
// are plain displacements, and an odd number of cache lines, so that they spread over all sets.
// A block of kBlockRows rows stays in a 1 MB second-level cache beside the filters it meets.
inline constexpr Index kBlockColumns = 576;
inline constexpr Index kBlockStride = kBlockColumns + 16;
inline constexpr Index kBlockRows = 96;

// block[r][j] = gathered[first_row + r][first_column + j]; columns <= kBlockColumns. What lies
// behind the last column is overwritten with anything.
void gather_block(const Gather& g, Index first_row, Index rows, Index first_column, Index columns,
                  float* block);

}  // namespace etude::ETUDE_BACKEND
