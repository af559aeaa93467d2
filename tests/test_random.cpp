// Philox, the kernels that draw from it, and the host-side generator.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>
#include <set>

#include "engine/dispatch.h"
#include "engine/ops.h"

using namespace etude;

namespace {

using Words = std::array<std::uint32_t, 4>;

// Bits i of a kernel's stream, as kernels/host/random.cpp defines it.
std::uint32_t stream_bits(PhiloxState state, Index i) {
  const auto block = static_cast<std::uint64_t>(i / 4);
  return philox4x32(state.offset + block, 0, state.seed)[static_cast<std::size_t>(i % 4)];
}

std::vector<float> uniform(Device device, Index n, double low, double high, PhiloxState state) {
  const Tensor y({n}, DType::f32, device);
  kernels_for<float>(device).random_uniform(current_stream(device), n, low, high, state,
                                            y.data<float>());
  return y.to_vector<float>();
}

std::vector<float> normal(Device device, Index n, double mean, double deviation,
                          PhiloxState state) {
  const Tensor y({n}, DType::f32, device);
  kernels_for<float>(device).random_normal(current_stream(device), n, mean, deviation, state,
                                           y.data<float>());
  return y.to_vector<float>();
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};

Moments moments(const std::vector<float>& x) {
  const auto n = static_cast<double>(x.size());
  Moments m;
  for (const double v : x) m.mean += v / n;
  for (const double v : x) m.variance += (v - m.mean) * (v - m.mean) / n;
  const double deviation = std::sqrt(m.variance);
  for (const double v : x) {
    const double z = (v - m.mean) / deviation;
    m.skewness += z * z * z / n;
    m.kurtosis += z * z * z * z / n;
  }
  return m;
}

}  // namespace

TEST_SUITE("random") {
  TEST_CASE("Philox4x32-10 gives the published numbers") {
    // The known-answer vectors of Random123 (kat_vectors).
    CHECK(philox4x32(0, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(philox4x32(~0ull, ~0ull, ~0ull) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox4x32(0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  }

  TEST_CASE("random_uniform is the conversion its definition states, bit for bit") {
    // Odd sizes, and an offset at which the second word of the counter starts to count.
    const PhiloxState states[] = {{0, 0}, {42, 7}, {0xfedcba9876543210, 0xfffffffe}};
    for (const Device device : available_devices()) {
      for (const PhiloxState state : states) {
        for (const Index n : {1, 2, 3, 5, 1001}) {
          const std::vector<float> y = uniform(device, n, -0.7, 1.9, state);
          for (Index i = 0; i < n; ++i) {
            const float u = static_cast<float>(stream_bits(state, i) >> 8) * 0x1p-24f;
            const float expected =
                std::fma(u, static_cast<float>(1.9 - -0.7), static_cast<float>(-0.7));
            REQUIRE(y[static_cast<std::size_t>(i)] == expected);
          }
        }
      }
    }
  }

  TEST_CASE("random_uniform fills its range evenly") {
    const std::vector<float> y = uniform(cpu_device, 1 << 20, 0, 1, {3, 0});
    CHECK(*std::min_element(y.begin(), y.end()) >= 0);
    CHECK(*std::max_element(y.begin(), y.end()) < 1);
    const Moments m = moments(y);
    CHECK(std::abs(m.mean - 0.5) < 5 * std::sqrt(1.0 / 12 / 0x1p20));
    CHECK(std::abs(m.variance - 1.0 / 12) < 1e-3);
    // Chi-square with 255 degrees of freedom: mean 255, deviation 22.6.
    std::vector<double> bins(256);
    for (const float v : y) ++bins[static_cast<std::size_t>(v * 256)];
    double chi_square = 0;
    for (const double count : bins) chi_square += (count - 4096) * (count - 4096) / 4096;
    CHECK(chi_square < 255 + 5 * 22.6);
    CHECK(chi_square > 255 - 5 * 22.6);
  }

  TEST_CASE("random_normal is Box-Muller on pairs of lanes") {
    const PhiloxState state{99, 4};
    for (const Device device : available_devices()) {
      for (const Index n : {1, 2, 3, 7, 4001}) {
        const std::vector<float> y = normal(device, n, 0.5, 2, state);
        for (Index i = 0; i < n; ++i) {
          const Index even = i & ~Index{1};
          const double u = ((stream_bits(state, even) >> 8) + 1) * 0x1p-24;
          const double angle =
              2 * std::numbers::pi * ((stream_bits(state, even + 1) >> 8) * 0x1p-24);
          const double z =
              std::sqrt(-2 * std::log(u)) * (i == even ? std::cos(angle) : std::sin(angle));
          const double expected = 0.5 + 2 * z;
          REQUIRE(std::abs(y[static_cast<std::size_t>(i)] - expected) <=
                  0x1p-24 * std::abs(expected) + 1e-12);
        }
      }
    }
  }

  TEST_CASE("random_normal is normal") {
    const std::vector<float> y = normal(cpu_device, 1 << 20, 0, 1, {5, 0});
    const Moments m = moments(y);
    CHECK(std::abs(m.mean) < 5e-3);
    CHECK(std::abs(m.variance - 1) < 7e-3);
    CHECK(std::abs(m.skewness) < 1.2e-2);
    CHECK(std::abs(m.kurtosis - 3) < 2.4e-2);
    const auto beyond = [&](double limit) {
      return static_cast<double>(
                 std::count_if(y.begin(), y.end(), [=](float v) { return std::abs(v) > limit; })) /
             0x1p20;
    };
    CHECK(beyond(1) == doctest::Approx(0.3173).epsilon(0.01));
    CHECK(beyond(3) == doctest::Approx(0.0027).epsilon(0.1));
    CHECK(beyond(5.77) == 0);  // 24 bits reach no further
  }

  TEST_CASE("a draw in two halves is the draw in one") {
    Generator generator(17);
    const PhiloxState whole = generator.state();
    const PhiloxState first = generator.reserve(8), second = generator.reserve(9);
    const std::vector<float> all = uniform(cpu_device, 17, 0, 1, whole);
    std::vector<float> parts = uniform(cpu_device, 8, 0, 1, first);
    const std::vector<float> rest = uniform(cpu_device, 9, 0, 1, second);
    parts.insert(parts.end(), rest.begin(), rest.end());
    CHECK(parts == all);
    // And no counter of these 17 elements is used again.
    CHECK(generator.state().offset >= whole.offset + 5);
  }

  TEST_CASE("dropout drops the stated share and keeps the expectation") {
    Generator generator(1);
    Tensor x = Tensor::full({1 << 18}, 3);
    x.set_requires_grad();
    for (const double p : {0.1, 0.5, 0.9}) {
      const Tensor y = dropout(x, p, true, generator);
      std::size_t dropped = 0;
      for (const float v : y.to_vector<float>()) {
        if (v == 0)
          ++dropped;
        else
          REQUIRE(v == doctest::Approx(3 / (1 - p)));
      }
      const double share = static_cast<double>(dropped) / 0x1p18;
      CHECK(std::abs(share - p) < 5 * std::sqrt(p * (1 - p) / 0x1p18));
      // The same elements pass the gradient.
      x.zero_grad();
      const std::vector<float> forward = y.to_vector<float>();
      backward(sum(y));
      const std::vector<float> gradient = x.grad().to_vector<float>();
      for (std::size_t i = 0; i < forward.size(); ++i)
        REQUIRE((forward[i] == 0) == (gradient[i] == 0));
    }
  }

  TEST_CASE("dropout does nothing in evaluation, and differs from call to call in training") {
    Generator generator(1);
    const Tensor x = Tensor::full({1000}, 3);
    CHECK(dropout(x, 0.5, false, generator).to_vector<float>() == x.to_vector<float>());
    CHECK(dropout(x, 0, true, generator).to_vector<float>() == x.to_vector<float>());
    CHECK(generator.state().offset == 0);
    CHECK(dropout(x, 0.5, true, generator).to_vector<float>() !=
          dropout(x, 0.5, true, generator).to_vector<float>());
    CHECK_THROWS_AS(dropout(x, 1, true, generator), Error);
    CHECK_THROWS_AS(dropout(x, -0.1, true, generator), Error);
  }
}

TEST_SUITE("random") {
  TEST_CASE("a generator resumes from its state") {
    Generator a(123);
    for (int i = 0; i < 10; ++i) a.normal();
    Generator b;
    b.set_state(a.state());
    for (int i = 0; i < 10; ++i) CHECK(a.bits() == b.bits());
  }

  TEST_CASE("host draws have the stated ranges and moments") {
    Generator generator(8);
    std::vector<float> u, z;
    for (int i = 0; i < 100000; ++i) {
      u.push_back(static_cast<float>(generator.uniform(-2, 2)));
      z.push_back(static_cast<float>(generator.normal()));
    }
    CHECK(*std::min_element(u.begin(), u.end()) >= -2);
    CHECK(*std::max_element(u.begin(), u.end()) <= 2);
    CHECK(std::abs(moments(u).mean) < 0.02);
    CHECK(moments(u).variance == doctest::Approx(16.0 / 12).epsilon(0.02));
    CHECK(std::abs(moments(z).mean) < 0.02);
    CHECK(moments(z).variance == doctest::Approx(1).epsilon(0.03));
    CHECK(moments(z).kurtosis == doctest::Approx(3).epsilon(0.05));
  }

  TEST_CASE("below gives every number its share") {
    Generator generator(2);
    std::vector<int> counts(7);
    for (int i = 0; i < 70000; ++i) {
      const Index k = generator.below(7);
      REQUIRE(k >= 0);
      REQUIRE(k < 7);
      ++counts[static_cast<std::size_t>(k)];
    }
    for (const int count : counts) CHECK(std::abs(count - 10000) < 500);
    CHECK(generator.below(1) == 0);
  }

  TEST_CASE("shuffle permutes, and each seed otherwise") {
    std::vector<int> identity(100);
    std::iota(identity.begin(), identity.end(), 0);
    const auto shuffled = [&](std::uint64_t seed) {
      std::vector<int> v = identity;
      Generator(seed).shuffle(v.begin(), v.end());
      return v;
    };
    std::vector<int> sorted = shuffled(1);
    CHECK(sorted != identity);
    CHECK(sorted == shuffled(1));
    CHECK(sorted != shuffled(2));
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == identity);
  }

  TEST_CASE("forks differ from each other and from their parent, and repeat") {
    const Generator parent(77);
    std::set<std::uint64_t> first;
    for (std::uint64_t name = 0; name < 1000; ++name) {
      first.insert(parent.fork(name).bits());
      CHECK(parent.fork(name).bits() == parent.fork(name).bits());
    }
    first.insert(Generator(parent).bits());
    CHECK(first.size() == 1001);
  }
}
