// The provider etude, continued: kernels that are several ops in one. What that saves, the rows of
// the single ops tell.
#include "bench/etude_kernels.h"

namespace etude::bench {
namespace {

// What backward reads of the forward pass, as tensors of `extra`: y, all let through by the ReLU,
// and winners, which go round the window. Whoever computes y for itself finds other winners where
// two numbers are nearly equal, and gradients could then not be compared.
void put_pooled(const Back& b, const Tensor& y, const Tensor& winners) {
  b.k.fill(b.stream, y.size(), 1, f(y));
  const Shape& s = y.shape();
  std::vector<std::uint8_t> bytes;
  for (Index i = 0; i < s[0] * s[1]; ++i)
    for (Index k = 0; k < s[2]; ++k) bytes.push_back(static_cast<std::uint8_t>((i + k) % 4));
  winners.copy_from(Tensor::from(bytes, s, b.device));
}

std::vector<std::pair<Shape, DType>> pooled(const Conv2dShape& p) {
  const Shape y{p.n, p.p() / 2 * (p.q() / 2), p.k};
  return {{y, DType::f32}, {y, DType::u8}};
}

}  // namespace

Kernel conv2d_pool(const Problem& problem, const Back& b) {
  const Conv2dShape p = conv2d_shape(problem);
  Kernel kernel;
  if (problem.kernel == "conv2d_pool_forward") {
    const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_pool_forward_workspace(p));
    kernel.extra = {pooled(p)[1]};
    kernel.run = [=](const Set& t) {
      b.k.conv2d_pool_forward(b.stream, p, f(t[0]), f(t[1]), nullptr, f(t[2]), u8(t[3]), u8(work));
    };
  } else {  // x, w, dy -> dw; y, winners, dx
    const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_pool_backward_workspace(p));
    kernel.extra = pooled(p);
    kernel.extra.push_back({Shape{p.n, p.h * p.w, p.c}, DType::f32});
    kernel.prepare = [=](const Set& t) { put_pooled(b, t[4], t[5]); };
    kernel.run = [=](const Set& t) {
      b.k.conv2d_pool_backward(b.stream, p, f(t[0]), f(t[1]), f(t[4]), u8(t[5]), f(t[2]), f(t[6]),
                               f(t[3]), nullptr, u8(work));
    };
  }
  return kernel;
}

Kernel conv2d_block(const Problem& problem, const Back& b) {
  const Conv2dShape first = conv2d_shape(problem);
  Conv2dShape second = first;
  second.c = first.k;
  Kernel kernel;
  if (problem.kernel == "conv2d_block_forward") {
    const Tensor work =
        b.scratch(kernel.workspace = b.k.conv2d_block_forward_workspace(first, second));
    kernel.extra = {pooled(second)[1]};
    kernel.run = [=](const Set& t) {
      b.k.conv2d_block_forward(b.stream, first, second, f(t[0]), f(t[1]), nullptr, f(t[2]), nullptr,
                               f(t[3]), u8(t[4]), u8(work));
    };
  } else {  // x, w1, w2, dy -> dw2; y, winners, dw1
    const Tensor work =
        b.scratch(kernel.workspace = b.k.conv2d_block_backward_workspace(first, second));
    kernel.extra = pooled(second);
    kernel.extra.push_back({Shape{first.k, first.r * first.s, first.c}, DType::f32});
    kernel.prepare = [=](const Set& t) { put_pooled(b, t[5], t[6]); };
    kernel.run = [=](const Set& t) {
      b.k.conv2d_block_backward(b.stream, first, second, f(t[0]), f(t[1]), nullptr, f(t[2]),
                                f(t[5]), u8(t[6]), f(t[3]), f(t[7]), nullptr, f(t[4]), nullptr,
                                u8(work));
    };
  }
  return kernel;
}

Kernel conv2d_norm(const Problem& problem, const Back& b) {
  const Conv2dShape p = conv2d_shape(problem);
  const BatchNormShape norm{p.n * p.p() * p.q(), p.k, 1e-5, 0.1, true};
  const Tensor mean = Tensor::full({p.k}, 0.1, DType::f32, b.device),
               variance = Tensor::full({p.k}, 0.9, DType::f32, b.device);
  Kernel kernel;
  if (problem.kernel == "conv2d_norm_forward") {
    const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_norm_forward_workspace(p, norm));
    kernel.extra = {{Shape{norm.rows, p.k}, DType::f32}, {Shape{2, p.k}, DType::f32}};
    kernel.run = [=](const Set& t) {
      b.k.conv2d_norm_forward(b.stream, p, norm, f(t[0]), f(t[1]), nullptr, f(t[2]), f(t[3]),
                              nullptr, nullptr, nullptr, f(t[5]), f(t[4]), f(t[6]), f(t[6]) + p.k,
                              u8(work));
    };
    return kernel;
  }
  const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_norm_inference_workspace(p));
  kernel.run = [=](const Set& t) {
    b.k.conv2d_norm_inference(b.stream, p, norm, f(t[0]), f(t[1]), nullptr, f(t[2]), f(t[3]),
                              f(mean), f(variance), nullptr, f(t[4]), u8(work));
  };
  return kernel;
}

}  // namespace etude::bench
