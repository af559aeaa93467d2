// Optimisers: PyTorch's update rules, one multi-tensor kernel a step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/module.h"

namespace etude {

struct SgdOptions {
  double lr = 0.01, momentum = 0.9, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

struct AdamwOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Updates every parameter that has a gradient; one without is left alone, its state too.
  virtual void step() = 0;
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }
  // Scales all gradients so that their common Euclidean norm is at most max_norm, and returns the
  // norm before as a scalar tensor on the device (reading it synchronises).
  Tensor clip_gradients(double max_norm);

  // The state that a resumed run needs, beside the parameters and steps(), in PyTorch's words:
  // "<parameter>.step" (how often it has been updated; int64 on the host) and, as the rule has it,
  // "momentum_buffer", or "exp_avg" and "exp_avg_sq". The tensors share storage with the
  // optimiser's: load_state() into them restores it bit for bit.
  virtual std::vector<StateEntry> state() const = 0;
  // Calls of step() so far.
  Index steps() const { return steps_; }
  virtual void set_steps(Index steps) { steps_ = steps; }

 protected:
  // decay_all: weight decay acts on every parameter (PyTorch's default); else only on those of
  // rank 2 and more (filters and linear weights; not biases and batch norm).
  Optimizer(std::vector<StateEntry> parameters, double lr, double weight_decay, bool decay_all);
  std::vector<StateEntry> parameters_;
  std::vector<double> decay_;
  std::vector<Tensor> counters_;  // updates of each parameter: they number Adam's corrections
  double lr_;
  Index steps_ = 0;
};

class Sgd final : public Optimizer {
 public:
  Sgd(const Module& module, SgdOptions options, bool decay_all = true);
  void step() override;
  std::vector<StateEntry> state() const override;

 private:
  SgdOptions options_;
  std::vector<Tensor> momentum_;
};

class Adamw final : public Optimizer {
 public:
  Adamw(const Module& module, AdamwOptions options, bool decay_all = true);
  void step() override;
  std::vector<StateEntry> state() const override;

 private:
  AdamwOptions options_;
  std::vector<Tensor> first_, second_;
};

// Exponential moving average of a module's parameters; buffers are copied.
class Ema {
 public:
  Ema(const Module& module, double decay);
  void update();
  // Exchanges the averages with the module's numbers: call before evaluation, and again after.
  void swap();
  // The averages, named "<parameter>.average"; they share storage, as an optimiser's state does.
  std::vector<StateEntry> state() const;

 private:
  std::vector<StateEntry> source_;
  std::vector<Tensor> average_;
  double decay_;
};

}  // namespace etude
