// A record of the ops that ran: for exporting a model to another format.
//
// record() (autograd.h) hands every op's result to the trace of the thread, where there is one; it
// does so with gradients off, too. Tensors are shared, so a trace keeps all activations alive.
#pragma once

#include <variant>
#include <vector>

#include "engine/tensor.h"
#include "kernels/shapes.h"

namespace etude {

// What an op's result depends on besides its inputs.
struct OpDetails {
  std::variant<std::monostate, Conv2dShape, BatchNormShape, Pool2dShape, AdaptivePool2dShape> shape;
  bool relu = false;      // fused behind conv2d (BatchNormShape has its own)
  bool training = false;  // batch_norm with the batch's statistics
};

struct TracedOp {
  const char* op;              // the name given to record()
  std::vector<Tensor> inputs;  // in the order of the op's parameters; undefined where left out
  Tensor output;
  OpDetails details;
};

// While alive, ops on this thread are appended to it. Traces nest: the innermost records.
class Trace {
 public:
  Trace();
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  const std::vector<TracedOp>& ops() const { return ops_; }

 private:
  friend void trace_op(const char* op, const Tensor& y, const std::vector<Tensor>& inputs,
                       const OpDetails& details);
  std::vector<TracedOp> ops_;
  Trace* outer_;
};

// Appends to the innermost trace of this thread; without one it does nothing.
void trace_op(const char* op, const Tensor& y, const std::vector<Tensor>& inputs,
              const OpDetails& details);
bool tracing();

}  // namespace etude
