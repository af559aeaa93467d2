// Convolution: forward, data gradient and filter gradient of every layer of the suite.
#include "bench/rows.h"
#include "bench/suites.h"
#include "kernels/kernels.h"

namespace etude::bench {
namespace {

const Kernels<float>& kernels() { return kernels_for<float>(cpu_device); }

Tensor scratch(std::size_t bytes) { return Tensor({static_cast<Index>(bytes)}, DType::u8); }

struct Tensors {
  Tensor x, w, y;
  explicit Tensors(const Conv2dShape& p)
      : x(random_tensor({p.n, p.h, p.w, p.c})),
        w(random_tensor({p.k, p.r, p.s, p.c})),
        y(random_tensor({p.n, p.p(), p.q(), p.k})) {}
};

std::function<void()> forward(const Conv2dShape& p) {
  return [p, t = Tensors(p), bias = random_tensor({p.k}),
          work = scratch(kernels().conv2d_forward_workspace(p))] {
    kernels().conv2d_forward({}, p, t.x.data<float>(), t.w.data<float>(), bias.data<float>(), true,
                             t.y.data<float>(), work.data<std::uint8_t>());
  };
}

std::function<void()> backward_data(const Conv2dShape& p) {
  return [p, t = Tensors(p), work = scratch(kernels().conv2d_backward_data_workspace(p))] {
    kernels().conv2d_backward_data({}, p, t.y.data<float>(), t.w.data<float>(), t.x.data<float>(),
                                   work.data<std::uint8_t>());
  };
}

std::function<void()> backward_filter(const Conv2dShape& p) {
  return [p, t = Tensors(p), bias = random_tensor({p.k}),
          work = scratch(kernels().conv2d_backward_filter_workspace(p))] {
    kernels().conv2d_backward_filter({}, p, t.x.data<float>(), t.y.data<float>(), t.w.data<float>(),
                                     bias.data<float>(), work.data<std::uint8_t>());
  };
}

}  // namespace

void register_conv_rows(const Machine& machine) {
  for (const ConvLayer& layer : conv_layers) {
    const Conv2dShape p = layer.shape;
    const double flops = 2.0 * static_cast<double>(p.macs());
    const double bytes = 4.0 * static_cast<double>(p.x_size() + p.w_size() + p.y_size());
    const std::string name = std::string("conv2d/") + layer.name;
    register_row(machine, {name + "/forward", flops, bytes, [p] { return forward(p); }});
    if (p.c > 1)  // a network's input has no gradient
      register_row(machine,
                   {name + "/backward_data", flops, bytes, [p] { return backward_data(p); }});
    register_row(machine,
                 {name + "/backward_filter", flops, bytes, [p] { return backward_filter(p); }});
  }
}

}  // namespace etude::bench
