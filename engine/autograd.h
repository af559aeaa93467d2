// Reverse-mode differentiation.
//
// An op that wants gradients calls record() with its result, its inputs and a closure that maps
// the gradient of the result to the gradients of the inputs. backward() walks the recorded nodes
// from the youngest to the oldest (creation numbers are a topological order), iteratively, and
// frees each closure, with the tensors it kept, as soon as it has run.
//
// Kernels overwrite; only this file accumulates.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/tensor.h"
#include "engine/trace.h"

namespace etude {

// Gradients of the inputs, in their order; undefined where none is needed.
using Gradients = std::vector<Tensor>;
using Backward = std::function<Gradients(Tensor dy)>;

struct Node {
  std::uint64_t id = 0;
  const char* op = "leaf";
  std::vector<std::shared_ptr<Node>> inputs;  // null where an input needs no gradient
  Backward backward;                          // empty in a leaf
  Tensor grad;                                // a leaf's stays; an inner node's is consumed
  ~Node();                                    // iterative: long chains must not overflow the stack
};

// Gives `y` a node if gradients are enabled and any input requires them. The closure must capture
// only what it reads, and capture `y` itself, if at all, before it has a node. `details` are for
// a Trace (trace.h) alone.
Tensor record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Backward backward,
              const OpDetails& details = {});

// Adds d loss / d leaf to the gradient of every leaf that `loss` (a scalar) depends on. The graph
// is consumed. `seed` scales the loss (gradient accumulation over n batches: 1.0 / n).
void backward(const Tensor& loss, double seed = 1.0);

// True unless a NoGrad is alive on this thread.
bool grad_enabled();

// While alive, nothing is recorded: evaluation needs no memory for backward.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

}  // namespace etude
