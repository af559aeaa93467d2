// What the case table (cases.h) proves about every kernel of every back end.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "kernels/simt/simt.h"
#include "tests/case_runner.h"

namespace etude::test {
namespace {

// Every line of kernels.def.
std::set<std::string> kernel_names() {
  return {
#define ETUDE_KERNEL(result, name, parameters) #name,
#include "kernels/kernels.def"
#undef ETUDE_KERNEL
  };
}

// Memory and streams carry the tensors of every case; test_engine.cpp looks at them by themselves.
bool is_plumbing(const std::string& kernel) {
  for (const char* prefix : {"memory_", "host_", "device_", "stream_", "event_", "range_"})
    if (kernel.starts_with(prefix)) return true;
  return false;
}

void check_threads(const Target& target) {
  const UseTarget use(target);
  for (const Case& c : all_cases()) {
    INFO(target.name << ": " << c.name());
    std::vector<Numbers> first;
    for (const int threads : {1, 2, 3, 1}) {
      INFO(threads << " threads");
      const UseThreads with(threads);
      const std::vector<Numbers> result = run_case(c, DType::f32, target.device);
      if (first.empty()) first = result;
      CHECK(compare_bits(result, first) == "");
    }
  }
}

}  // namespace

TEST_SUITE("cases.table") {
  TEST_CASE("every kernel has a case") {
    if (std::getenv("ETUDE_CASES")) return;  // a part of the table is no table
    std::set<std::string> missing = kernel_names();
    for (const Case& c : all_cases())
      for (const std::string& kernel : c.kernels) {
        INFO(c.name() << " names the kernel " << kernel);
        CHECK(kernel_names().count(kernel) == 1);
        missing.erase(kernel);
      }
    for (const std::string& kernel : missing)
      CHECK_MESSAGE(is_plumbing(kernel), "no case for kernel " << kernel);
  }

  TEST_CASE("names are unique, costs are there") {
    std::set<std::string> names;
    for (const Case& c : all_cases()) {
      CHECK_MESSAGE(names.insert(c.name()).second, "twice: " << c.name());
      CHECK_MESSAGE(c.forward.bytes > 0, c.name());
      CHECK_MESSAGE((c.backward.bytes > 0) == c.differentiable(), c.name());
    }
  }

  TEST_CASE("the comparison sees what is wrong") {
    const Case& c = all_cases().front();
    const std::vector<Numbers> good = {{"output 0", false, 1, {1, -2, 3}}};
    CHECK(compare(c, DType::f32, good, good).empty());
    std::vector<Numbers> bad = good;
    bad[0].values[1] = std::nan("");
    CHECK_FALSE(compare(c, DType::f32, bad, good).empty());
    bad[0].values[1] = -2 * (1 + 1e-3);
    CHECK_FALSE(compare(c, DType::f32, bad, good).empty());
    bad[0].values = {1, -2};
    CHECK_FALSE(compare(c, DType::f32, bad, good).empty());
    CHECK_FALSE(compare(c, DType::f32, {}, good).empty());
  }
}

// Under GuardedMemory every block is fresh, full of NaN and fenced: what a kernel fails to write,
// or writes where it should not, shows here.
TEST_SUITE("cases.reference") {
  TEST_CASE("the reference in float32 agrees with itself in float64") {
    const GuardedMemory guard(reference_device);
    for (const Case& c : all_cases()) {
      if (!c.differentiable()) continue;  // others may exist in float32 only
      INFO(c.name());
      constexpr double roundings = 2;  // of a constant, and of the result
      CHECK(compare(c, DType::f32, run_case(c, DType::f32, reference_device),
                    run_case(c, DType::f64, reference_device), roundings) == "");
    }
    CHECK(guard.damaged_blocks() == 0);
  }

  TEST_CASE("the number of threads changes no bit") {
    check_threads({"reference", reference_device, ""});
  }
}

TEST_SUITE("cases.agreement") {
  TEST_CASE("every back end agrees with the reference") {
    for (const Case& c : all_cases()) {
      const std::vector<Numbers> expected = run_case(c, DType::f32, reference_device);
      for (const Target& target : targets()) {
        INFO(target.name << ": " << c.name());
        const UseTarget use(target);
        const GuardedMemory guard(target.device);
        CHECK(compare(c, DType::f32, run_case(c, DType::f32, target.device), expected) == "");
        CHECK(guard.damaged_blocks() == 0);
      }
    }
  }
}

TEST_SUITE("cases.agreement") {
  // Whole numbers, so that maxima are often shared: the fused op must choose as the three ops do.
  TEST_CASE("convolution, ReLU and pooling in one op give the bits of the three") {
    const Input x{"x", {5, 24, 44, 10}, Fill::tied}, w{"w", {10, 3, 3, 10}, Fill::tied};
    // Its gradient may be summed over pooled pixels, in another order.
    const Input bias{"bias", {10}, Fill::tied, 0, 1, /*differentiable=*/false};
    Case fused, apart;
    fused.op = apart.op = "conv2d_relu_max_pool2d";
    fused.inputs = apart.inputs = {x, w, bias};
    Conv2dOptions options = Conv2dOptions::square(1, 1);
    fused.run = [=](const Tensors& in) -> Tensors {
      return {conv2d_relu_max_pool2d(in[0], in[1], in[2], options)};
    };
    options.relu = true;
    apart.run = [=](const Tensors& in) -> Tensors {
      return {max_pool2d(conv2d(in[0], in[1], in[2], options), {})};
    };
    for (const Target& target : targets()) {
      INFO(target.name);
      const UseTarget use(target);
      CHECK(compare_bits(run_case(fused, DType::f32, target.device),
                         run_case(apart, DType::f32, target.device)) == "");
    }
  }
}

TEST_SUITE("cases.repeatability") {
  TEST_CASE("the number of threads changes no bit") {
    for (const Target& target : targets())
      if (target.device.kind != DeviceKind::simt) check_threads(target);  // see cases.orders
  }
}

#if ETUDE_HAVE_SIMT
// The emulator chooses the order of blocks and of threads between barriers, and when an
// asynchronous copy lands. A GPU may choose any of them: none changes a bit.
TEST_SUITE("cases.orders") {
  TEST_CASE("the order of blocks and threads changes no bit") {
    const Device device{DeviceKind::simt};
    const ::simt::Options before = ::simt::options();
    ::simt::Options forward = before, reverse = before, random = before, eager = before;
    forward.order = ::simt::Order::Forward;
    forward.eager_copies = false;
    forward.host_threads = 1;
    reverse.order = ::simt::Order::Reverse;
    random.order = ::simt::Order::Random;
    random.seed = 1;
    eager.eager_copies = true;
    for (const Case& c : all_cases()) {
      INFO(c.name());
      const auto run = [&](const ::simt::Options& options) {
        ::simt::set_options(options);
        return run_case(c, DType::f32, device);
      };
      const std::vector<Numbers> first = run(forward);
      CHECK_MESSAGE(compare_bits(run(reverse), first) == "", "reverse order");
      CHECK_MESSAGE(compare_bits(run(random), first) == "", "random order");
      CHECK_MESSAGE(compare_bits(run(eager), first) == "", "eager copies");
    }
    ::simt::set_options(before);
  }
}
#endif

TEST_SUITE("cases.gradients") {
  // sum over outputs of <y, dy>, in float64 on the reference device.
  double objective(const Case& c, const Tensors& inputs, const std::vector<bool>& used) {
    const NoGrad no_grad;
    const Tensors outputs = c.run(inputs);
    double total = 0;
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (!used[o]) continue;
      const std::vector<double> y = to_doubles(outputs[o]);
      const std::vector<double> dy = to_doubles(make_output_gradient(c, o, outputs[o]));
      for (std::size_t i = 0; i < y.size(); ++i) total += y[i] * dy[i];
    }
    return total;
  }

  // The derivative along `direction` of input `which`, by central differences. The error is of
  // order h^2 from the curvature and eps / h from rounding: least near h = eps^(1/3).
  double difference(const Case& c, const Tensors& inputs, const std::vector<bool>& used,
                    std::size_t which, const std::vector<double>& direction) {
    constexpr double h = 4e-6;
    Tensors moved = inputs;
    const std::vector<double> centre = inputs[which].to_vector<double>();
    const auto at = [&](double step) {
      std::vector<double> values = centre;
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * direction[i];
      moved[which] = Tensor::from(values, inputs[which].shape(), reference_device);
      return objective(c, moved, used);
    };
    return (at(h) - at(-h)) / (2 * h);
  }

  TEST_CASE("gradients are those of finite differences") {
    // The large problems are left to the comparison of back ends: a hundred evaluations would take
    // long, and among very many outputs some ReLU has its kink inside the difference.
    constexpr double most_work = 5e5;
    constexpr int elements = 10;
    std::set<std::string> checked, wanted;
    for (const Case& c : all_cases()) {
      if (!c.differentiable() || !c.smooth) continue;
      wanted.insert(c.op);
      if (c.forward.flops + c.forward.bytes > most_work) continue;
      checked.insert(c.op);
      INFO(c.name());
      const Tensors inputs = make_inputs(c, DType::f64, reference_device);
      std::vector<bool> used;
      for (const Tensor& y : c.run(inputs)) used.push_back(y.requires_grad());
      const std::vector<Numbers> result = run_case(c, DType::f64, reference_device);
      const double size_of_objective = std::abs(objective(c, inputs, used));
      auto gradient = std::find_if(result.begin(), result.end(),
                                   [](const Numbers& numbers) { return numbers.gradient; });
      Generator generator(11);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!c.inputs[i].differentiable) continue;
        const std::vector<double>& g = (gradient++)->values;
        double norm = 0;
        for (const double v : g) norm += v * v;
        // A part in 10^6 of the gradient, and the rounding of the objective over h.
        const double allowed = 1e-6 * std::sqrt(norm) + 1e-9 * (1 + size_of_objective);
        INFO("gradient of " << c.inputs[i].name);
        // All elements at once, along a random direction; then some of them alone.
        std::vector<double> direction(g.size());
        double along = 0;
        for (std::size_t e = 0; e < g.size(); ++e) {
          direction[e] = generator.normal();
          along += direction[e] * g[e];
        }
        CHECK(std::abs(difference(c, inputs, used, i, direction) - along) <= allowed);
        for (int k = 0; k < elements; ++k) {
          const auto e = static_cast<std::size_t>(generator.below(static_cast<Index>(g.size())));
          std::fill(direction.begin(), direction.end(), 0.0);
          direction[e] = 1;
          INFO("element " << e);
          CHECK(std::abs(difference(c, inputs, used, i, direction) - g[e]) <= allowed);
        }
      }
    }
    CHECK(checked == wanted);
  }
}

TEST_SUITE("cases.nan") {
  std::size_t count_nan(const std::vector<Numbers>& result, bool gradients) {
    std::size_t count = 0;
    for (const Numbers& numbers : result)
      if (numbers.gradient == gradients)
        count += static_cast<std::size_t>(std::count_if(
            numbers.values.begin(), numbers.values.end(), [](double v) { return std::isnan(v); }));
    return count;
  }

  // Where the reference has NaN, so must `got`; it may have more (a Winograd tile spreads it).
  std::string lost_nan(const std::vector<Numbers>& got, const std::vector<Numbers>& expected,
                       bool gradients) {
    for (std::size_t t = 0; t < expected.size(); ++t) {
      if (expected[t].gradient != gradients) continue;
      for (std::size_t i = 0; i < expected[t].values.size(); ++i)
        if (std::isnan(expected[t].values[i]) && !std::isnan(got[t].values[i]))
          return fmt::format("{}[{}] = {}, expected NaN", got[t].what, i, got[t].values[i]);
    }
    return {};
  }

  // Spoils one element after another until the reference shows NaN (a pixel that no window reads
  // shows none), and then asks the same of every back end. False if none shows.
  bool check_nan(const Case& c, Poison poison, std::size_t size) {
    std::vector<std::size_t> positions(size);
    for (std::size_t i = 0; i < size; ++i) positions[i] = i;
    Generator generator(5);
    generator.shuffle(positions.begin(), positions.end());
    if (positions.size() > 64) positions.resize(64);
    for (const std::size_t position : positions) {
      poison.position = position;
      const std::vector<Numbers> expected = run_case(c, DType::f32, reference_device, poison);
      if (count_nan(expected, poison.in_gradient) == 0) continue;
      for (const Target& target : targets()) {
        INFO(target.name);
        const UseTarget use(target);
        CHECK(lost_nan(run_case(c, DType::f32, target.device, poison), expected,
                       poison.in_gradient) == "");
      }
      return true;
    }
    return false;
  }

  TEST_CASE("NaN never vanishes") {
    // A single masked element has nothing to show; but each input of each op has somewhere.
    std::set<std::string> wanted, shown;
    const auto check_everywhere = [&](const Case& c, Poison poison, const std::string& what,
                                      Index size) {
      INFO(c.name() << ", NaN in " << what);
      wanted.insert(c.op + ": " + what);
      if (check_nan(c, poison, static_cast<std::size_t>(size))) shown.insert(c.op + ": " + what);
    };
    for (const Case& c : all_cases()) {
      for (std::size_t i = 0; i < c.inputs.size(); ++i) {
        const Input& input = c.inputs[i];
        if (input.fill != Fill::labels && input.fill != Fill::none)
          check_everywhere(c, {false, i, 0}, input.name, input.shape.size());
      }
      if (!c.differentiable()) continue;
      const Tensors outputs = c.run(make_inputs(c, DType::f32, reference_device));
      for (std::size_t o = 0; o < outputs.size(); ++o)
        if (outputs[o].requires_grad())
          check_everywhere(c, {true, o, 0}, fmt::format("the gradient of output {}", o),
                           outputs[o].size());
    }
    CHECK(shown == wanted);
  }
}

}  // namespace etude::test
