// Shape changes and reductions.
#include "engine/dispatch.h"
#include "engine/ops.h"

namespace etude {

Tensor reshape(const Tensor& x, Shape shape) {
  check(shape.size() == x.size(), "reshape: {} does not have the size of {}", to_string(shape),
        to_string(x.shape()));
  return record("reshape", x.view(shape), {x},
                [x_shape = x.shape()](Tensor dy) -> Gradients { return {dy.view(x_shape)}; });
}

Tensor flatten(const Tensor& x) {
  check(x.rank() >= 1, "flatten: expected [N, ...], got {}", to_string(x.shape()));
  const Index n = x.dim(0);
  return reshape(x, {n, n ? x.size() / n : 0});
}

Tensor sum(const Tensor& x) {
  const Tensor y = empty_like(x, {});
  dispatch("sum", x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(x.device(), k.sum_workspace(x.size()));
    k.sum(current_stream(x.device()), x.size(), x.data<T>(), y.data<T>(), work.data());
  });
  return record("sum", y, {x}, [x_shape = x.shape()](Tensor dy) -> Gradients {
    const Tensor dx = Tensor::full(x_shape, 1, dy.dtype(), dy.device());
    dispatch(dy, [&]<class T>(const Kernels<T>& k) {
      k.scale_by(current_stream(dy.device()), dx.size(), dy.data<T>(), dx.data<T>(), dx.data<T>());
    });
    return {dx};
  });
}

Tensor mean(const Tensor& x) {
  check(x.size() > 0, "mean: of no elements");
  return scale(sum(x), 1.0 / static_cast<double>(x.size()));
}

Tensor mean_std(const Tensor& x) {
  check(x.rank() == 4, "mean_std: expected x [N,H,W,C], got {}", to_string(x.shape()));
  check(x.dim(2) > 0, "mean_std: of no elements, x is {}", to_string(x.shape()));
  const MeanStdShape p{x.dim(0) * x.dim(1), x.dim(2), x.dim(3)};
  const Tensor y = empty_like(x, {x.dim(0), x.dim(1), 2, x.dim(3)});
  dispatch("mean_std", x, [&]<class T>(const Kernels<T>& k) {
    k.mean_std_forward(current_stream(x.device()), p, x.data<T>(), y.data<T>());
  });
  return record("mean_std", y, {x}, [p, x = x.detach(), y](Tensor dy) -> Gradients {
    const Tensor dx = empty_like(x);
    dispatch(dy, [&]<class T>(const Kernels<T>& k) {
      k.mean_std_backward(current_stream(dy.device()), p, x.data<T>(), y.data<T>(), dy.data<T>(),
                          dx.data<T>());
    });
    return {dx};
  });
}

}  // namespace etude
