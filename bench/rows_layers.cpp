// What is bound by memory: batch norm, pooling, element-wise work, the optimiser. Bytes count each
// tensor once for every pass that must read or write it.
#include "bench/rows.h"
#include "kernels/kernels.h"

namespace etude::bench {
namespace {

using Body = std::function<void()>;

const Kernels<float>& kernels() { return kernels_for<float>(cpu_device); }

// ---- batch norm, with ReLU ---------------------------------------------------------------------

Tensor workspace(const BatchNormShape& p) {
  return Tensor({static_cast<Index>(kernels().batch_norm_workspace(p))}, DType::u8);
}

Body batch_norm_forward(const BatchNormShape& p) {
  const Shape shape{p.rows, p.channels};
  return [p, x = random_tensor(shape), y = random_tensor(shape),
          vectors = random_tensor({6, p.channels}), work = workspace(p)] {
    float* const v = vectors.data<float>();
    const Index C = p.channels;
    kernels().batch_norm_forward({}, p, x.data<float>(), v, v + C, nullptr, v + 2 * C, v + 3 * C,
                                 y.data<float>(), v + 4 * C, v + 5 * C, work.data<std::uint8_t>());
  };
}

Body batch_norm_backward(const BatchNormShape& p) {
  const Shape shape{p.rows, p.channels};
  return
      [p, x = random_tensor(shape), y = random_tensor(shape), dy = random_tensor(shape),
       dx = random_tensor(shape), vectors = random_tensor({5, p.channels}), work = workspace(p)] {
        float* const v = vectors.data<float>();
        const Index C = p.channels;
        kernels().batch_norm_backward({}, p, x.data<float>(), y.data<float>(), dy.data<float>(), v,
                                      v + C, v + 2 * C, dx.data<float>(), v + 3 * C, v + 4 * C,
                                      nullptr, work.data<std::uint8_t>());
      };
}

void batch_norm_rows(const Machine& machine, const std::string& layer, Index rows, Index channels) {
  const BatchNormShape p{rows, channels, 1e-5, 0.1, true};
  const double size = 4.0 * static_cast<double>(p.size());
  const std::string name = "batch_norm/" + layer;
  register_row(machine, {name + "/forward", 0, 3 * size, [p] { return batch_norm_forward(p); }});
  register_row(machine, {name + "/backward", 0, 7 * size, [p] { return batch_norm_backward(p); }});
}

// ---- max-pooling
// ---------------------------------------------------------------------------------

struct PoolTensors {
  Tensor x, y, argmax;
  explicit PoolTensors(const Pool2dShape& p)
      : x(random_tensor({p.n, p.h, p.w, p.c})),
        y(random_tensor({p.n, p.p(), p.q(), p.c})),
        argmax(Tensor::zeros({p.n, p.p(), p.q(), p.c}, DType::u8)) {}
};

Body max_pool_forward(const Pool2dShape& p) {
  return [p, t = PoolTensors(p)] {
    kernels().max_pool2d_forward({}, p, t.x.data<float>(), t.y.data<float>(),
                                 t.argmax.data<std::uint8_t>());
  };
}

Body max_pool_backward(const Pool2dShape& p) {
  return [p, t = PoolTensors(p)] {
    kernels().max_pool2d_backward({}, p, t.y.data<float>(), t.argmax.data<std::uint8_t>(),
                                  t.x.data<float>());
  };
}

void max_pool_rows(const Machine& machine, const std::string& layer, const Pool2dShape& p) {
  const double bytes =
      4.0 * static_cast<double>(p.x_size()) + 5.0 * static_cast<double>(p.y_size());
  const std::string name = "max_pool2d/" + layer;
  register_row(machine, {name + "/forward", 0, bytes, [p] { return max_pool_forward(p); }});
  register_row(machine, {name + "/backward", 0, bytes, [p] { return max_pool_backward(p); }});
}

// ---- element-wise
// --------------------------------------------------------------------------------

Body add(Index n) {
  return [n, a = random_tensor({n}), b = random_tensor({n}), y = random_tensor({n})] {
    kernels().add_forward({}, n, a.data<float>(), b.data<float>(), y.data<float>());
  };
}

Body sgd_step(Index n) {
  return [n, w = random_tensor({n}), g = random_tensor({n}), m = random_tensor({n})] {
    float *value = w.data<float>(), *momentum = m.data<float>();
    const float* grad = g.data<float>();
    const TensorList<float> list{1, &n, &value, &grad, &momentum, nullptr, nullptr};
    kernels().sgd_step({}, list, {.lr = 1e-6, .momentum = 0.9});
  };
}

}  // namespace

void register_layer_rows(const Machine& machine) {
  batch_norm_rows(machine, "resnet18.bn1", 16 * 64 * 128, 64);
  batch_norm_rows(machine, "resnet18.layer1", 16 * 32 * 64, 64);
  batch_norm_rows(machine, "resnet18.layer4", 16 * 4 * 8, 512);
  max_pool_rows(machine, "resnet18.maxpool", {16, 64, 128, 64, 3, 3, 2, 2, 1, 1});
  max_pool_rows(machine, "tinyvgg.28x28", {64, 28, 28, 10, 2, 2, 2, 2});
  constexpr Index n = 11'000'000;  // the parameters of ResNet-18
  register_row(machine, {"add", 0, 12.0 * n, [] { return add(n); }});
  register_row(machine, {"sgd_step", 0, 20.0 * n, [] { return sgd_step(n); }});
}

}  // namespace etude::bench
