// Batch norm of a [rows, C] view, one channel at a time, statistics in double.
//
//   mean = sum x / rows,  var = sum (x - mean)^2 / rows,  inv_std = 1 / sqrt(var + eps)
//   y = (x - mean) inv_std gamma + beta (+ residual) (then ReLU)
//
// The running variance blends in the unbiased one, var rows / (rows - 1), as in PyTorch.
// Ioffe and Szegedy, "Batch Normalization", ICML 2015.
#include <cmath>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {
namespace {

// y of one channel, given its statistics.
void normalize(const BatchNormShape& p, Index c, double mean, double inv_std, const T* x,
               const T* gamma, const T* beta, const T* residual, T* y) {
  for (Index row = 0; row < p.rows; ++row) {
    const Index i = row * p.channels + c;
    double v = (x[i] - mean) * inv_std * gamma[c] + beta[c];
    if (residual) v += residual[i];
    if (p.relu && v <= 0) v = 0;  // false for NaN, which stays
    y[i] = static_cast<T>(v);
  }
}

// The gradient that enters the normalisation: through the ReLU only where y > 0.
double masked(const BatchNormShape& p, const T* y, const T* dy, Index i) {
  return p.relu && y[i] <= 0 ? 0.0 : static_cast<double>(dy[i]);
}

// dgamma = sum g (x - mean) inv_std,  dbeta = sum g,  dresidual = g  of one channel.
void sum_gradients(const BatchNormShape& p, Index c, double mean, double inv_std, const T* x,
                   const T* y, const T* dy, T* dresidual, double& dgamma, double& dbeta) {
  dgamma = dbeta = 0;
  for (Index row = 0; row < p.rows; ++row) {
    const Index i = row * p.channels + c;
    const double g = masked(p, y, dy, i);
    dgamma += g * (x[i] - mean) * inv_std;
    dbeta += g;
    if (dresidual) dresidual[i] = static_cast<T>(g);
  }
}

}  // namespace

std::size_t batch_norm_workspace(const BatchNormShape&) { return 0; }

void batch_norm_forward(Stream, const BatchNormShape& p, const T* x, const T* gamma, const T* beta,
                        const T* residual, T* running_mean, T* running_var, T* y, T* saved_mean,
                        T* saved_inv_std, void*) {
  const double rows = static_cast<double>(p.rows);
#pragma omp parallel for
  for (Index c = 0; c < p.channels; ++c) {
    double total = 0;
    for (Index row = 0; row < p.rows; ++row) total += x[row * p.channels + c];
    const double mean = total / rows;
    double squares = 0;
    for (Index row = 0; row < p.rows; ++row) {
      const double d = x[row * p.channels + c] - mean;
      squares += d * d;
    }
    const double inv_std = 1 / std::sqrt(squares / rows + p.eps);
    saved_mean[c] = static_cast<T>(mean);
    saved_inv_std[c] = static_cast<T>(inv_std);
    if (running_mean)
      running_mean[c] = static_cast<T>((1 - p.momentum) * running_mean[c] + p.momentum * mean);
    if (running_var)
      running_var[c] =
          static_cast<T>((1 - p.momentum) * running_var[c] + p.momentum * squares / (rows - 1));
    normalize(p, c, mean, inv_std, x, gamma, beta, residual, y);
  }
}

void batch_norm_inference(Stream, const BatchNormShape& p, const T* x, const T* gamma,
                          const T* beta, const T* residual, const T* running_mean,
                          const T* running_var, T* y) {
#pragma omp parallel for
  for (Index c = 0; c < p.channels; ++c) {
    const double inv_std = 1 / std::sqrt(running_var[c] + p.eps);
    normalize(p, c, running_mean[c], inv_std, x, gamma, beta, residual, y);
  }
}

// dx = gamma inv_std (g - dbeta / rows - x_hat dgamma / rows),  x_hat = (x - mean) inv_std:
// the two means are what flows back through the batch's own mean and variance.
void batch_norm_backward(Stream, const BatchNormShape& p, const T* x, const T* y, const T* dy,
                         const T* gamma, const T* mean, const T* inv_std, T* dx, T* dgamma,
                         T* dbeta, T* dresidual, void*) {
  const double rows = static_cast<double>(p.rows);
#pragma omp parallel for
  for (Index c = 0; c < p.channels; ++c) {
    double dg, db;
    sum_gradients(p, c, mean[c], inv_std[c], x, y, dy, dresidual, dg, db);
    dgamma[c] = static_cast<T>(dg);
    dbeta[c] = static_cast<T>(db);
    const double slope = static_cast<double>(gamma[c]) * inv_std[c];
    for (Index row = 0; row < p.rows; ++row) {
      const Index i = row * p.channels + c;
      const double x_hat = (static_cast<double>(x[i]) - mean[c]) * inv_std[c];
      dx[i] = static_cast<T>(slope * (masked(p, y, dy, i) - db / rows - x_hat * dg / rows));
    }
  }
}

// The statistics are constants here: dx = gamma inv_std g.
void batch_norm_inference_backward(Stream, const BatchNormShape& p, const T* x, const T* y,
                                   const T* dy, const T* gamma, const T* running_mean,
                                   const T* running_var, T* dx, T* dgamma, T* dbeta, T* dresidual,
                                   void*) {
#pragma omp parallel for
  for (Index c = 0; c < p.channels; ++c) {
    const double inv_std = 1 / std::sqrt(running_var[c] + p.eps);
    double dg, db;
    sum_gradients(p, c, running_mean[c], inv_std, x, y, dy, dresidual, dg, db);
    dgamma[c] = static_cast<T>(dg);
    dbeta[c] = static_cast<T>(db);
    for (Index row = 0; row < p.rows; ++row) {
      const Index i = row * p.channels + c;
      dx[i] = static_cast<T>(masked(p, y, dy, i) * gamma[c] * inv_std);
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
