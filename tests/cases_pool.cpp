// Cases of the pooling kernels.
#include "tests/cases.h"

namespace etude::test {
namespace {

std::string label(const Pool2dShape& d) {
  return fmt::format("{}x{}x{}x{}, {}x{} stride {}x{} pad {}x{}", d.n, d.h, d.w, d.c, d.r, d.s,
                     d.stride_h, d.stride_w, d.pad_h, d.pad_w);
}

Pool2dOptions options(const Pool2dShape& d) {
  return {d.r, d.s, d.stride_h, d.stride_w, d.pad_h, d.pad_w};
}

Case pool_case(std::string op, const Pool2dShape& d, Fill fill, double bytes_of_a_window) {
  const auto x = static_cast<double>(d.x_size()), y = static_cast<double>(d.y_size());
  const auto taps = static_cast<double>(d.r * d.s);
  Case c;
  c.op = std::move(op);
  c.label = label(d);
  c.inputs = {{"x", {d.n, d.h, d.w, d.c}, fill, 0, 1, true, taps}};
  c.reduction = taps;
  c.forward = c.backward = {y * taps, 4 * x + bytes_of_a_window * y};
  return c;
}

Case adaptive_case(const AdaptivePool2dShape& d) {
  const auto x = static_cast<double>(d.x_size()), y = static_cast<double>(d.y_size());
  const auto windows = static_cast<double>(d.p * d.q);
  Case c;
  c.op = "adaptive_avg_pool2d";
  c.label = fmt::format("{}x{}x{}x{} to {}x{}", d.n, d.h, d.w, d.c, d.p, d.q);
  c.kernels = {"adaptive_avg_pool2d_forward", "adaptive_avg_pool2d_backward"};
  c.inputs = {{"x", {d.n, d.h, d.w, d.c}, Fill::normal, 0, 1, true, windows}};
  // Averages shrink with the square root of the window, and their rounding errors with them: the
  // size of the largest partial sum over that of the result.
  c.reduction = static_cast<double>(d.h * d.w);
  c.run = [d](const Tensors& in) -> Tensors { return {adaptive_avg_pool2d(in[0], d.p, d.q)}; };
  c.forward = c.backward = {x, 4 * (x + y)};
  return c;
}

}  // namespace

Case max_pool2d_case(const Pool2dShape& d) {
  Case c = pool_case("max_pool2d", d, Fill::distinct, 4 + 1);  // a value and its index
  c.kernels = {"max_pool2d_forward", "max_pool2d_backward"};
  c.run = [d](const Tensors& in) -> Tensors { return {max_pool2d(in[0], options(d))}; };
  c.reduction = 0;  // moves numbers: exact
  // Where windows do not overlap, so does backward.
  if (d.stride_h >= d.r && d.stride_w >= d.s) c.inputs[0].reduction = 0;
  return c;
}

Case avg_pool2d_case(const Pool2dShape& d) {
  Case c = pool_case("avg_pool2d", d, Fill::normal, 4);
  c.kernels = {"avg_pool2d_forward", "avg_pool2d_backward"};
  c.run = [d](const Tensors& in) -> Tensors { return {avg_pool2d(in[0], options(d))}; };
  return c;
}

std::vector<Case> pool_cases() {
  const Pool2dShape problems[] = {
      // n h w c, window, stride, pad
      {1, 1, 1, 1, 1, 1, 1, 1},
      {1, 1, 1, 17, 3, 3, 2, 2, 1, 1},
      {1, 2, 2, 1, 2, 2, 2, 2},
      {2, 7, 5, 1, 2, 2, 2, 2},
      {2, 7, 5, 3, 2, 2, 2, 2},
      {2, 8, 6, 10, 2, 2, 2, 2},
      {2, 7, 5, 17, 2, 2, 2, 2},
      {2, 28, 28, 64, 2, 2, 2, 2},
      {1, 7, 5, 10, 2, 2, 1, 1},
      {2, 14, 12, 64, 3, 3, 2, 2, 1, 1},  // a ResNet's stem
      {2, 7, 5, 3, 3, 3, 2, 2, 1, 1},
      {1, 9, 11, 10, 3, 2, 1, 2, 1, 0},
      {1, 9, 11, 10, 2, 3, 3, 2, 0, 1},
      {2, 9, 10, 17, 2, 2, 3, 3},  // pixels that no window reads
      {1, 3, 3, 10, 5, 5, 1, 1, 2, 2},
      {1, 20, 19, 3, 15, 17, 1, 1},  // 255 taps, the most an index byte names
      {1, 64, 5, 10, 4, 1, 4, 1},
      {1, 5, 64, 1, 1, 4, 1, 4},
      {1, 4, 67, 17, 2, 2, 2, 2},  // long rows: 17, 6 and 20 channels
      {3, 5, 90, 6, 3, 3, 2, 2, 1, 1},
      {1, 6, 60, 20, 2, 2, 1, 1},
  };
  const AdaptivePool2dShape adaptive[] = {
      {1, 1, 1, 1, 1, 1},  {2, 7, 5, 3, 1, 1},   {2, 8, 8, 64, 1, 1},    {3, 4, 4, 512, 1, 1},
      {2, 7, 5, 10, 3, 2}, {1, 7, 5, 17, 7, 5},  {2, 3, 3, 10, 5, 4},    {1, 32, 75, 10, 1, 1},
      {2, 9, 7, 1, 2, 7},  {2, 7, 7, 132, 7, 7}, {1, 40, 33, 132, 2, 1}, {1, 65, 64, 1, 3, 2},
  };
  std::vector<Case> cases;
  for (const Pool2dShape& p : problems) cases.push_back(max_pool2d_case(p));
  // Among equal maxima, as ReLU leaves them, every back end must send the gradient to the first.
  for (const Pool2dShape& p : problems) {
    cases.push_back(max_pool2d_case(p));
    cases.back().label += " tied";
    cases.back().inputs[0].fill = Fill::tied;
    cases.back().smooth = false;
  }
  for (const Pool2dShape& p : problems) cases.push_back(avg_pool2d_case(p));
  for (const AdaptivePool2dShape& p : adaptive) cases.push_back(adaptive_case(p));
  return cases;
}

}  // namespace etude::test
