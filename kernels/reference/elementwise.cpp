// Element-wise kernels, one loop each: n elements read per input, n written, one operation each.
//
// Comparisons are written so that NaN takes the branch that keeps it: `x <= 0` is false for NaN.
#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

void fill(Stream, Index n, double value, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = static_cast<T>(value);
}

void add_forward(Stream, Index n, const T* a, const T* b, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

void scale_forward(Stream, Index n, double factor, const T* x, T* y) {
  const T f = static_cast<T>(factor);
  for (Index i = 0; i < n; ++i) y[i] = f * x[i];
}

void scale_by(Stream, Index n, const T* factor, const T* x, T* y) {
  const T f = *factor;
  for (Index i = 0; i < n; ++i) y[i] = f * x[i];
}

void mul_forward(Stream, Index n, const T* a, const T* b, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

// y = max(0, x).
void relu_forward(Stream, Index n, const T* x, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = x[i] <= 0 ? T(0) : x[i];
}

// dx = dy where y > 0, else 0: the gradient at x = 0 is 0, as in PyTorch.
void relu_backward(Stream, Index n, const T* y, const T* dy, T* dx) {
  for (Index i = 0; i < n; ++i) dx[i] = y[i] <= 0 ? T(0) : dy[i];
}

}  // namespace etude::ETUDE_BACKEND
