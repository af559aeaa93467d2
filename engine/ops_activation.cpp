// Element-wise operations and dropout.
#include "engine/dispatch.h"
#include "engine/ops.h"

namespace etude {

Tensor relu(const Tensor& x) {
  const Tensor y = empty_like(x);
  dispatch("relu", x, [&]<class T>(const Kernels<T>& k) {
    k.relu_forward(current_stream(x.device()), x.size(), x.data<T>(), y.data<T>());
  });
  return record("relu", y, {x}, [y](Tensor dy) -> Gradients {
    const Tensor dx = dy.unique() ? dy.detach() : empty_like(dy);
    dispatch(dy, [&]<class T>(const Kernels<T>& k) {
      k.relu_backward(current_stream(dy.device()), dy.size(), y.data<T>(), dy.data<T>(),
                      dx.data<T>());
    });
    return {dx};
  });
}

Tensor add(const Tensor& a, const Tensor& b) {
  check_same_place("add", a, b);
  check(a.shape() == b.shape(), "add: shapes {} and {} differ", to_string(a.shape()),
        to_string(b.shape()));
  const Tensor y = empty_like(a);
  dispatch("add", a, [&]<class T>(const Kernels<T>& k) {
    k.add_forward(current_stream(a.device()), a.size(), a.data<T>(), b.data<T>(), y.data<T>());
  });
  return record("add", y, {a, b}, [](Tensor dy) -> Gradients { return {dy, dy}; });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  check_same_place("mul", a, b);
  check(a.shape() == b.shape(), "mul: shapes {} and {} differ", to_string(a.shape()),
        to_string(b.shape()));
  const auto product = [](const Tensor& u, const Tensor& v) {
    const Tensor y = empty_like(u);
    dispatch("mul", u, [&]<class T>(const Kernels<T>& k) {
      k.mul_forward(current_stream(u.device()), u.size(), u.data<T>(), v.data<T>(), y.data<T>());
    });
    return y;
  };
  return record(
      "mul", product(a, b), {a, b},
      [product, a = b.requires_grad() ? a.detach() : Tensor{},
       b = a.requires_grad() ? b.detach() : Tensor{}](Tensor dy) -> Gradients {
        return {b.defined() ? product(dy, b) : Tensor{}, a.defined() ? product(dy, a) : Tensor{}};
      });
}

Tensor scale(const Tensor& x, double factor) {
  const auto scaled = [factor](const Tensor& u, const Tensor& y) {
    dispatch("scale", u, [&]<class T>(const Kernels<T>& k) {
      k.scale_forward(current_stream(u.device()), u.size(), factor, u.data<T>(), y.data<T>());
    });
    return y;
  };
  return record("scale", scaled(x, empty_like(x)), {x}, [scaled](Tensor dy) -> Gradients {
    return {scaled(dy, dy.unique() ? dy.detach() : empty_like(dy))};
  });
}

Tensor dropout(const Tensor& x, double p, bool training, Generator& generator) {
  check(p >= 0 && p < 1, "dropout: expected a probability in [0, 1), got {}", p);
  if (!training || p == 0) return x;
  const PhiloxState state = generator.reserve(x.size());
  const auto apply = [p, state](const Tensor& u) {
    const Tensor y = empty_like(u);
    dispatch("dropout", u, [&]<class T>(const Kernels<T>& k) {
      k.dropout(current_stream(u.device()), u.size(), p, state, u.data<T>(), y.data<T>());
    });
    return y;
  };
  // The mask is a function of the generator's state: drawn again rather than stored.
  return record("dropout", apply(x), {x}, [apply](Tensor dy) -> Gradients { return {apply(dy)}; });
}

}  // namespace etude
