// Losses. Rows are independent; their losses meet in double, in order. Exponentials are float32,
// sums double.
#include <cmath>
#include <limits>

#include "kernels/cpu/sum.h"

namespace etude::ETUDE_BACKEND {
namespace {

// e[j] = exp(x[j] - max); returns their sum. The maximum is taken out so that exp cannot overflow.
// A NaN reaches the sum through exp.
double exponentials(const float* x, Index classes, float* e, float& max) {
  max = -std::numeric_limits<float>::infinity();
  for (Index j = 0; j < classes; ++j)
    if (x[j] > max) max = x[j];
  double total = 0;
  for (Index j = 0; j < classes; ++j) total += e[j] = std::exp(x[j] - max);
  return total;
}

}  // namespace

void softmax(Stream, Index rows, Index classes, const float* x, float* y) {
  parallel_for(rows, rows * classes * 16, [&](Index i) {
    float* const out = y + i * classes;
    float max;
    const double scale = 1 / exponentials(x + i * classes, classes, out, max);
    for (Index j = 0; j < classes; ++j) out[j] = static_cast<float>(out[j] * scale);
  });
}

std::size_t softmax_cross_entropy_workspace(const CrossEntropyShape& p) {
  return static_cast<std::size_t>(p.rows) * sizeof(double);
}

// With log p = log softmax(x), label t of row i, weights w (1 where not given), smoothing e over
// C classes, and W = sum over rows of w[t]:
//
//   loss = sum over rows of ((1 - e) w[t] (-log p[t]) + e / C sum over j of w[j] (-log p[j])) / W
//   dlogits[j] = ((1 - e) w[t] (p[j] - [j = t]) + e / C (p[j] sum of w - w[j])) / W
//
// A label outside [0, C) makes the loss and the gradient NaN rather than reading past the row.
// `work` holds a loss for each row.
void softmax_cross_entropy(Stream, const CrossEntropyShape& p, const float* logits,
                           const std::int64_t* labels, const float* weights, float* loss,
                           float* dlogits, void* work) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto weight = [&](Index j) { return weights ? static_cast<double>(weights[j]) : 1.0; };
  const auto label_weight = [&](Index i) {
    return labels[i] >= 0 && labels[i] < p.classes ? weight(labels[i]) : nan;
  };
  const double smooth = p.label_smoothing / static_cast<double>(p.classes);
  double all_weights = 0, total_weight = 0;
  for (Index j = 0; j < p.classes; ++j) all_weights += weight(j);
  for (Index i = 0; i < p.rows; ++i) total_weight += label_weight(i);

  double* const row_loss = static_cast<double*>(work);
  parallel_for(p.rows, p.rows * p.classes * 16, [&](Index i) {
    const float* const x = logits + i * p.classes;
    float* const dx = dlogits + i * p.classes;
    float max;
    const double total = exponentials(x, p.classes, dx, max);
    const double log_sum = max + std::log(total);
    const Index t = labels[i];
    const double main = (1 - p.label_smoothing) * label_weight(i);
    const bool valid = t >= 0 && t < p.classes;
    double sum = valid ? main * (log_sum - x[t]) : nan;
    if (smooth != 0)
      for (Index j = 0; j < p.classes; ++j) sum += smooth * weight(j) * (log_sum - x[j]);
    row_loss[i] = sum;
    const double slope = (main + smooth * all_weights) / total;
    for (Index j = 0; j < p.classes; ++j) {
      const double g = dx[j] * slope - (j == t ? main : 0) - smooth * weight(j);
      dx[j] = static_cast<float>(g / total_weight);
    }
  });
  double total = 0;
  for (Index i = 0; i < p.rows; ++i) total += row_loss[i];
  *loss = static_cast<float>(total / total_weight);
}

std::size_t mean_squared_error_workspace(Index) { return 0; }

// loss = sum (x - target)^2 / n,  dx = 2 (x - target) / n.
void mean_squared_error(Stream, Index n, const float* x, const float* target, float* loss,
                        float* dx, void*) {
  const double count = static_cast<double>(n);
  const double squares = parallel_sum(n, [&](Index i) {
    const double d = static_cast<double>(x[i]) - target[i];
    dx[i] = static_cast<float>(2 * d / count);
    return d * d;
  });
  *loss = static_cast<float>(squares / count);
}

}  // namespace etude::ETUDE_BACKEND
