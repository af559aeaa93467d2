#include "engine/trace.h"

namespace etude {
namespace {

thread_local Trace* innermost = nullptr;

}  // namespace

Trace::Trace() : outer_(innermost) { innermost = this; }
Trace::~Trace() { innermost = outer_; }

void trace_op(const char* op, const Tensor& y, const std::vector<Tensor>& inputs,
              const OpDetails& details) {
  if (innermost) innermost->ops_.push_back({op, inputs, y, details});
}

bool tracing() { return innermost != nullptr; }

}  // namespace etude
