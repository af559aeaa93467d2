// Cases of the sums and of mean and deviation.
#include "tests/cases.h"

namespace etude::test {
namespace {

Case sum_case(Index n, Fill fill) {
  const auto elements = static_cast<double>(n);
  Case c;
  c.op = "sum";
  c.label = fmt::format("{}{}", n, fill == Fill::normal ? " around 0" : "");
  c.kernels = {"sum", "sum_workspace", "fill", "scale_by"};
  c.inputs = {{"x", {n}, fill, 0, 1}};
  c.run = [](const Tensors& in) -> Tensors { return {sum(in[0]), mean(in[0])}; };
  c.reduction = elements;
  c.forward = {elements, 4 * elements};
  c.backward = {0, 4 * elements};
  return c;
}

Case mean_std_case(Shape x, bool constant = false) {
  const auto elements = static_cast<double>(x.size());
  Case c;
  c.op = "mean_std";
  c.label = to_string(x) + (constant ? " constant" : "");
  c.kernels = {"mean_std_forward", "mean_std_backward"};
  c.inputs = {{"x", x, constant ? Fill::uniform : Fill::normal, 0.1, constant ? 0.1 : 1}};
  c.smooth = !constant;
  c.run = [](const Tensors& in) -> Tensors { return {mean_std(in[0])}; };
  c.reduction = static_cast<double>(x[2]);
  c.forward = {4 * elements, 4 * elements};
  c.backward = {4 * elements, 8 * elements};
  return c;
}

}  // namespace

std::vector<Case> reduce_cases() {
  std::vector<Case> cases;
  // Numbers around 0 cancel, so that a change in the order of the sum shows in its last bits.
  for (const Index n : {1, 3, 17, 1000, 4097, 33333, 100003}) {
    cases.push_back(sum_case(n, Fill::uniform));
    cases.push_back(sum_case(n, Fill::normal));
  }
  for (const Shape& x :
       {Shape{1, 1, 1, 1}, Shape{1, 1, 7, 1}, Shape{2, 3, 5, 17}, Shape{2, 64, 130, 1},
        Shape{3, 5, 33, 10}, Shape{1, 2, 150, 40}, Shape{1, 1, 5000, 1}})
    cases.push_back(mean_std_case(x));
  cases.push_back(mean_std_case({1, 2, 150, 5}, true));  // a deviation of exactly 0
  return cases;
}

}  // namespace etude::test
