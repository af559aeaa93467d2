// Cases of the convolution and of the linear layer.
#include <algorithm>
#include <cmath>
#include <optional>

#include "tests/cases.h"

namespace etude::test {
namespace {

std::string pair(Index a, Index b) {
  return a == b ? fmt::format("{}", a) : fmt::format("{}x{}", a, b);
}

std::string label(const Conv2dShape& d, bool bias, bool relu) {
  std::string text = fmt::format("{}x{}x{}x{} -> {}, {}x{}", d.n, d.h, d.w, d.c, d.k, d.r, d.s);
  if (d.stride_h != 1 || d.stride_w != 1) text += " stride " + pair(d.stride_h, d.stride_w);
  if (d.pad_h != 0 || d.pad_w != 0) text += " pad " + pair(d.pad_h, d.pad_w);
  if (d.dilation_h != 1 || d.dilation_w != 1)
    text += " dilation " + pair(d.dilation_h, d.dilation_w);
  return text + (bias ? " bias" : "") + (relu ? " relu" : "");
}

// The costs and the reductions of y = conv(x, w) + bias.
void describe(Case& c, const Conv2dShape& d, bool bias) {
  const auto number = [](Index i) { return static_cast<double>(i); };
  const double x = number(d.x_size()), w = number(d.w_size()), y = number(d.y_size());
  const double pixels = number(d.n * d.p() * d.q());
  c.kernels = {"conv2d_forward",         "conv2d_forward_workspace",
               "conv2d_backward_data",   "conv2d_backward_data_workspace",
               "conv2d_backward_filter", "conv2d_backward_filter_workspace"};
  c.reduction = number(d.r * d.s * d.c);
  c.inputs[0].reduction = number(d.r * d.s * d.k);
  c.inputs[1].reduction = pixels;
  if (bias) c.inputs[2].reduction = pixels;
  c.forward = {2 * number(d.macs()), 4 * (x + w + y)};
  c.backward = {4 * number(d.macs()), 4 * (2 * x + 2 * w + 2 * y)};
}

}  // namespace

Case conv2d_case(const Conv2dShape& d, bool bias, bool relu) {
  Case c;
  c.op = "conv2d";
  c.label = label(d, bias, relu);
  c.inputs = {{"x", {d.n, d.h, d.w, d.c}}, {"w", {d.k, d.r, d.s, d.c}}};
  if (bias) c.inputs.push_back({"bias", {d.k}});
  const Conv2dOptions options{d.stride_h,   d.stride_w,   d.pad_h, d.pad_w,
                              d.dilation_h, d.dilation_w, relu};
  c.run = [bias, options](const Tensors& in) -> Tensors {
    return {conv2d(in[0], in[1], bias ? in[2] : Tensor{}, options)};
  };
  describe(c, d, bias);
  return c;
}

Case linear_case(Index n, Index inputs, Index outputs, bool bias) {
  Case c;
  c.op = "linear";
  c.label = fmt::format("{}x{} -> {}{}", n, inputs, outputs, bias ? " bias" : "");
  c.inputs = {{"x", {n, inputs}}, {"w", {outputs, inputs}}};
  if (bias) c.inputs.push_back({"bias", {outputs}});
  c.run = [bias](const Tensors& in) -> Tensors {
    return {linear(in[0], in[1], bias ? in[2] : Tensor{})};
  };
  describe(c, {n, 1, 1, inputs, outputs, 1, 1}, bias);
  return c;
}

namespace {

Case conv2d_pool_case(const Conv2dShape& d, bool bias, Fill x = Fill::normal) {
  Case c = conv2d_case(d, bias, false);
  c.op = "conv2d_relu_max_pool2d";
  c.inputs[0].fill = x;
  const Conv2dOptions options{d.stride_h, d.stride_w, d.pad_h, d.pad_w, d.dilation_h, d.dilation_w};
  c.run = [bias, options](const Tensors& in) -> Tensors {
    return {conv2d_relu_max_pool2d(in[0], in[1], bias ? in[2] : Tensor{}, options)};
  };
  c.kernels = {"conv2d_pool_forward", "conv2d_pool_forward_workspace", "conv2d_pool_backward",
               "conv2d_pool_backward_workspace"};
  c.smooth = x == Fill::normal;
  return c;
}

// The shape is the first convolution's; the second has as many outputs and the same filter size.
Case vgg_block_case(const Conv2dShape& d, bool bias) {
  const Conv2dShape second{d.n,        d.p(),      d.q(),   d.k,     d.k,          d.r,         d.s,
                           d.stride_h, d.stride_w, d.pad_h, d.pad_w, d.dilation_h, d.dilation_w};
  Case c;
  c.op = "vgg_block";
  c.label = label(d, bias, false);
  c.inputs = {
      {"x", {d.n, d.h, d.w, d.c}}, {"w1", {d.k, d.r, d.s, d.c}}, {"w2", {d.k, d.r, d.s, d.k}}};
  c.inputs[0].differentiable = false;
  if (bias) {
    c.inputs.push_back({"bias1", {d.k}});
    c.inputs.push_back({"bias2", {d.k}});
  }
  const Conv2dOptions options{d.stride_h, d.stride_w, d.pad_h, d.pad_w, d.dilation_h, d.dilation_w};
  c.run = [bias, options](const Tensors& in) -> Tensors {
    const Tensor none;
    return {vgg_block(in[0], in[1], bias ? in[3] : none, in[2], bias ? in[4] : none, options)};
  };
  c.kernels = {"conv2d_block_forward", "conv2d_block_forward_workspace", "conv2d_block_backward",
               "conv2d_block_backward_workspace"};
  const auto number = [](Index i) { return static_cast<double>(i); };
  c.reduction = number(d.r * d.s * d.k);
  for (std::size_t i = 1; i < c.inputs.size(); ++i)
    c.inputs[i].reduction = number(d.n * d.p() * d.q());
  const double macs = number(d.macs() + second.macs());
  const double weights = number(d.w_size() + second.w_size());
  const double x = number(d.x_size()), y = number(second.y_size()) / 4;
  c.forward = {2 * macs, 4 * (x + weights + y)};
  c.backward = {2 * macs + 2 * number(second.macs()), 4 * (x + 2 * weights + y)};
  return c;
}

// Convolution and batch norm, in training with the statistics that the convolution makes, or in
// evaluation, where nothing is recorded.
Case conv2d_norm_case(const Conv2dShape& d, bool bias, BatchNormVariant v) {
  Case c = conv2d_case(d, bias, false);
  c.op = "conv2d_batch_norm";
  c.label += std::string(v.training ? " training" : "") + (v.relu ? " relu" : "") +
             (v.residual ? " residual" : "") +
             (v.offset != 0 ? fmt::format(" offset {}", v.offset) : "") +
             (v.outlier != 0 ? fmt::format(" outlier {}", v.outlier) : "");
  const std::size_t first = c.inputs.size();
  const Shape y{d.n, d.p(), d.q(), d.k};
  const auto elements = static_cast<double>(y.size());
  const double rows = elements / static_cast<double>(d.k);
  for (const char* name : {"gamma", "beta", "running_mean"})
    c.inputs.push_back({name, {d.k}, Fill::normal});
  c.inputs.push_back({"running_var", {d.k}, Fill::uniform, 0.5, 2, false});
  c.inputs[first + 2].differentiable = false;
  if (v.residual) c.inputs.push_back({"residual", y, Fill::normal});
  const Conv2dOptions conv{d.stride_h, d.stride_w, d.pad_h, d.pad_w, d.dilation_h, d.dilation_w};
  const BatchNormOptions norm{.training = v.training, .relu = v.relu};
  c.run = [=](const Tensors& in) -> Tensors {
    std::optional<NoGrad> no_grad;
    if (!v.training) no_grad.emplace();
    const Tensor mean = in[first + 2].clone(), var = in[first + 3].clone();
    const Tensor normed =
        conv2d_batch_norm(in[0], in[1], bias ? in[2] : Tensor{}, conv, in[first], in[first + 1],
                          mean, var, norm, v.residual ? in[first + 4] : Tensor{});
    return v.training ? Tensors{normed, mean, var} : Tensors{normed};
  };
  // In training the convolution's output is read again to be normalised.
  const double extra = v.residual ? 1 : 0;
  c.forward.flops += elements * (v.training ? 7 : 4);
  c.forward.bytes += 4 * elements * (extra + (v.training ? 2 : 0));
  if (!v.training) {
    for (Input& input : c.inputs) input.differentiable = false;
    c.kernels = {"conv2d_norm_inference", "conv2d_norm_inference_workspace"};
    c.backward = {};
    return c;
  }
  c.kernels = {"conv2d_norm_forward",    "conv2d_norm_forward_workspace",
               "batch_norm_backward",    "batch_norm_workspace",
               "conv2d_backward_data",   "conv2d_backward_data_workspace",
               "conv2d_backward_filter", "conv2d_backward_filter_workspace"};
  c.backward.flops += elements * 10;
  c.backward.bytes += 4 * elements * (5 + (v.relu ? 2 : 0) + extra);
  if (v.outlier != 0) {
    c.inputs[0].fill = Fill::outlier;
    c.inputs[0].a = v.outlier;
  }
  if (bias) {
    // The mean takes it away again: it has no gradient, and beside the deviations, its size counts.
    // The convolution of normal numbers deviates by the root of what an output sums.
    const double deviation = std::sqrt(static_cast<double>(d.r * d.s * d.c));
    c.inputs[2] = {"bias", {d.k}, Fill::normal, v.offset * deviation, 1, false};
  }
  // Every gradient goes through sums over the rows, then through those of the convolution.
  const double scale = (1 + v.offset) * (1 + v.offset);
  c.reduction = (c.reduction + rows) * scale;
  for (Input& input : c.inputs) input.reduction = c.reduction + input.reduction;
  return c;
}

}  // namespace

std::vector<Case> conv_cases() {
  struct Problem {
    Conv2dShape shape;  // n h w c, k r s, stride, pad, dilation
    bool bias = false, relu = false;
  };
  const Problem problems[] = {
      // The smallest images.
      {{1, 1, 1, 1, 1, 1, 1}},
      {{1, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1}},
      {{1, 1, 1, 17, 10, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 2, 1, 3, 5, 3, 3, 2, 2, 1, 1}, true},
      // Filters larger than the image, which only the padding makes possible.
      {{1, 3, 2, 3, 4, 5, 5, 1, 1, 2, 2}, true},
      {{2, 2, 3, 10, 10, 7, 7, 2, 2, 3, 3}},
      {{1, 4, 4, 2, 3, 3, 3, 1, 1, 3, 2, 3, 3}},
      // Every channel count of a TinyVGG, and neighbours, on an image without symmetry.
      {{1, 7, 5, 1, 10, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 7, 5, 3, 10, 3, 3}, true},
      {{2, 7, 5, 10, 10, 3, 3, 1, 1, 1, 1}, true, true},
      {{3, 7, 5, 10, 10, 3, 3}, false},
      {{2, 7, 5, 17, 3, 3, 3, 1, 1, 1, 1}},
      {{1, 7, 5, 64, 64, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 7, 5, 3, 1, 3, 3, 1, 1, 1, 1}},
      {{1, 9, 37, 10, 10, 3, 3, 1, 1, 1, 1}, true, true},  // wider than one tile
      {{2, 28, 28, 1, 10, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 14, 14, 32, 32, 3, 3, 1, 1, 1, 1}, true, true},
      {{1, 11, 13, 33, 65, 3, 3, 1, 1, 1, 1}, true},
      // Strides, equal and not, and padding that differs between the axes.
      {{2, 8, 8, 64, 64, 3, 3, 2, 2, 1, 1}},
      {{2, 9, 7, 17, 10, 3, 3, 2, 2, 1, 1}, true, true},
      {{1, 10, 11, 3, 17, 3, 3, 3, 3, 1, 1}, true},
      {{2, 9, 12, 10, 17, 3, 3, 1, 2, 1, 0}},
      {{2, 9, 12, 3, 10, 3, 5, 3, 1, 0, 2}, true, true},
      {{1, 8, 8, 10, 10, 2, 2, 2, 2}, true},
      {{1, 5, 6, 4, 6, 2, 3, 3, 2, 1, 2}},  // a stride larger than the filter skips pixels
      // Stem filters.
      {{1, 33, 31, 1, 64, 7, 7, 2, 2, 3, 3}},
      {{2, 18, 20, 3, 16, 7, 7, 2, 2, 3, 3}},
      {{1, 12, 10, 1, 8, 5, 3, 1, 1, 2, 1}, true},
      // Dilation.
      {{1, 12, 11, 10, 10, 3, 3, 1, 1, 2, 2, 2, 2}, true, true},
      {{2, 13, 9, 3, 17, 3, 2, 2, 1, 2, 1, 2, 3}},
      // 1x1, plain and strided (the shortcuts of a ResNet).
      {{2, 7, 5, 64, 17, 1, 1}, true},
      {{2, 8, 6, 64, 128, 1, 1, 2, 2}},
      {{1, 7, 5, 10, 3, 1, 1, 3, 2}, true, true},
      // Many channels and few pixels, and the reverse.
      {{2, 4, 4, 256, 64, 3, 3, 1, 1, 1, 1}},
      {{1, 4, 8, 128, 128, 3, 3, 1, 1, 1, 1}, true, true},
      {{1, 64, 96, 10, 10, 3, 3, 1, 1, 1, 1}, true, true},
      {{17, 6, 6, 16, 16, 3, 3, 1, 1, 1, 1}},
      {{2, 1, 40, 5, 7, 1, 9, 1, 1, 0, 4}, true},  // one row
      {{2, 40, 1, 5, 7, 9, 1, 1, 1, 4, 0}, true},  // one column
      // Few channels: each block size of the direct kernels, tiles of every shape, several channel
      // stages, runs of taps, strides of which each phase is a problem of its own.
      {{1, 9, 33, 16, 16, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 6, 14, 12, 12, 3, 3, 1, 1, 1, 1}, true},
      {{5, 6, 5, 8, 7, 3, 3, 1, 1, 1, 1}, true},
      {{1, 10, 34, 1, 64, 3, 3, 1, 1, 1, 1}, true, true},
      {{3, 128, 64, 1, 64, 3, 3, 1, 1, 1, 1}, true},  // several tiles a slice
      {{1, 9, 33, 64, 5, 3, 3, 1, 1, 1, 1}, true, true},
      {{1, 5, 38, 13, 11, 3, 3, 1, 1, 1, 1}, true},
      {{1, 16, 40, 2, 20, 3, 3, 1, 1, 1, 1}},
      {{2, 16, 12, 2, 20, 5, 5, 1, 1, 2, 2}, true},
      {{1, 8, 40, 4, 9, 1, 9, 1, 1, 0, 4}, true},
      {{1, 18, 35, 3, 64, 7, 7, 2, 2, 3, 3}, true, true},
      {{2, 20, 21, 10, 10, 3, 3, 2, 2, 1, 1}, true},
      {{1, 16, 19, 16, 10, 5, 4, 2, 3, 2, 1}, true},
      {{1, 20, 18, 3, 10, 3, 3, 1, 1, 3, 3, 3, 3}, true},
      {{1, 21, 40, 6, 12, 3, 3, 2, 1, 1, 2, 1, 2}, true, true},
      // Matrix products on the GPU: channels and outputs that fill no tile, in vectors and not.
      {{2, 9, 7, 20, 36, 3, 3, 1, 1, 1, 1}, true, true},
      {{1, 6, 7, 36, 20, 3, 3, 1, 1, 1, 1}, true},
      {{1, 5, 6, 68, 35, 3, 3, 1, 1, 1, 1}, true, true},
      {{1, 3, 50, 21, 24, 1, 35, 1, 1, 0, 17}, true},       // more taps than bits in a word
      {{1, 5, 6, 20, 24, 2, 2, 1, 1, 3, 2}},                // more padding than taps
      {{2, 13, 11, 20, 24, 3, 3, 4, 2, 2, 1, 2, 3}, true},  // phases that meet every other tap
      {{1, 9, 10, 36, 24, 2, 2, 3, 3}, true},               // phases without taps
      {{4, 64, 64, 36, 36, 1, 1}, true},                    // enough rows for the largest tiles
      {{1, 4, 4, 512, 40, 3, 3, 1, 1, 1, 1}, true, true},   // long sums, few of them
      // Channels that are padded to a multiple of 4: of x, of dy, of both; in every phase of a
      // stride; few sums (one slice) and long ones.
      {{2, 9, 8, 18, 33, 3, 3, 2, 2, 1, 1}, true, true},
      {{1, 7, 11, 33, 18, 3, 2, 2, 3, 1, 0}, true},
      {{3, 6, 5, 66, 17, 1, 1, 2, 2}},
      {{1, 5, 4, 17, 66, 2, 3, 1, 2, 1, 1, 2, 1}, true},
      {{2, 6, 6, 20, 66, 3, 3, 2, 2, 1, 1}},
      {{2, 6, 6, 66, 20, 3, 3, 3, 3, 1, 1}, true},
      {{1, 4, 4, 17, 18, 3, 3}},
      {{2, 24, 24, 33, 33, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 20, 18, 1, 66, 5, 5, 2, 2, 2, 2}, true},  // a stem that the direct kernels leave
      // Winograd on the CPU: tiles cut by the edge in each way, padding of 0, 2 and more than the
      // filter reaches; many tiles, in chunks and not; more channels than a run, than a thread
      // keeps.
      {{1, 5, 6, 12, 20, 3, 3, 1, 1, 2, 2}, true, true},
      {{1, 4, 7, 16, 8, 3, 3, 1, 1, 3, 0}, true},
      {{2, 3, 9, 17, 16, 3, 3, 1, 1, 0, 2}},
      {{2, 41, 43, 20, 36, 3, 3, 1, 1, 1, 1}, true, true},
      {{2, 75, 76, 66, 3, 3, 3, 1, 1, 1, 1}},
      {{1, 40, 39, 260, 4, 3, 3, 1, 1, 1, 1}, true},
      {{1, 48, 47, 260, 3, 3, 3, 1, 1, 1, 1}, true, true},
  };
  std::vector<Case> cases;
  for (const Problem& p : problems) cases.push_back(conv2d_case(p.shape, p.bias, p.relu));
  // 3x3, stride 1, every width up to 40: tiles of the algorithms that cut a row into tiles, whole
  // and not, with channel counts around theirs and every padding.
  constexpr Index channels[] = {1, 3, 5, 10, 16, 17};
  for (Index i = 1; i <= 40; ++i) {
    const Index pad = i < 3 ? 1 + i % 2 : i % 3, height = 3 + i * 7 % 9;
    const Index c = channels[i % 6], k = channels[(i / 6 + i) % 6];
    cases.push_back(conv2d_case({1 + i % 2, height, i, c, k, 3, 3, 1, 1, pad, pad}, true, i % 2));
  }
  // Convolution, ReLU and pooling in one: sides that the window halves and that it does not.
  const Problem pooled[] = {
      {{1, 2, 2, 1, 1, 1, 1}, true},
      {{1, 2, 2, 10, 10, 3, 3, 1, 1, 1, 1}, true},
      {{2, 7, 5, 1, 10, 3, 3, 1, 1, 1, 1}, true},
      {{1, 7, 5, 3, 5, 3, 3, 1, 1, 0, 0}, true},
      {{1, 8, 12, 10, 10, 3, 3, 1, 1, 1, 1}},
      {{2, 9, 37, 10, 10, 3, 3, 1, 1, 1, 1}, true},
      {{1, 13, 70, 10, 16, 3, 3, 1, 1, 2, 2}, true},
      {{5, 14, 14, 17, 3, 3, 3, 1, 1, 0, 0}, true},
      {{5, 28, 28, 10, 10, 3, 3, 1, 1, 1, 1}, true},
      {{2, 40, 33, 5, 17, 3, 3, 1, 1, 0, 1}, true},
      {{1, 11, 9, 33, 40, 3, 3, 1, 1, 1, 1}, true},
      {{3, 18, 22, 64, 64, 3, 3, 1, 1, 1, 1}, true},
      {{2, 13, 19, 40, 70, 3, 3, 1, 1, 0, 2}},
      {{2, 12, 11, 4, 6, 5, 3, 2, 1, 2, 1}, true},
  };
  for (const Problem& p : pooled) cases.push_back(conv2d_pool_case(p.shape, p.bias));
  // All four of a window equal: the first gets the gradient.
  cases.push_back(conv2d_pool_case({1, 6, 21, 10, 10, 3, 3, 1, 1, 1, 1}, true, Fill::none));
  cases.back().label += " of zeros";
  // With batch norm, for each algorithm; sums cut into several, widths that fill no vector.
  const Problem normed[] = {
      {{2, 7, 5, 3, 10, 3, 3, 1, 1, 1, 1}, true},
      {{2, 12, 14, 10, 10, 3, 3, 1, 1, 1, 1}},
      {{2, 13, 11, 3, 37, 7, 7, 2, 2, 3, 3}},
      {{2, 8, 9, 80, 17, 3, 3, 2, 2, 1, 1}, true},
      {{3, 6, 5, 33, 70, 1, 1, 2, 2}},
      {{2, 16, 15, 32, 48, 3, 3, 1, 1, 1, 1}},
      {{2, 8, 6, 64, 40, 3, 3, 1, 1, 1, 1}, true},
      {{1, 4, 4, 130, 67, 3, 3, 1, 1, 1, 1}},
  };
  for (const Problem& p : normed)
    for (const bool relu : {false, true})
      for (const bool residual : {false, true})
        for (const bool training : {false, true})
          cases.push_back(conv2d_norm_case(
              p.shape, p.bias, {.training = training, .relu = relu, .residual = residual}));
  // Means far from zero, and a task's pixels in several images.
  for (const Conv2dShape& d :
       {Conv2dShape{7, 6, 5, 64, 40, 3, 3, 1, 1, 1, 1}, Conv2dShape{9, 7, 7, 16, 33, 1, 1},
        Conv2dShape{40, 8, 8, 32, 32, 3, 3, 1, 1, 1, 1}})
    for (const double offset : {100.0, 1000.0})
      cases.push_back(conv2d_norm_case(d, true, {.training = true, .offset = offset}));
  // A first pixel far from the others, about which a task sums them: in some channels, in all.
  for (const double outlier : {10.0, 1000.0})
    for (const Conv2dShape& d :
         {Conv2dShape{9, 7, 7, 16, 33, 1, 1}, Conv2dShape{7, 6, 5, 64, 40, 3, 3, 1, 1, 1, 1}})
      cases.push_back(conv2d_norm_case(d, false, {.training = true, .outlier = outlier}));
  // Several chunks of Winograd's tiles, the last of them shorter; several panels of outputs.
  for (const Conv2dShape& d : {Conv2dShape{1, 48, 47, 260, 3, 3, 3, 1, 1, 1, 1},
                               Conv2dShape{2, 41, 43, 20, 36, 3, 3, 1, 1, 1, 1}})
    cases.push_back(conv2d_norm_case(d, false, {.training = true}));
  // Two convolutions and pooling in one: the first of one channel, as in a spectrogram, and not.
  const Problem blocks[] = {
      {{1, 2, 2, 1, 1, 3, 3, 1, 1, 1, 1}, true},    {{1, 2, 3, 1, 10, 3, 3, 1, 1, 1, 1}, true},
      {{2, 7, 5, 1, 10, 3, 3, 1, 1, 1, 1}, true},   {{1, 9, 6, 1, 3, 3, 3}, true},  // no padding
      {{1, 10, 70, 1, 10, 3, 3, 1, 1, 1, 1}},       {{3, 13, 37, 1, 5, 3, 3, 1, 1, 1, 1}, true},
      {{1, 21, 75, 1, 7, 3, 3, 1, 1, 2, 2}, true},  {{2, 8, 9, 1, 10, 3, 3, 1, 1, 0, 1}, true},
      {{5, 28, 28, 1, 10, 3, 3, 1, 1, 1, 1}, true}, {{1, 40, 66, 1, 10, 3, 3, 1, 1, 1, 1}, true},
      {{9, 24, 31, 1, 10, 3, 3, 1, 1, 0, 0}, true}, {{2, 22, 33, 1, 16, 3, 3, 1, 1, 1, 1}, true},
      {{1, 26, 41, 1, 32, 3, 3, 1, 1, 1, 1}, true}, {{2, 12, 11, 3, 10, 3, 3, 1, 1, 1, 1}, true},
      {{1, 15, 14, 2, 4, 5, 3, 1, 2, 2, 1}, true},
  };
  for (const Problem& p : blocks) cases.push_back(vgg_block_case(p.shape, p.bias));
  for (const bool bias : {false, true}) {
    cases.push_back(linear_case(1, 1, 1, bias));
    cases.push_back(linear_case(5, 3, 10, bias));
    cases.push_back(linear_case(7, 17, 64, bias));
    cases.push_back(linear_case(64, 512, 9, bias));
    cases.push_back(linear_case(33, 100, 37, bias));
    cases.push_back(linear_case(2, 5070, 3, bias));
    cases.push_back(linear_case(101, 37, 530, bias));
  }
  return cases;
}

}  // namespace etude::test
