// Optimiser steps over a list of tensors, in double, element by element. The formulas are those of
// torch.optim.SGD and AdamW, and of torch.nn.utils.clip_grad_norm_.
#include <cmath>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

// g = grad + decay value;  momentum: buffer = momentum buffer + (1 - dampening) g (first: = g),
// g = buffer, or with Nesterov g + momentum buffer;  value -= lr g.
void sgd_step(Stream, const TensorList<T>& list, const SgdStep& step) {
  for (Index t = 0; t < list.count; ++t) {
    const double decay = list.decay ? list.decay[t] : 0;
    for (Index i = 0; i < list.sizes[t]; ++i) {
      double g = list.grad[t][i] + decay * list.value[t][i];
      if (step.momentum != 0) {
        T& buffer = list.state1[t][i];
        const double b = step.first ? g : step.momentum * buffer + (1 - step.dampening) * g;
        buffer = static_cast<T>(b);
        g = step.nesterov ? g + step.momentum * b : b;
      }
      list.value[t][i] = static_cast<T>(list.value[t][i] - step.lr * g);
    }
  }
}

// value *= 1 - lr decay;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
// value -= lr m_hat / (sqrt(v_hat) + eps) with m_hat = m / (1 - beta1^step), v_hat likewise.
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
void adamw_step(Stream, const TensorList<T>& list, const AdamwStep& step) {
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  for (Index t = 0; t < list.count; ++t) {
    const double decay = list.decay ? list.decay[t] : 0;
    for (Index i = 0; i < list.sizes[t]; ++i) {
      const double g = list.grad[t][i];
      const double m = step.beta1 * list.state1[t][i] + (1 - step.beta1) * g;
      const double v = step.beta2 * list.state2[t][i] + (1 - step.beta2) * g * g;
      list.state1[t][i] = static_cast<T>(m);
      list.state2[t][i] = static_cast<T>(v);
      const double update = m / correction1 / (std::sqrt(v / correction2) + step.eps);
      list.value[t][i] =
          static_cast<T>(list.value[t][i] * (1 - step.lr * decay) - step.lr * update);
    }
  }
}

void ema_step(Stream, const TensorList<T>& list, double decay) {
  for (Index t = 0; t < list.count; ++t)
    for (Index i = 0; i < list.sizes[t]; ++i)
      list.state1[t][i] =
          static_cast<T>(decay * list.state1[t][i] + (1 - decay) * list.value[t][i]);
}

std::size_t gradient_norm_workspace(const TensorList<T>&) { return 0; }

// norm = sqrt(sum of the squares of all gradients).
void gradient_norm(Stream, const TensorList<T>& list, T* norm, void*) {
  double squares = 0;
  for (Index t = 0; t < list.count; ++t)
    for (Index i = 0; i < list.sizes[t]; ++i)
      squares += static_cast<double>(list.grad[t][i]) * list.grad[t][i];
  *norm = static_cast<T>(std::sqrt(squares));
}

// A NaN norm makes every gradient NaN: the comparison is false, so the factor stays NaN.
void gradient_clip(Stream, const TensorList<T>& list, T* const* grads, const T* norm,
                   double max_norm) {
  double factor = max_norm / (*norm + 1e-6);
  if (factor > 1) factor = 1;
  for (Index t = 0; t < list.count; ++t)
    for (Index i = 0; i < list.sizes[t]; ++i) grads[t][i] = static_cast<T>(grads[t][i] * factor);
}

}  // namespace etude::ETUDE_BACKEND
