// Optimiser steps: one fused pass over a list of tensors, bound by memory (an SGD step with
// momentum reads three floats an element and writes two). The list is cut into pieces, and one
// parallel region walks all of them: a network's many small tensors cost no barrier each.
// Element-wise, so independent of the cut. The formulas are those of torch.optim.SGD and AdamW, and
// of torch.nn.utils.clip_grad_norm_.
#include <cmath>

#include "kernels/cpu/sum.h"

namespace etude::ETUDE_BACKEND {
namespace {

inline constexpr Index kPiece = 16384;

Index total_size(const TensorList<float>& list) {
  Index total = 0;
  for (Index t = 0; t < list.count; ++t) total += list.sizes[t];
  return total;
}

// body(tensor, begin, end) for every piece of every tensor.
template <class Body>
void for_each_piece(const TensorList<float>& list, Body&& body) {
  const auto walk = [&](Index thread, Index threads) {
    Index piece = 0;
    for (Index t = 0; t < list.count; ++t)
      for (Index begin = 0; begin < list.sizes[t]; begin += kPiece, ++piece)
        if (piece % threads == thread) body(t, begin, min_of(list.sizes[t], begin + kPiece));
  };
  [[maybe_unused]] const int threads = threads_for(kSumParts, total_size(list));
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int thread = 0; thread < threads; ++thread) walk(thread, threads);
    return;
  }
#endif
  walk(0, 1);
}

Vec splat_double(double a) { return splat(static_cast<float>(a)); }

}  // namespace

// g = grad + decay value;  momentum: buffer = momentum buffer + (1 - dampening) g (first: = g),
// g = buffer, or with Nesterov g + momentum buffer;  value -= lr g.
void sgd_step(Stream, const TensorList<float>& list, const SgdStep& step) {
  const Vec momentum = splat_double(step.momentum), keep = splat_double(1 - step.dampening);
  const Vec minus_lr = splat_double(-step.lr);
  for_each_piece(list, [&](Index t, Index begin, Index end) {
    const Vec decay = splat_double(list.decay ? list.decay[t] : 0);
    float* const value = list.value[t] + begin;
    const float* const grad = list.grad[t] + begin;
    float* const buffer = step.momentum != 0 ? list.state1[t] + begin : nullptr;
    for_each_vector(end - begin, [&](Index i, auto at) {
      const Vec w = at.load(value + i);
      Vec g = fma(decay, w, at.load(grad + i));
      if (buffer) {
        const Vec b = step.first ? g : fma(momentum, at.load(buffer + i), keep * g);
        at.store(buffer + i, b);
        g = step.nesterov ? fma(momentum, b, g) : b;
      }
      at.store(value + i, fma(minus_lr, g, w));
    });
  });
}

// value *= 1 - lr decay;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
// value -= lr m_hat / (sqrt(v_hat) + eps) with m_hat = m / (1 - beta1^step), v_hat likewise.
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
void adamw_step(Stream, const TensorList<float>& list, const AdamwStep& step) {
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  const Vec beta1 = splat_double(step.beta1), keep1 = splat_double(1 - step.beta1);
  const Vec beta2 = splat_double(step.beta2), keep2 = splat_double(1 - step.beta2);
  const Vec minus_rate = splat_double(-step.lr / correction1), eps = splat_double(step.eps);
  const Vec root_scale = splat_double(1 / std::sqrt(correction2));
  for_each_piece(list, [&](Index t, Index begin, Index end) {
    const Vec shrink = splat_double(1 - step.lr * (list.decay ? list.decay[t] : 0));
    float* const value = list.value[t] + begin;
    const float* const grad = list.grad[t] + begin;
    float* const first = list.state1[t] + begin;
    float* const second = list.state2[t] + begin;
    for_each_vector(end - begin, [&](Index i, auto at) {
      const Vec g = at.load(grad + i);
      const Vec m = fma(beta1, at.load(first + i), keep1 * g);
      const Vec v = fma(beta2, at.load(second + i), keep2 * g * g);
      at.store(first + i, m);
      at.store(second + i, v);
      const Vec update = m / fma(square_root(v), root_scale, eps);
      at.store(value + i, fma(minus_rate, update, shrink * at.load(value + i)));
    });
  });
}

void ema_step(Stream, const TensorList<float>& list, double decay) {
  const Vec old = splat_double(decay), fresh = splat_double(1 - decay);
  for_each_piece(list, [&](Index t, Index begin, Index end) {
    const float* const value = list.value[t] + begin;
    float* const average = list.state1[t] + begin;
    for_each_vector(end - begin, [&](Index i, auto at) {
      at.store(average + i, fma(old, at.load(average + i), fresh * at.load(value + i)));
    });
  });
}

// A double for each piece.
std::size_t gradient_norm_workspace(const TensorList<float>& list) {
  Index pieces = 0;
  for (Index t = 0; t < list.count; ++t) pieces += ceil_div(list.sizes[t], kPiece);
  return static_cast<std::size_t>(pieces) * sizeof(double);
}

// norm = sqrt(sum of the squares of all gradients), summed piece by piece in double.
void gradient_norm(Stream, const TensorList<float>& list, float* norm, void* work) {
  double* const partial = static_cast<double*>(work);
  const auto first_piece = [&](Index tensor) {
    Index piece = 0;
    for (Index t = 0; t < tensor; ++t) piece += ceil_div(list.sizes[t], kPiece);
    return piece;
  };
  for_each_piece(list, [&](Index t, Index begin, Index end) {
    const float* const grad = list.grad[t] + begin;
    partial[first_piece(t) + begin / kPiece] =
        serial_sum(end - begin, [&](Index i) { return static_cast<double>(grad[i]) * grad[i]; });
  });
  double squares = 0;
  for (Index piece = 0; piece < first_piece(list.count); ++piece) squares += partial[piece];
  *norm = static_cast<float>(std::sqrt(squares));
}

// A NaN norm makes every gradient NaN: the comparison is false, so the factor stays NaN.
void gradient_clip(Stream, const TensorList<float>& list, float* const* grads, const float* norm,
                   double max_norm) {
  double factor = max_norm / (*norm + 1e-6);
  if (factor > 1) factor = 1;
  const Vec f = splat_double(factor);
  for_each_piece(list, [&](Index t, Index begin, Index end) {
    float* const grad = grads[t] + begin;
    for_each_vector(end - begin,
                    [&](Index i, auto at) { at.store(grad + i, f * at.load(grad + i)); });
  });
}

}  // namespace etude::ETUDE_BACKEND
