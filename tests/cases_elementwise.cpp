// Cases of the element-wise kernels, dropout and the random numbers.
#include "engine/dispatch.h"
#include "tests/cases.h"

namespace etude::test {
namespace {

// Nothing, less than a vector, odd tails, and enough for several threads.
constexpr Index sizes[] = {1, 3, 17, 64, 1000, 4097, 100003};

Case element_case(std::string op, Index n, std::vector<std::string> kernels,
                  std::vector<Input> inputs, std::function<Tensors(const Tensors&)> run) {
  Case c;
  c.op = std::move(op);
  c.label = fmt::format("{}", n);
  c.kernels = std::move(kernels);
  c.inputs = std::move(inputs);
  c.run = std::move(run);
  const auto elements = static_cast<double>(n);
  const auto tensors = static_cast<double>(c.inputs.size());
  c.forward = {elements, 4 * elements * (tensors + 1)};
  if (c.differentiable()) c.backward = {elements * tensors, 4 * elements * (tensors + 1)};
  return c;
}

// For kernels with no op of their own: f(kernels, stream, y) on a y like `like`.
template <class F>
Tensors on_copy(const Tensor& like, F f) {
  const Tensor y = like.detach().clone();
  dispatch(y, [&](const auto& kernels) { f(kernels, current_stream(y.device()), y); });
  return {y};
}

template <class T>
using Table = const Kernels<T>&;

Tensors run_fill(const Tensors& in) {
  return on_copy(in[0], []<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.fill(s, y.size(), 0.1, y.data<T>());
  });
}

// Each kernel whose line in kernels.def allows its output to be its input.
Tensors run_in_place(const Tensors& in) {
  Tensors results;
  const auto run = [&](auto f) { results.push_back(on_copy(in[0], f)[0]); };
  run([&]<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.add_forward(s, y.size(), y.data<T>(), in[1].data<T>(), y.data<T>());
  });
  run([&]<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.add_forward(s, y.size(), in[1].data<T>(), y.data<T>(), y.data<T>());
  });
  run([&]<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.scale_forward(s, y.size(), 0.3, y.data<T>(), y.data<T>());
  });
  run([&]<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.scale_by(s, y.size(), in[1].data<T>(), y.data<T>(), y.data<T>());
  });
  run([&]<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.relu_forward(s, y.size(), y.data<T>(), y.data<T>());
  });
  run([&]<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.relu_backward(s, y.size(), in[1].data<T>(), y.data<T>(), y.data<T>());
  });
  return results;
}

Tensors run_random_uniform(const Tensors& in) {
  return on_copy(in[0], []<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.random_uniform(s, y.size(), -0.7, 1.9, {.seed = 42, .offset = 5}, y.data<T>());
  });
}

// The offset crosses 2^32, where the counter's second word starts to count.
Tensors run_random_normal(const Tensors& in) {
  return on_copy(in[0], []<class T>(Table<T> k, Stream s, const Tensor& y) {
    k.random_normal(s, y.size(), 0.5, 2, {.seed = 0x123456789abcdef, .offset = 0xfffffff0},
                    y.data<T>());
  });
}

Tensors run_dropout(const Tensors& in) {
  Generator generator(7, 3);
  return {dropout(in[0], 0.3, true, generator)};
}

}  // namespace

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases;
  const auto add_case = [&](auto&&... arguments) {
    cases.push_back(element_case(std::forward<decltype(arguments)>(arguments)...));
  };
  for (const Index n : sizes) {
    const Input a{"a", {n}}, b{"b", {n}};
    const Input x{"x", {n}, Fill::off_zero};
    const Input like{"like", {n}, Fill::none, 0, 0, false};
    add_case("add", n, std::vector<std::string>{"add_forward"}, std::vector{a, b},
             [](const Tensors& in) -> Tensors { return {add(in[0], in[1])}; });
    add_case("mul", n, std::vector<std::string>{"mul_forward"}, std::vector{a, b},
             [](const Tensors& in) -> Tensors { return {mul(in[0], in[1])}; });
    add_case("scale", n, std::vector<std::string>{"scale_forward"}, std::vector{a},
             [](const Tensors& in) -> Tensors { return {scale(in[0], -0.3)}; });
    add_case("relu", n, std::vector<std::string>{"relu_forward", "relu_backward"}, std::vector{x},
             [](const Tensors& in) -> Tensors { return {relu(in[0])}; });
    add_case("dropout", n, std::vector<std::string>{"dropout"}, std::vector{a}, run_dropout);
    add_case("fill", n, std::vector<std::string>{"fill"}, std::vector{like}, run_fill);
    add_case("random_uniform", n, std::vector<std::string>{"random_uniform"}, std::vector{like},
             run_random_uniform);
    add_case("random_normal", n, std::vector<std::string>{"random_normal"}, std::vector{like},
             run_random_normal);
  }
  for (const Index n : {1, 17, 1000}) {
    const Input a{"a", {n}, Fill::normal, 0, 1, false}, b{"b", {n}, Fill::normal, 0, 1, false};
    add_case("add", n,
             std::vector<std::string>{"add_forward", "scale_forward", "scale_by", "relu_forward",
                                      "relu_backward"},
             std::vector{a, b}, run_in_place);
    cases.back().label += " in place";
  }
  return cases;
}

}  // namespace etude::test
