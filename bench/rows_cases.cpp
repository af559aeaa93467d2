// A row for each case of the table that the tests read (tests/cases.h): small, odd shapes, through
// the ops, so that what a kernel costs beside its arithmetic shows.
#include "bench/rows.h"
#include "tests/cases.h"

namespace etude::bench {
namespace {

std::function<void()> forward(const test::Case& c) {
  return [&c, inputs = test::make_inputs(c, DType::f32, cpu_device)] {
    const NoGrad no_grad;
    c.run(inputs);
  };
}

std::function<void()> forward_backward(const test::Case& c) {
  return [&c, inputs = test::make_inputs(c, DType::f32, cpu_device)] {
    for (const Tensor& y : c.run(inputs))
      if (y.requires_grad()) backward(sum(y));
    for (const Tensor& x : inputs)
      if (x.requires_grad()) x.zero_grad();
  };
}

}  // namespace

void register_case_rows(const Machine& machine) {
  for (const test::Case& c : test::all_cases()) {
    register_row(machine, {"case/" + c.name() + "/forward", c.forward.flops, c.forward.bytes,
                           [&c] { return forward(c); }});
    if (c.differentiable())
      register_row(machine,
                   {"case/" + c.name() + "/forward_backward", c.forward.flops + c.backward.flops,
                    c.forward.bytes + c.backward.bytes, [&c] { return forward_backward(c); }});
  }
}

}  // namespace etude::bench
