// Losses, all arithmetic in double.
#include <cmath>
#include <limits>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {
namespace {

struct RowSum {
  double max = -std::numeric_limits<double>::infinity();
  double sum = 0;  // of exp(x - max)
};

// The maximum is taken out so that exp cannot overflow. A NaN reaches `sum` through exp.
RowSum sum_exp(const T* x, Index classes) {
  RowSum row;
  for (Index j = 0; j < classes; ++j)
    if (x[j] > row.max) row.max = x[j];
  for (Index j = 0; j < classes; ++j) row.sum += std::exp(x[j] - row.max);
  return row;
}

}  // namespace

// y = exp(x - max) / sum exp(x - max), row by row.
void softmax(Stream, Index rows, Index classes, const T* x, T* y) {
  for (Index i = 0; i < rows; ++i) {
    const T* xi = x + i * classes;
    const RowSum row = sum_exp(xi, classes);
    for (Index j = 0; j < classes; ++j)
      y[i * classes + j] = static_cast<T>(std::exp(xi[j] - row.max) / row.sum);
  }
}

std::size_t softmax_cross_entropy_workspace(const CrossEntropyShape&) { return 0; }

// With log p = log softmax(x), label t of row i, weights w (1 where not given), smoothing e over
// C classes, and W = sum over rows of w[t]:
//
//   loss = sum over rows of ((1 - e) w[t] (-log p[t]) + e / C sum over j of w[j] (-log p[j])) / W
//   dlogits[j] = ((1 - e) w[t] (p[j] - [j = t]) + e / C (p[j] sum of w - w[j])) / W
//
// A label outside [0, C) makes the loss and the gradient NaN rather than reading past the row.
void softmax_cross_entropy(Stream, const CrossEntropyShape& d, const T* logits,
                           const std::int64_t* labels, const T* weights, T* loss, T* dlogits,
                           void*) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto weight = [&](Index j) { return weights ? static_cast<double>(weights[j]) : 1.0; };
  const double smooth = d.label_smoothing / static_cast<double>(d.classes);
  double all_weights = 0;
  for (Index j = 0; j < d.classes; ++j) all_weights += weight(j);
  double total_weight = 0;  // W
  for (Index i = 0; i < d.rows; ++i)
    total_weight += labels[i] >= 0 && labels[i] < d.classes ? weight(labels[i]) : nan;

  double total = 0;
  for (Index i = 0; i < d.rows; ++i) {
    const T* x = logits + i * d.classes;
    const RowSum row = sum_exp(x, d.classes);
    const double log_sum = row.max + std::log(row.sum);
    const Index t = labels[i];
    const bool valid = t >= 0 && t < d.classes;
    const double main = valid ? (1 - d.label_smoothing) * weight(t) : nan;
    if (valid) total += main * (log_sum - x[t]);
    if (smooth != 0)
      for (Index j = 0; j < d.classes; ++j) total += smooth * weight(j) * (log_sum - x[j]);
    for (Index j = 0; j < d.classes; ++j) {
      const double p = std::exp(x[j] - row.max) / row.sum;
      const double g = main * (p - (j == t ? 1 : 0)) + smooth * (p * all_weights - weight(j));
      dlogits[i * d.classes + j] = static_cast<T>(g / total_weight);
    }
  }
  *loss = static_cast<T>(total / total_weight);
}

std::size_t mean_squared_error_workspace(Index) { return 0; }

// loss = sum (x - target)^2 / n,  dx = 2 (x - target) / n.
void mean_squared_error(Stream, Index n, const T* x, const T* target, T* loss, T* dx, void*) {
  double total = 0;
  for (Index i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - target[i];
    total += d * d;
    dx[i] = static_cast<T>(2 * d / static_cast<double>(n));
  }
  *loss = static_cast<T>(total / static_cast<double>(n));
}

}  // namespace etude::ETUDE_BACKEND
