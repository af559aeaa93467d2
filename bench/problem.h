// A problem: one kernel, or one whole piece of work, and its sizes. As text, for the command line
// and for suites: the kernel's name and NAME=VALUE settings.
//
//   conv2d_forward N=16 H=32 W=64 C=64 K=64 R=3
//
// Letters are those of kernels/shapes.h. What is not set has a default (kernel_help()).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kernels/shapes.h"

namespace etude::bench {

// A tensor of a problem: [outer, inner, channels], float32. Activations: outer N, inner H W;
// filters: outer K, inner R S.
struct Operand {
  std::string name;
  Index outer = 1, inner = 1, channels = 1;
  Index size() const { return outer * inner * channels; }
};

struct Problem {
  std::string kernel;
  std::map<std::string, std::string> values;  // every setting of the kernel
  std::vector<Operand> inputs;                // whole pieces of work have none, and no output
  Operand output;
  double flops = 0;  // multiply-adds of the definition count as two, padding included
  double bytes = 0;  // each tensor once for every pass that must read or write it
  double items = 0;  // what a call gets done, in `unit`s; 0: nothing that people count
  std::string unit;
  double reduction = 1;   // length of the longest sum behind an output
  Index last_frames = 0;  // of a reduced() one: frames that see its end, unlike the whole's

  Index at(const std::string& name) const;  // a setting as a number
  const std::string& text(const std::string& name) const;
  // conv2d: conv2d_forward, conv2d_backward_data..., and not conv2d_pool_forward.
  bool is(const std::string& family) const;
  bool compares() const { return !inputs.empty(); }  // it has an output that providers can share
  std::string settings() const;                      // "N=16 H=32 ..."
};

enum class Pass { forward, backward_data, backward_filter };

// The problems of a kernel, or of a family: "conv2d" is conv2d_forward, conv2d_backward_data and
// conv2d_backward_filter of one shape (no data gradient where C = 1: a network's input has none).
// Error for an unknown kernel or setting, for a value that is no number where one is wanted, and
// for shapes without an output.
std::vector<Problem> parse_problems(const std::string& kernel,
                                    const std::vector<std::string>& settings);
// The same from one text, "conv2d N=16 H=32".
std::vector<Problem> parse_problems(const std::string& text);

// A line for each kernel with its settings and their defaults.
std::string kernel_help();

// Of conv2d_* and linear_*; of a block, its first convolution.
Conv2dShape conv2d_shape(const Problem& problem);
Pass conv2d_pass(const Problem& problem);
BatchNormShape batch_norm_shape(const Problem& problem);
Pool2dShape pool2d_shape(const Problem& problem);
// rfft as frames side by side without a window's overlap; stft, mel_spectrogram.
StftShape stft_shape(const Problem& problem);

// A problem whose output is the leading block of this one's output and whose inputs are the leading
// blocks of its inputs (fewer images, fewer channels), small enough for the reference back end.
Problem reduced(const Problem& problem);

}  // namespace etude::bench
