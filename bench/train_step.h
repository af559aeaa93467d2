// One training step of a whole model: forward, cross-entropy, backward, SGD with momentum; and one
// inference.
#pragma once

#include <memory>
#include <string>

#include "engine/module.h"
#include "engine/optimizer.h"

namespace etude::bench {

struct TrainStepOptions {
  std::string model = "resnet18";
  Index batch = 16, height = 128, width = 256, channels = 1;
  Index outputs = 10, hidden = 10;
  bool inference = false;  // step() is a forward pass in evaluation mode
  int warm_up = 3, steps = 10;
};

// A model with a fixed random batch, ready to step.
class TrainStep {
 public:
  explicit TrainStep(const TrainStepOptions& options, Device device = cpu_device);
  void step();
  // Of a step, multiply-adds counted as two: a training step is three forward passes.
  double flops() const { return flops_; }
  // Waits for the device and returns the loss of the last step.
  double loss() const { return loss_.item(); }

 private:
  std::unique_ptr<Module> model_;
  std::unique_ptr<Sgd> optimizer_;
  Tensor x_, labels_, loss_;
  bool inference_;
  double flops_ = 0;
};

// Builds the model, then measures its steps. One JSON object: median, quartiles and minimum of the
// wall-clock time in milliseconds, median processor time of all threads, the last loss, and the
// peak of resident memory over the state after building.
std::string measure_train_step(const TrainStepOptions& options);

}  // namespace etude::bench
