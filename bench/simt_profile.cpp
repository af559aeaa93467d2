#include "bench/simt_profile.h"

#include <fmt/format.h>

#include <cstdio>
#include <functional>

#include "bench/runner.h"
#include "engine/device.h"
#include "kernels/simt/simt.h"
#if ETUDE_BENCH_CASES
#include "tests/cases.h"
#endif

namespace etude::bench {
namespace {

constexpr Device device{DeviceKind::simt};

void print_profile(const std::string& title, const std::function<void()>& run) {
  ::simt::profile_start();
  run();
  synchronize(device);
  fmt::print("{}\n\n", title);
  for (const ::simt::KernelProfile& kernel : ::simt::profile_stop())
    fmt::print("{}\n", to_string(kernel));
}

bool profile_cases(const std::string& text) {
  bool found = false;
#if ETUDE_BENCH_CASES
  for (const test::Case& c : test::all_cases()) {
    if (c.name().find(text) == std::string::npos) continue;
    found = true;
    print_profile(c.name(), [&] {
      const test::Tensors inputs = test::make_inputs(c, DType::f32, device);
      for (const Tensor& y : c.run(inputs))
        if (y.requires_grad()) backward(sum(y));
    });
  }
#else
  static_cast<void>(text);
#endif
  return found;
}

}  // namespace

void simt_profile(const std::string& what, const std::vector<std::string>& settings) {
  use_simt_table(simt_counting::table());
  if (settings.empty() && profile_cases(what)) return;
  for (const Problem& problem : parse_problems(what, settings)) {
    check(problem.compares(), "--simt-profile: {} is not a kernel", problem.kernel);
    const auto runner = make_etude_runner(problem, make_inputs(problem), 1, device);
    print_profile(problem.kernel + " " + problem.settings(), [&] { runner->call(0); });
  }
}

}  // namespace etude::bench
