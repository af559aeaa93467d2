// The suite "cases": every case of the table that the tests read (tests/cases.h). Small, odd
// shapes, through the ops, so that what a kernel costs beside its arithmetic shows.
#include "tests/cases.h"

#include "bench/cases.h"

namespace etude::bench {
namespace {

class CaseRunner final : public Runner {
 public:
  CaseRunner(const test::Case& c, bool backward_too, Device device)
      : case_(c),
        backward_too_(backward_too),
        device_(device),
        inputs_(test::make_inputs(c, DType::f32, device)) {}

  void call(int) override {
    if (backward_too_) {
      for (const Tensor& y : case_.run(inputs_))
        if (y.requires_grad()) backward(sum(y));
      for (const Tensor& x : inputs_)
        if (x.requires_grad()) x.zero_grad();
    } else {
      const NoGrad no_grad;
      case_.run(inputs_);
    }
    synchronize(device_);
  }
  std::vector<float> output(int) override { return {}; }

 private:
  const test::Case& case_;
  bool backward_too_;
  Device device_;
  test::Tensors inputs_;
};

const test::Case& find_case(const std::string& name) {
  for (const test::Case& c : test::all_cases())
    if (c.name() == name) return c;
  fail("no case '{}'", name);
}

}  // namespace

std::vector<SuiteRow> case_suite() {
  std::vector<SuiteRow> rows;
  for (const test::Case& c : test::all_cases()) {
    Problem p;
    p.values["case"] = c.name();
    p.kernel = "case_forward";
    p.flops = c.forward.flops;
    p.bytes = c.forward.bytes;
    rows.push_back({"cases", c.name(), p});
    if (!c.differentiable()) continue;
    p.kernel = "case_forward_backward";
    p.flops += c.backward.flops;
    p.bytes += c.backward.bytes;
    rows.push_back({"cases", c.name(), p});
  }
  return rows;
}

std::unique_ptr<Runner> make_case(const Problem& problem, Device device) {
  return std::make_unique<CaseRunner>(find_case(problem.text("case")),
                                      problem.kernel == "case_forward_backward", device);
}

}  // namespace etude::bench
