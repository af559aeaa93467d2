#include "tests/case_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace etude::test {
namespace {

// Writes NaN over one element.
void spoil(const Tensor& tensor, std::size_t position) {
  const auto with_nan = [&]<class T>(T nan) {
    std::vector<T> values = tensor.to_vector<T>();
    values.at(position) = nan;
    tensor.copy_from(Tensor::from(values, tensor.shape(), tensor.device()));
  };
  if (tensor.dtype() == DType::f64)
    with_nan(std::numeric_limits<double>::quiet_NaN());
  else
    with_nan(std::numeric_limits<float>::quiet_NaN());
}

}  // namespace

std::vector<Target> targets() {
  std::vector<Target> result;
  const char* wanted = std::getenv("ETUDE_TEST_DEVICES");
  for (const Device device : available_devices()) {
    if (device == reference_device) continue;
    if (wanted && *wanted &&
        fmt::format(",{},", wanted).find(fmt::format(",{},", to_string(device))) ==
            std::string::npos)
      continue;
    if (device.kind != DeviceKind::cpu) {
      result.push_back({to_string(device), device, ""});
      continue;
    }
    for (const std::string& isa : available_isas())
      result.push_back({to_string(device) + "/" + isa, device, isa});
  }
  return result;
}

UseTarget::UseTarget(const Target& target) : previous_(chosen_isa()) {
  if (!target.isa.empty()) choose_isa(target.isa);
}
UseTarget::~UseTarget() { choose_isa(previous_); }

std::vector<Numbers> run_case(const Case& c, DType dtype, Device device,
                              std::optional<Poison> poison) {
  const Tensors inputs = make_inputs(c, dtype, device);
  if (poison && !poison->in_gradient) spoil(inputs.at(poison->which), poison->position);
  const Tensors outputs = c.run(inputs);

  std::vector<Numbers> result;
  Tensor loss;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    result.push_back({fmt::format("output {}", o), false, c.reduction, to_doubles(outputs[o])});
    if (!outputs[o].requires_grad()) continue;
    const Tensor dy = make_output_gradient(c, o, outputs[o]);
    if (poison && poison->in_gradient && poison->which == o) spoil(dy, poison->position);
    // The gradient of sum(y dy) with respect to y is dy, exactly.
    const Tensor term = sum(mul(outputs[o], dy));
    loss = loss.defined() ? add(loss, term) : term;
  }
  if (!loss.defined()) return result;
  backward(loss);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = c.inputs[i];
    if (!input.differentiable) continue;
    const Tensor grad = inputs[i].grad();
    check(grad.defined() && grad.shape() == inputs[i].shape(), "{}: no gradient of {}", c.name(),
          input.name);
    result.push_back({"gradient of " + input.name, true, input.reduction, to_doubles(grad)});
  }
  return result;
}

std::string compare(const Case& c, DType dtype, const std::vector<Numbers>& got,
                    const std::vector<Numbers>& expected, double roundings) {
  if (got.size() != expected.size())
    return fmt::format("{} tensors, expected {}", got.size(), expected.size());
  for (std::size_t t = 0; t < got.size(); ++t) {
    const Numbers& g = got[t];
    const Numbers& e = expected[t];
    if (g.values.size() != e.values.size())
      return fmt::format("{}: {} elements, expected {}", e.what, g.values.size(), e.values.size());
    double largest = 0;
    for (const double v : e.values) largest = std::max(largest, std::abs(v));
    const double allowed =
        (tolerance(c.op, dtype, e.reduction) + roundings * epsilon(dtype)) * largest;
    for (std::size_t i = 0; i < g.values.size(); ++i) {
      // Written so that NaN fails.
      if (!(std::abs(g.values[i] - e.values[i]) <= allowed))
        return fmt::format("{}[{}] = {:.9g}, expected {:.9g}; off by {:.2g}, allowed {:.2g}",
                           e.what, i, g.values[i], e.values[i], std::abs(g.values[i] - e.values[i]),
                           allowed);
    }
  }
  return {};
}

std::string compare_bits(const std::vector<Numbers>& got, const std::vector<Numbers>& expected) {
  if (got.size() != expected.size())
    return fmt::format("{} tensors, expected {}", got.size(), expected.size());
  for (std::size_t t = 0; t < got.size(); ++t) {
    const std::vector<double>&g = got[t].values, &e = expected[t].values;
    if (g.size() != e.size())
      return fmt::format("{}: {} elements, expected {}", got[t].what, g.size(), e.size());
    for (std::size_t i = 0; i < g.size(); ++i)
      if (std::memcmp(&g[i], &e[i], sizeof(double)) != 0)
        return fmt::format("{}[{}]: {:.17g} and {:.17g}", got[t].what, i, g[i], e[i]);
  }
  return {};
}

}  // namespace etude::test
