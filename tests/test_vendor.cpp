// The vendor plug-in: what is said where it cannot be used, and linear layers by it (here by a
// library of loops for the CPU, fake_vendor.cpp).
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "engine/autograd.h"
#include "engine/linear_provider.h"
#include "engine/ops.h"
#include "engine/random.h"
#include "kernels/vendor/loader.h"

using namespace etude;
using doctest::Contains;

namespace {

Tensor random(Shape shape, std::uint64_t seed) {
  Generator generator(seed);
  std::vector<float> values(static_cast<std::size_t>(shape.size()));
  for (float& v : values) v = static_cast<float>(generator.normal());
  return Tensor::from(values, shape);
}

// y, dx, dw and dbias of a layer, one after the other.
std::vector<float> layer(bool with_bias) {
  Tensor x = random({5, 7}, 1), w = random({3, 7}, 2), bias = random({3}, 3);
  x.set_requires_grad();
  w.set_requires_grad();
  bias.set_requires_grad();
  const Tensor y = linear(x, w, with_bias ? bias : Tensor{});
  std::vector<float> result = y.to_vector<float>();
  backward(sum(mul(y, random({5, 3}, 4))));
  for (const Tensor& t : {x, w, bias})
    if (t.grad().defined())
      for (const float v : t.grad().to_vector<float>()) result.push_back(v);
  return result;
}

}  // namespace

TEST_SUITE("vendor") {
  TEST_CASE("a library that cannot be opened says why") {
    const Vendor none = open_vendor("/nowhere/libetude-vendor.so");
    CHECK(none.table == nullptr);
    CHECK(none.problem.find("/nowhere/libetude-vendor.so") != std::string::npos);
    const Vendor other = open_vendor(ETUDE_OLD_VENDOR);
    CHECK(other.table == nullptr);
    CHECK(other.problem.find("version 7") != std::string::npos);
    const Vendor stranger = open_vendor("libm.so.6");
    CHECK(stranger.table == nullptr);
    CHECK(stranger.problem.find("not a vendor library") != std::string::npos);
    const Vendor good = open_vendor(ETUDE_FAKE_VENDOR);
    REQUIRE(good.table != nullptr);
    CHECK(std::string(good.table->library_name(1)) == "Loops 1.0");
  }

  TEST_CASE("linear layers by a vendor's library: values and gradients") {
    setenv("ETUDE_VENDOR", ETUDE_FAKE_VENDOR, 1);
    REQUIRE(vendor().table != nullptr);
    for (const bool with_bias : {true, false}) {
      const std::vector<float> own = layer(with_bias);
      use_linear_provider(LinearProvider::cublas, cpu_device);
      CHECK(linear_provider(cpu_device) == LinearProvider::cublas);
      CHECK(linear_provider(reference_device) == LinearProvider::own);
      const std::vector<float> theirs = layer(with_bias);
      use_linear_provider(LinearProvider::own, cpu_device);
      REQUIRE(theirs.size() == own.size());
      for (std::size_t i = 0; i < own.size(); ++i)
        CHECK(std::abs(theirs[i] - own[i]) <= 1e-5 * (1 + std::abs(own[i])));
    }
  }

  TEST_CASE("a provider on the wrong device is an error with the reason") {
    setenv("ETUDE_VENDOR", ETUDE_FAKE_VENDOR, 1);
    REQUIRE(vendor().table != nullptr);
    CHECK_THROWS_WITH_AS(use_linear_provider(LinearProvider::cublas, reference_device),
                         Contains("works on cpu devices, not on reference"), Error);
    CHECK(linear_provider(reference_device) == LinearProvider::own);
    CHECK_THROWS_WITH_AS(parse_linear_provider("mkl"), Contains("own or cublas"), Error);
  }
}
