// Every model by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/layers.h"

namespace etude::models {

struct ModelOptions {
  Index height = 0, width = 0, channels = 1;  // of the input (H x W x C)
  Index outputs = 10;
  Index steps = 0;  // answers over time, so many of `outputs` each; 0: one
  // TinyVGG: channels of every convolution, blocks, and padding of the convolutions (0 or 1).
  Index hidden = 10;
  Index blocks = 2;
  Index padding = 1;
  double dropout = 0;  // before the last layer; inside the blocks of a wide ResNet; not in linear
  bool zero_init_residual = false;  // ResNets: the last norm of a block starts at 0
  std::uint64_t seed = 0;
};

// tinyvgg, vgg4, resnet18, resnet34, resnet50, resnet101, resnet152, resnet-mer, wrn-16-4,
// wrn-28-10, linear. Error lists them for an unknown name, and says so where the input is too
// small for the model. The model lives on the CPU, in training mode.
std::unique_ptr<Module> make_model(const std::string& name, const ModelOptions& options);
std::vector<std::string> model_names();
// The name of the last linear layer in state(), as a prefix ("fc." for a ResNet).
std::string head_prefix(const std::string& name, bool over_time = false);
// Whether the model can answer over time (ModelOptions::steps).
bool has_temporal_head(const std::string& name);

// A table of layers: kind, output shape, parameters, multiply-adds, activation bytes; and totals.
// `input` is HxWxC, or NxHxWxC for a batch; one forward pass in evaluation mode finds the shapes.
std::string summarize(Module& model, const Shape& input);

}  // namespace etude::models
