// etude-bench: how fast the kernels and the models are on this machine, in percent of what it can.
// Rows are Google Benchmark's (its own flags work); --train-step measures one model by itself.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <vector>

#include "bench/rows.h"
#include "bench/simt_profile.h"
#include "bench/train_step.h"
#include "engine/device.h"
#include "engine/random.h"

namespace etude::bench {

Tensor random_tensor(Shape shape) {
  Tensor t(shape);
  kernels_for<float>(cpu_device).random_normal({}, t.size(), 0, 1, {}, t.data<float>());
  return t;
}

void register_row(const Machine& machine, Row row) {
  benchmark::RegisterBenchmark(
      row.name.c_str(),
      [machine, row](benchmark::State& state) {
        const std::function<void()> body = row.prepare();
        body();
        const auto start = std::chrono::steady_clock::now();
        for (auto _ : state) body();
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        const double calls_per_second = static_cast<double>(state.iterations()) / elapsed.count();
        const double flops = row.flops * calls_per_second, bytes = row.bytes * calls_per_second;
        if (flops > 0)
          state.counters["GFLOP/s"] = flops * 1e-9;
        else
          state.counters["GB/s"] = bytes * 1e-9;
        state.counters["%peak"] =
            100 * std::max(flops / machine.flops, bytes / machine.bytes_per_second);
      })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

namespace {

// "128x256x1" -> height, width, channels.
void parse_input(const std::string& text, TrainStepOptions& options) {
  long height = 0, width = 0, channels = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "%ldx%ldx%ld%n", &height, &width, &channels, &end) != 3 ||
      static_cast<std::size_t>(end) != text.size() || height < 1 || width < 1 || channels < 1)
    throw CLI::ValidationError("--input", "expected HxWxC such as 128x256x1, found " + text);
  options.height = height;
  options.width = width;
  options.channels = channels;
}

int run(int argc, char** argv) {
  CLI::App app{
      "etude-bench: rows of kernels and training steps; the flags of Google Benchmark work too,\n"
      "e.g. --benchmark_filter=conv2d/resnet18 --benchmark_list_tests"};
  std::string isa, input = "128x256x1", profiled;
  int threads = 0;
  TrainStepOptions step;
  step.model.clear();
  app.add_option("--isa", isa, "instruction set: baseline, avx2, avx512 (default: the best)");
  app.add_option("--threads", threads, "threads of the CPU kernels (default: all)");
  app.add_option("--train-step", step.model,
                 "measure training steps of this model in this process and print one JSON object");
  app.add_option("--input", input, "its input, HxWxC")->capture_default_str();
  app.add_option("--batch", step.batch, "its batch")->capture_default_str();
  app.add_option("--outputs", step.outputs, "its outputs")->capture_default_str();
  app.add_option("--steps", step.steps, "measured steps")->capture_default_str();
  app.add_option("--warm-up", step.warm_up, "steps before them")->capture_default_str();
  app.add_option("--simt-profile", profiled,
                 "count what a kernel costs on the emulator, by source line: conv2d_forward,\n"
                 "conv2d_backward_data or conv2d_backward_filter, then the problem as NAME=NUMBER\n"
                 "(N H W C K R S stride pad dilation); or part of a case's name");
  app.allow_extras();
  CLI11_PARSE(app, argc, argv);

  if (!isa.empty()) choose_isa(isa);
  if (threads > 0) set_num_threads(threads);
  if (!step.model.empty()) {
    parse_input(input, step);
    fmt::print("{}\n", measure_train_step(step));
    return 0;
  }

  std::vector<std::string> rest = app.remaining();
  if (!profiled.empty()) {
#ifdef ETUDE_BENCH_SIMT_PROFILE
    simt_profile(profiled, rest);
    return 0;
#else
    fmt::print(stderr, "etude-bench: this build has no emulator that counts\n");
    return 1;
#endif
  }

  std::vector<char*> flags = {argv[0]};
  for (std::string& flag : rest) flags.push_back(flag.data());
  int count = static_cast<int>(flags.size());
  benchmark::Initialize(&count, flags.data());
  if (benchmark::ReportUnrecognizedArguments(count, flags.data())) return 2;

  const Machine machine = measure_machine(chosen_isa(), num_threads());
  benchmark::AddCustomContext("isa", chosen_isa());
  benchmark::AddCustomContext("threads", std::to_string(num_threads()));
  benchmark::AddCustomContext("multiply_add_peak",
                              fmt::format("{:.1f} GFLOP/s", machine.flops * 1e-9));
  benchmark::AddCustomContext("copy", fmt::format("{:.1f} GB/s", machine.bytes_per_second * 1e-9));
  register_conv_rows(machine);
  register_layer_rows(machine);
  register_front_end_rows(machine);
  register_model_rows(machine);
  register_simt_rows(machine);
#ifdef ETUDE_BENCH_CASES
  register_case_rows(machine);
#endif
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace etude::bench

int main(int argc, char** argv) {
  try {
    return etude::bench::run(argc, argv);
  } catch (const CLI::Error& error) {
    fmt::print(stderr, "etude-bench: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "etude-bench: {}\n", error.what());
    return 1;
  }
}
