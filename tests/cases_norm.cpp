// Cases of batch norm and its fused forms.
#include "tests/cases.h"

namespace etude::test {

Case batch_norm_case(const Shape& x, BatchNormVariant v) {
  const Index channels = x[-1];
  const auto elements = static_cast<double>(x.size());
  const double rows = elements / static_cast<double>(channels);
  Case c;
  c.op = "batch_norm";
  c.label = to_string(x) + (v.training ? "" : " inference") + (v.residual ? " residual" : "") +
            (v.relu ? " relu" : "") + (v.offset != 0 ? fmt::format(" offset {}", v.offset) : "");
  c.kernels = {"batch_norm_workspace"};
  if (v.training)
    c.kernels.insert(c.kernels.end(), {"batch_norm_forward", "batch_norm_backward"});
  else
    c.kernels.insert(c.kernels.end(), {"batch_norm_inference", "batch_norm_inference_backward"});
  // The sums run over numbers that are 1 + offset deviations large, and only the deviations count.
  c.reduction = rows * (1 + v.offset) * (1 + v.offset);
  c.inputs = {{"x", x, Fill::normal, v.offset, 1, true, c.reduction},
              {"gamma", {channels}, Fill::uniform, 0.5, 1.5, true, c.reduction},
              {"beta", {channels}, Fill::normal, 0, 1, true, rows},
              // Away from zero: a single channel whose blend with the batch's mean cancels has no
              // digits to compare.
              {"running_mean", {channels}, Fill::uniform, v.offset + 0.5, v.offset + 1.5, false},
              {"running_var", {channels}, Fill::uniform, 0.5, 2, false}};
  if (v.residual) c.inputs.push_back({"residual", x});
  c.run = [v](const Tensors& in) -> Tensors {
    const Tensor mean = in[3].clone(), var = in[4].clone();
    const BatchNormOptions options{.training = v.training, .momentum = 0.3, .relu = v.relu};
    const Tensor y =
        batch_norm(in[0], in[1], in[2], mean, var, options, v.residual ? in[5] : Tensor{});
    return v.training ? Tensors{y, mean, var} : Tensors{y};
  };
  // Training reads x for the statistics and again to normalise.
  const double extra = v.residual ? 1 : 0;
  c.forward = {elements * (v.training ? 7 : 4), 4 * elements * (2 + extra + (v.training ? 1 : 0))};
  c.backward = {elements * (v.training ? 10 : 6), 4 * elements * (5 + (v.relu ? 2 : 0) + extra)};
  return c;
}

namespace {

Case batch_norm_pool_case(const Pool2dShape& d, bool relu, Fill fill = Fill::distinct) {
  const Shape x{d.n, d.h, d.w, d.c};
  const auto elements = static_cast<double>(d.x_size()), windows = static_cast<double>(d.y_size());
  const double rows = elements / static_cast<double>(d.c);
  Case c;
  c.op = "batch_norm_max_pool2d";
  c.label = fmt::format("{}, {}x{} stride {}x{} pad {}x{}{}{}", to_string(x), d.r, d.s, d.stride_h,
                        d.stride_w, d.pad_h, d.pad_w, relu ? " relu" : "",
                        fill == Fill::tied ? " tied" : "");
  c.kernels = {"batch_norm_pool_kept", "batch_norm_pool_forward_workspace",
               "batch_norm_pool_forward", "batch_norm_pool_backward_workspace",
               "batch_norm_pool_backward"};
  c.reduction = rows;
  // Distinct numbers: which of two that round to the same normalised number wins is not defined.
  // Among those that are equal before (`tied`), the first does; where gamma is 0, the first of all.
  c.inputs = {{"x", x, fill, 0, 1, true, rows},
              {"gamma", {d.c}, fill == Fill::tied ? fill : Fill::off_zero, 0, 1, true, rows},
              {"beta", {d.c}, Fill::normal, 0, 1, true, rows},
              {"running_mean", {d.c}, Fill::uniform, 0.5, 1.5, false},
              {"running_var", {d.c}, Fill::uniform, 0.5, 2, false}};
  c.run = [=](const Tensors& in) -> Tensors {
    const Tensor mean = in[3].clone(), var = in[4].clone();
    const BatchNormOptions options{.momentum = 0.3, .relu = relu};
    const Tensor y = batch_norm_max_pool2d(in[0], in[1], in[2], mean, var, options,
                                           {d.r, d.s, d.stride_h, d.stride_w, d.pad_h, d.pad_w});
    return {y, mean, var};
  };
  c.smooth = fill != Fill::tied;
  // x is read once forward; backward it is read, and dx written, once.
  c.forward = {elements * 4 + windows * 3, 4 * (elements + windows)};
  c.backward = {elements * 4 + windows * 4, 4 * (2 * elements + 3 * windows)};
  return c;
}

}  // namespace

std::vector<Case> norm_cases() {
  std::vector<Case> cases;
  const Shape shapes[] = {{2, 7, 5, 1},    {2, 7, 5, 3},   {3, 5, 5, 10},
                          {4, 1, 1, 17},   {2, 8, 8, 64},  {37, 33},
                          {8, 16, 16, 10}, {2, 40, 61, 3}, {1, 32, 48, 64}};
  for (const Shape& x : shapes)
    for (const bool training : {true, false})
      for (const bool residual : {false, true})
        for (const bool relu : {false, true})
          cases.push_back(batch_norm_case(x, {training, relu, residual}));
  // Rows and channels that fill neither a vector, nor a line of them, nor a block of threads.
  for (const Shape& x : {Shape{1, 53, 61, 3}, Shape{1, 23, 23, 17}, Shape{1, 5, 7, 37},
                         Shape{2, 3, 3, 132}, Shape{1, 4, 2, 527}})
    for (const bool training : {true, false})
      for (const bool fused : {false, true})
        cases.push_back(batch_norm_case(x, {training, fused, fused}));
  for (const double offset : {10.0, 100.0, 1000.0})
    cases.push_back(batch_norm_case({4, 16, 16, 17}, {.offset = offset}));
  const Pool2dShape pooled[] = {
      // n h w c, window, stride, pad
      {2, 2, 2, 1, 2, 2, 2, 2},
      {2, 8, 6, 16, 2, 2, 2, 2},
      {3, 7, 5, 17, 2, 2, 2, 2},  // rows and columns left over
      {2, 33, 70, 3, 2, 2, 2, 2},
      {2, 40, 66, 64, 2, 2, 2, 2},         // several bands an image
      {2, 8, 6, 10, 2, 1, 2, 1},           // over time
      {2, 15, 12, 5, 3, 3, 2, 2, 1, 1},    // a ResNet's stem
      {1, 26, 130, 64, 3, 3, 2, 2, 1, 1},  // bands that overlap
      {70, 6, 8, 4, 3, 3, 2, 2, 1, 1},     // more images than slices
      {1, 9, 11, 10, 3, 2, 1, 2, 1, 0},
      {2, 9, 10, 17, 2, 2, 3, 3},  // pixels that no window reads
      {1, 7, 9, 132, 3, 3, 3, 3},
  };
  for (const Pool2dShape& d : pooled)
    for (const bool relu : {false, true}) cases.push_back(batch_norm_pool_case(d, relu));
  cases.push_back(batch_norm_pool_case({4, 12, 14, 18, 2, 2, 2, 2}, true, Fill::tied));
  cases.push_back(batch_norm_pool_case({2, 12, 14, 18, 3, 3, 2, 2, 1, 1}, true, Fill::tied));
  return cases;
}

}  // namespace etude::test
