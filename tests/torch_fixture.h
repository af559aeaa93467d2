// Reading the PyTorch fixtures, and running a check on every table that must agree with them.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/checkpoint.h"

namespace etude::testing {

// tests/fixtures/NAME.safetensors, by tensor name. PyTorch's layouts, float32 or int64.
class Fixture {
 public:
  explicit Fixture(const std::string& name) {
    const std::filesystem::path folder = ETUDE_TEST_FIXTURES;
    for (auto& [key, tensor] : read_safetensors(folder / (name + ".safetensors")).tensors)
      tensors_.emplace(key, tensor);
  }
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  const Tensor& operator[](const std::string& name) const {
    const auto found = tensors_.find(name);
    check(found != tensors_.end(), "fixture: there is no {}; run make_torch.py", name);
    return found->second;
  }
  std::vector<Index> integers(const std::string& name) const {
    return (*this)[name].to_vector<std::int64_t>();
  }
  const std::map<std::string, Tensor>& all() const { return tensors_; }

 private:
  std::map<std::string, Tensor> tensors_;
};

// One table and real type.
struct Place {
  std::string name;
  Device device;
  DType dtype;
  std::string isa;  // of the CPU; else empty
};

// Calls f(place) for the reference table in both types and for the CPU's on every instruction set.
template <class F>
void for_each_place(F f) {
  std::vector<Place> places = {{"reference float64", reference_device, DType::f64, ""},
                               {"reference float32", reference_device, DType::f32, ""}};
  for (const std::string& isa : available_isas())
    places.push_back({"cpu " + isa, cpu_device, DType::f32, isa});
  const std::string before = chosen_isa();
  for (const Place& place : places) {
    if (!place.isa.empty()) choose_isa(place.isa);
    INFO(place.name);
    f(place);
  }
  choose_isa(before);
}

inline Tensor put(const Tensor& host, const Place& place) {
  return (host.dtype() == DType::i64 ? host : host.to(place.dtype)).to(place.device);
}
// PyTorch's NCHW or KCRS as our NHWC or KRSC: the same exchange of axes, and back.
inline Tensor put_nchw(const Tensor& host, const Place& place) {
  return put(from_torch_layout(host, {Layout::filter}), place);
}
inline Tensor to_nchw(const Tensor& tensor) {
  return to_torch_layout(tensor.to(cpu_device), {Layout::filter});
}

inline std::vector<double> as_doubles(const Tensor& tensor) {
  return tensor.to(cpu_device).to(DType::f64).to_vector<double>();
}

inline double largest(const Tensor& tensor) {
  double result = 0;
  for (const double x : as_doubles(tensor)) result = std::max(result, std::abs(x));
  return result;
}

// The largest difference; infinite for a NaN or another size.
inline double largest_error(const Tensor& actual, const Tensor& expected) {
  const std::vector<double> x = as_doubles(actual), y = as_doubles(expected);
  if (x.size() != y.size()) return INFINITY;
  double error = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) return INFINITY;
    error = std::max(error, std::abs(x[i] - y[i]));
  }
  return error;
}

// The error may be `tolerance` times the largest expected value, or times `scale` where that is
// more (numbers that are zero but for rounding). Expected values are right to their last float32
// digit, and float64 is held to that whatever the tolerance.
inline void check_close(const std::string& name, const Tensor& actual, const Tensor& expected,
                        const Place& place, double tolerance, double scale = 0) {
  const double rounding = place.dtype == DType::f64 ? 1e-7 : tolerance;
  const double allowed = rounding * std::max(scale, largest(expected));
  const double error = largest_error(actual, expected);
  INFO(name << ": error " << error << ", allowed " << allowed);
  CHECK(error <= allowed);
}

}  // namespace etude::testing
