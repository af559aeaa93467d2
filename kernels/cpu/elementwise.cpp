// Element-wise kernels: one pass, one vector at a time, each thread one contiguous part. They are
// bound by memory: n elements read for each input, n written.
#include "kernels/cpu/parallel.h"

namespace etude::ETUDE_BACKEND {
namespace {

// y[i] = f(x[i]) for vectors of each input. `inputs` may alias y: a vector is read before it is
// written.
template <class F, class... Inputs>
void map(Index n, float* y, F f, const Inputs*... inputs) {
  parallel_range(n, [&](Index begin, Index end) {
    for_each_vector(end - begin, [&](Index i, auto at) {
      at.store(y + begin + i, f(at.load(inputs + begin + i)...));
    });
  });
}

}  // namespace

void fill(Stream, Index n, double value, float* y) {
  const Vec v = splat(static_cast<float>(value));
  map(n, y, [v] { return v; });
}

void add_forward(Stream, Index n, const float* a, const float* b, float* y) {
  map(
      n, y, [](Vec u, Vec v) { return u + v; }, a, b);
}

void scale_forward(Stream, Index n, double factor, const float* x, float* y) {
  const Vec f = splat(static_cast<float>(factor));
  map(
      n, y, [f](Vec v) { return f * v; }, x);
}

void scale_by(Stream, Index n, const float* factor, const float* x, float* y) {
  const Vec f = splat(*factor);
  map(
      n, y, [f](Vec v) { return f * v; }, x);
}

void mul_forward(Stream, Index n, const float* a, const float* b, float* y) {
  map(
      n, y, [](Vec u, Vec v) { return u * v; }, a, b);
}

void relu_forward(Stream, Index n, const float* x, float* y) {
  map(
      n, y, [](Vec v) { return relu(v); }, x);
}

void relu_backward(Stream, Index n, const float* y, const float* dy, float* dx) {
  map(
      n, dx, [](Vec gate, Vec v) { return relu_gate(gate, v); }, y, dy);
}

}  // namespace etude::ETUDE_BACKEND
