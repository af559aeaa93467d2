#include "bench/simt_profile.h"

#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <map>

#include "bench/rows.h"
#include "engine/device.h"
#include "kernels/simt/simt.h"
#ifdef ETUDE_BENCH_CASES
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

// "H=32" and so on. S and W follow R and H where they are not given; padding is R / 2.
Conv2dShape parse_problem(const std::vector<std::string>& settings) {
  std::map<std::string, Index> values;
  for (const std::string& setting : settings) {
    char name[16] = "";
    long value = -1;
    int end = 0;
    const bool good = std::sscanf(setting.c_str(), "%15[^=]=%ld%n", name, &value, &end) == 2 &&
                      static_cast<std::size_t>(end) == setting.size() && value >= 0;
    check(good, "--simt-profile: expected NAME=NUMBER such as H=32, found '{}'", setting);
    values[name] = value;
  }
  const auto take = [&](const char* name, Index otherwise) {
    const auto at = values.find(name);
    if (at == values.end()) return otherwise;
    const Index value = at->second;
    values.erase(at);
    return value;
  };
  Conv2dShape p{};
  p.n = take("N", 1);
  p.h = take("H", 32);
  p.w = take("W", p.h);
  p.c = take("C", 16);
  p.k = take("K", p.c);
  p.r = take("R", 3);
  p.s = take("S", p.r);
  p.stride_h = p.stride_w = take("stride", 1);
  const Index pad = take("pad", -1);
  p.pad_h = pad < 0 ? p.r / 2 : pad;
  p.pad_w = pad < 0 ? p.s / 2 : pad;
  p.dilation_h = p.dilation_w = take("dilation", 1);
  check(values.empty(),
        "--simt-profile: '{}' is unknown; expected N, H, W, C, K, R, S, stride, pad, dilation",
        values.empty() ? "" : values.begin()->first);
  check(p.n > 0 && p.c > 0 && p.k > 0 && p.r > 0 && p.s > 0 && p.stride_h > 0 && p.dilation_h > 0 &&
            p.h + 2 * p.pad_h > p.dilation_h * (p.r - 1) &&
            p.w + 2 * p.pad_w > p.dilation_w * (p.s - 1),
        "--simt-profile: a convolution of this shape has no output");
  return p;
}

void profile_convolution(const std::string& kernel, const Conv2dShape& p) {
  const Kernels<float>& k = kernels_for<float>(device);
  const Stream stream = current_stream(device);
  const Tensor x = random_tensor({p.n, p.h, p.w, p.c}).to(device),
               w = random_tensor({p.k, p.r, p.s, p.c}).to(device),
               y = random_tensor({p.n, p.p(), p.q(), p.k}).to(device),
               bias = random_tensor({p.k}).to(device);
  const auto scratch = [](std::size_t bytes) {
    return Tensor({static_cast<Index>(bytes)}, DType::u8, device);
  };
  const std::string title =
      fmt::format("{} N={} H={} W={} C={} K={} R={} S={} stride={} pad={} dilation={}", kernel, p.n,
                  p.h, p.w, p.c, p.k, p.r, p.s, p.stride_h, p.pad_h, p.dilation_h);
  if (kernel == "conv2d_forward") {
    const Tensor work = scratch(k.conv2d_forward_workspace(p));
    print_profile(title, [&] {
      k.conv2d_forward(stream, p, x.data<float>(), w.data<float>(), bias.data<float>(), true,
                       y.data<float>(), work.data<std::uint8_t>());
    });
  } else if (kernel == "conv2d_backward_data") {
    const Tensor work = scratch(k.conv2d_backward_data_workspace(p));
    print_profile(title, [&] {
      k.conv2d_backward_data(stream, p, y.data<float>(), w.data<float>(), x.data<float>(),
                             work.data<std::uint8_t>());
    });
  } else {
    const Tensor work = scratch(k.conv2d_backward_filter_workspace(p));
    print_profile(title, [&] {
      k.conv2d_backward_filter(stream, p, x.data<float>(), y.data<float>(), w.data<float>(),
                               bias.data<float>(), work.data<std::uint8_t>());
    });
  }
}

bool profile_cases(const std::string& text) {
  bool found = false;
#ifdef ETUDE_BENCH_CASES
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
  if (what == "conv2d_forward" || what == "conv2d_backward_data" ||
      what == "conv2d_backward_filter")
    profile_convolution(what, parse_problem(settings));
  else
    check(profile_cases(what),
          "--simt-profile: '{}' is neither conv2d_forward, conv2d_backward_data, "
          "conv2d_backward_filter nor part of the name of a case (--benchmark_list_tests)",
          what);
}

}  // namespace etude::bench
