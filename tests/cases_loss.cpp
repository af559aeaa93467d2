// Cases of softmax and the losses.
#include "tests/cases.h"

namespace etude::test {
namespace {

Case softmax_case(Index rows, Index classes, double spread) {
  const auto elements = static_cast<double>(rows * classes);
  Case c;
  c.op = "softmax";
  c.label = fmt::format("{}x{} spread {}", rows, classes, spread);
  c.kernels = {"softmax"};
  c.inputs = {{"logits", {rows, classes}, Fill::normal, 0, spread, false}};
  c.run = [](const Tensors& in) -> Tensors { return {softmax(in[0])}; };
  c.reduction = static_cast<double>(classes);
  c.forward = {4 * elements, 8 * elements};
  return c;
}

Case mse_case(Shape x) {
  const auto elements = static_cast<double>(x.size());
  Case c;
  c.op = "mse_loss";
  c.label = to_string(x);
  c.kernels = {"mean_squared_error", "mean_squared_error_workspace", "scale_by"};
  c.inputs = {{"x", x}, {"target", x, Fill::normal, 0, 1, false}};
  c.run = [](const Tensors& in) -> Tensors { return {mse_loss(in[0], in[1])}; };
  c.reduction = elements;
  c.forward = {5 * elements, 12 * elements};
  c.backward = {elements, 8 * elements};
  return c;
}

}  // namespace

Case cross_entropy_case(Index rows, Index classes, double smoothing, bool weights) {
  const auto elements = static_cast<double>(rows * classes);
  Case c;
  c.op = "cross_entropy";
  c.label = fmt::format("{}x{}", rows, classes) +
            (smoothing != 0 ? fmt::format(" smoothing {}", smoothing) : "") +
            (weights ? " weights" : "");
  c.kernels = {"softmax_cross_entropy", "softmax_cross_entropy_workspace", "scale_by"};
  c.inputs = {{"logits", {rows, classes}, Fill::normal, 0, 3},
              {"labels", {rows}, Fill::labels, 0, static_cast<double>(classes), false}};
  if (weights) c.inputs.push_back({"weights", {classes}, Fill::uniform, 0.2, 2, false});
  c.run = [smoothing, weights](const Tensors& in) -> Tensors {
    return {cross_entropy(in[0], in[1], {smoothing, weights ? in[2] : Tensor{}})};
  };
  c.inputs[0].reduction = static_cast<double>(classes);
  c.reduction = elements;
  c.forward = {8 * elements, 8 * elements};
  c.backward = {elements, 8 * elements};
  return c;
}

std::vector<Case> loss_cases() {
  std::vector<Case> cases;
  cases.push_back(softmax_case(1, 1, 1));
  cases.push_back(softmax_case(3, 10, 1));
  cases.push_back(softmax_case(7, 17, 60));  // most probabilities underflow
  cases.push_back(softmax_case(64, 1000, 3));
  cases.push_back(softmax_case(9, 201, 3));
  cases.push_back(softmax_case(3, 2500, 3));  // rows that no block of registers holds
  for (const double smoothing : {0.0, 0.1})
    for (const bool weights : {false, true})
      for (const auto& [rows, classes] :
           {std::pair<Index, Index>{1, 2}, {1, 10}, {5, 3}, {64, 10}, {33, 17}, {4, 1000}})
        cases.push_back(cross_entropy_case(rows, classes, smoothing, weights));
  cases.push_back(cross_entropy_case(9, 201, 0.1, true));
  cases.push_back(cross_entropy_case(3, 2500, 0.1, true));
  cases.push_back(cross_entropy_case(1030, 3, 0, true));  // more labels than a block adds up
  for (const Shape& x : {Shape{1}, Shape{7, 2}, Shape{64, 2}, Shape{3, 5, 7}, Shape{100003}})
    cases.push_back(mse_case(x));
  return cases;
}

}  // namespace etude::test
