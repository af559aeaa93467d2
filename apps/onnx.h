// A trained network as an ONNX graph, for runtimes that know nothing of etude.
//
// The network is run once under a Trace and the ops are written down in ONNX's terms: NCHW
// activations, KCRS filters, weights under their PyTorch names. The front end is not part of the
// graph; what it must compute stands in the metadata.
// Format: https://github.com/onnx/onnx/blob/main/docs/IR.md, operator set 13.
#pragma once

#include <map>
#include <string>

#include "engine/module.h"

namespace etude::apps {

// Whether this build can (libonnx was found).
bool onnx_available();

struct OnnxGraph {
  std::string bytes;          // the serialised model
  std::string input, output;  // as text: "x [N, 1, 64, 64]"
  int nodes = 0;
};

// `model`: on the CPU, in evaluation mode. `sample`: [H, W, C] of one input; the graph takes any
// number of them. Error names an op that has no form in ONNX; what was made has passed ONNX's own
// checker.
OnnxGraph to_onnx(Module& model, const Shape& sample, const std::string& output_name,
                  const std::map<std::string, std::string>& metadata);

}  // namespace etude::apps
