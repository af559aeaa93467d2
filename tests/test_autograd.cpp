// The graph: what is recorded, what is accumulated, and what is freed when. That each op's gradient
// is right is the case table's business.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/ops.h"

using namespace etude;

namespace {

Tensor leaf(std::vector<float> values, Device device = cpu_device) {
  Tensor x = Tensor::from(values, {static_cast<Index>(values.size())}, device);
  return x.set_requires_grad();
}

using Floats = std::vector<float>;

}  // namespace

TEST_SUITE("autograd") {
  TEST_CASE("a tensor used several times collects every gradient") {
    const Tensor x = leaf({-1, 2, 3});
    // d/dx of sum(x x + 3 x + relu(x)) = 2 x + 3 + [x > 0]
    backward(sum(add(add(mul(x, x), scale(x, 3)), relu(x))));
    CHECK(x.grad().to_vector<float>() == Floats{1, 8, 10});
  }

  TEST_CASE("backward accumulates into leaves until zero_grad") {
    const Tensor x = leaf({1, 2});
    backward(sum(scale(x, 3)));
    backward(sum(scale(x, 4)));
    CHECK(x.grad().to_vector<float>() == Floats{7, 7});
    x.zero_grad();
    CHECK_FALSE(x.grad().defined());
    backward(sum(x));
    CHECK(x.grad().to_vector<float>() == Floats{1, 1});
  }

  TEST_CASE("the seed scales the loss") {
    const Tensor x = leaf({1, 2});
    for (int i = 0; i < 4; ++i) backward(sum(mul(x, x)), 0.25);
    CHECK(x.grad().to_vector<float>() == Floats{2, 4});
  }

  TEST_CASE("a leaf as the loss has the seed as its gradient") {
    Tensor x = Tensor::full({}, 5);
    x.set_requires_grad();
    backward(x, 0.5);
    CHECK(x.grad().item() == 0.5);
  }

  TEST_CASE("nothing is recorded for inputs that need no gradient") {
    const Tensor a = Tensor::full({3}, 2);
    CHECK_FALSE(mul(a, a).requires_grad());
    const Tensor x = leaf({1, 2, 3});
    const Tensor y = mul(a, x);
    CHECK(y.requires_grad());
    backward(sum(y));
    CHECK_FALSE(a.grad().defined());
    CHECK(x.grad().to_vector<float>() == Floats{2, 2, 2});
  }

  TEST_CASE("detach cuts the graph") {
    const Tensor x = leaf({3});
    backward(sum(mul(x, x.detach())));
    CHECK(x.grad().to_vector<float>() == Floats{3});
  }

  TEST_CASE("no_grad records nothing, nests, and ends with its scope") {
    const Tensor x = leaf({1, 2});
    CHECK(grad_enabled());
    {
      const NoGrad outer;
      { const NoGrad inner; }
      CHECK_FALSE(grad_enabled());
      CHECK_FALSE(relu(x).requires_grad());
      CHECK_FALSE(sum(x).requires_grad());
    }
    CHECK(grad_enabled());
    try {
      const NoGrad no_grad;
      fail("leaves the scope");
    } catch (const Error&) {
    }
    CHECK(grad_enabled());
    CHECK(relu(x).requires_grad());
  }

  TEST_CASE("gradients of different leaves never share memory") {
    // add() hands the same dy to both inputs, reshape() a view of it; an optimiser that scales one
    // gradient in place must not scale the other.
    const Tensor a = leaf({1, 2}), b = leaf({3, 4}), c = leaf({5, 6});
    backward(sum(add(add(a, b), reshape(c, {2}))));
    CHECK(a.grad().data<float>() != b.grad().data<float>());
    CHECK(a.grad().data<float>() != c.grad().data<float>());
    a.grad().zero();
    CHECK(b.grad().to_vector<float>() == Floats{1, 1});
    CHECK(c.grad().to_vector<float>() == Floats{1, 1});
  }

  TEST_CASE("an op may overwrite its dy only when nobody else reads it") {
    // Both ReLUs get the same dy from add() and mask it differently.
    const Tensor a = leaf({-1, 1}), b = leaf({1, -1});
    const Tensor sum_of_both = add(relu(a), relu(b));
    const Tensor weights = Tensor::from(Floats{2, 3}, {2});
    backward(sum(mul(sum_of_both, weights)));
    CHECK(a.grad().to_vector<float>() == Floats{0, 3});
    CHECK(b.grad().to_vector<float>() == Floats{2, 0});
  }

  TEST_CASE("a gradient that was read out stays as it is") {
    const Tensor x = leaf({1, 2});
    backward(sum(x));
    const Tensor first = x.grad();
    backward(sum(scale(x, 5)));
    CHECK(first.to_vector<float>() == Floats{1, 1});
    CHECK(x.grad().to_vector<float>() == Floats{6, 6});
  }

  TEST_CASE("errors") {
    const Tensor x = leaf({1, 2});
    CHECK_THROWS_WITH_AS(backward(relu(x)), doctest::Contains("scalar"), Error);
    CHECK_THROWS_WITH_AS(backward(sum(x.detach())), doctest::Contains("requires a gradient"),
                         Error);
    const Tensor loss = sum(x);
    backward(loss);
    CHECK_THROWS_WITH_AS(backward(loss), doctest::Contains("consumed"), Error);
    CHECK_THROWS_AS(Tensor::zeros({2}, DType::i64).set_requires_grad(), Error);
  }
}

TEST_SUITE("autograd") {
  // The sizes are far above the allocator's granule, so that bytes count tensors.
  constexpr Index n = 1 << 16;
  constexpr std::size_t tensor_bytes = n * sizeof(float);

  std::size_t in_use() { return memory_stats(cpu_device).current; }

  TEST_CASE("backward frees the graph") {
    const std::size_t before = in_use();
    {
      Tensor x = Tensor::full({n}, 0.5);
      x.set_requires_grad();
      const Tensor loss = [&] {
        Tensor y = x;
        for (int i = 0; i < 10; ++i) y = mul(relu(y), x);
        return sum(y);
      }();
      CHECK(in_use() - before > 10 * tensor_bytes);
      backward(loss);
      // x, its gradient, the loss and some scalars.
      CHECK(in_use() - before < 3 * tensor_bytes);
    }
    CHECK(in_use() == before);
  }

  TEST_CASE("backward frees each step's tensors before it needs the next ones") {
    Tensor x = Tensor::full({n}, 0.5);
    x.set_requires_grad();
    Tensor y = x;
    constexpr int depth = 50;
    for (int i = 0; i < depth; ++i) y = relu(y);
    const Tensor loss = sum(y);
    y = {};
    reset_peak_memory(cpu_device);
    const std::size_t held = in_use();
    CHECK(held > depth * tensor_bytes);
    backward(loss);
    // What was held before never had more than a few gradients beside it.
    CHECK(memory_stats(cpu_device).peak < held + 4 * tensor_bytes);
  }

  TEST_CASE("a graph that is dropped without backward is freed") {
    const std::size_t before = in_use();
    {
      Tensor x = Tensor::full({n}, 0.5);
      x.set_requires_grad();
      Tensor y = x;
      for (int i = 0; i < 10; ++i) y = mul(relu(y), x);
    }
    CHECK(in_use() == before);
  }

  TEST_CASE("no_grad keeps no intermediate") {
    const Tensor x = Tensor::full({n}, 0.5);
    reset_peak_memory(cpu_device);
    const std::size_t before = in_use();
    const NoGrad no_grad;
    Tensor y = x;
    for (int i = 0; i < 50; ++i) y = relu(y);
    CHECK(memory_stats(cpu_device).peak <= before + 3 * tensor_bytes);
  }

  TEST_CASE("depth does not use the stack") {
    constexpr int depth = 100000;
    const auto chain = [](const Tensor& x) {
      const Tensor one = Tensor::full({1}, 1);
      Tensor y = x;
      for (int i = 0; i < depth; ++i) y = add(y, one);
      return y;
    };
    const Tensor x = leaf({1});
    backward(sum(chain(x)));
    CHECK(x.grad().item() == 1);
    chain(x);  // dropped: destroyed iteratively too
  }

  TEST_CASE("a deep graph that shares its nodes is destroyed without recursion") {
    const Tensor x = leaf({1});
    {
      Tensor y = x, previous = x;
      for (int i = 0; i < 100000; ++i) {
        const Tensor next = add(y, previous);
        previous = y;
        y = scale(next, 0.5);
      }
    }
    CHECK_FALSE(x.grad().defined());
  }
}
