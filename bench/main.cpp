// etude-bench: how fast the kernels, the models and the pipeline are on this machine, in percent of
// what it can, beside other libraries. Rows are Google Benchmark's (its own flags work).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <set>
#include <thread>

#include "bench/cases.h"
#include "bench/report.h"
#include "bench/rows.h"
#include "bench/scaling.h"
#include "bench/simt_profile.h"
#include "bench/train_step.h"

namespace etude::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string isa, problem, input = "128x256x1", simt_profiled;
  std::vector<std::string> suites, providers, caches = {"warm", "cold"};
  std::vector<int> threads;
  double seconds = 0.2;
  bool profile = false;
  std::string json, csv, html, svg;
  TrainStepOptions step;
};

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

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  if (text.empty()) {  // no row has both FLOPs and bytes, or none ran cold
    fmt::print(stderr, "nothing to draw for {}\n", path);
    return;
  }
  std::ofstream file(path);
  check(static_cast<bool>(file << text << std::flush), "cannot write {}", path);
  fmt::print(stderr, "wrote {}\n", path);
}

// A line of /proc/cpuinfo, of the first processor; "" where there is none.
std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key) && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return {};
}

// What may explain a number later.
Json describe_machine() {
  Json context = {{"processor", cpuinfo("model name")},
                  {"clock", cpuinfo("cpu MHz") + " MHz now"},
                  {"isa", chosen_isa()},
                  {"compiler", __VERSION__}};
  double load = 0;
  if (getloadavg(&load, 1) == 1)
    context["load"] =
        fmt::format("{:.1f}{}", load,
                    load > 0.5 ? ": other work on this machine disturbs wall-clock times" : "");
  return context;
}

std::vector<SuiteRow> selected_problems(const Options& options, std::vector<std::string>& rest) {
  std::vector<SuiteRow> rows;
  if (!options.problem.empty()) {
    std::vector<std::string> settings;
    const auto flags = std::stable_partition(
        rest.begin(), rest.end(), [](const std::string& word) { return word.starts_with("-"); });
    settings.assign(flags, rest.end());
    rest.erase(flags, rest.end());
    for (Problem& p : parse_problems(options.problem, settings))
      rows.push_back({"problem", "flags", std::move(p)});
    return rows;
  }
  for (const std::string& suite :
       options.suites.empty() ? std::vector<std::string>{"smoke"} : options.suites) {
#if ETUDE_BENCH_CASES
    if (suite == "cases") {
      const std::vector<SuiteRow> cases = case_suite();
      rows.insert(rows.end(), cases.begin(), cases.end());
      continue;
    }
#endif
    const std::vector<SuiteRow> some = read_suite(suite);
    rows.insert(rows.end(), some.begin(), some.end());
  }
  return rows;
}

// Providers by name, or by the part before the colon; etude:simt is no provider of times.
std::vector<Provider> selected_providers(const Options& options, std::vector<std::string>& skipped,
                                         bool& counts) {
  std::vector<Provider> all = providers(skipped);
  counts = can_count();
  if (!counts) skipped.push_back("etude:simt: no counting emulator in this build (ETUDE_SIMT)");
  if (options.providers.empty()) return all;
  const auto wanted = [&](const std::string& name) {
    return std::any_of(
        options.providers.begin(), options.providers.end(),
        [&](const std::string& w) { return w == name || name.starts_with(w + ":"); });
  };
  std::set<std::string> known = {"etude:simt"};
  for (const Provider& p : all) known.insert(p.name);
  for (const std::string& w : options.providers)
    check(std::any_of(known.begin(), known.end(),
                      [&](const std::string& k) { return k == w || k.starts_with(w + ":"); }),
          "no provider '{}' here; there are {}", w, fmt::join(known, ", "));
  counts = counts && wanted("etude:simt");
  std::erase_if(all, [&](const Provider& p) { return !wanted(p.name); });
  return all;
}

// Each problem of kernels that gave a result, on the GPUs of the table.
std::vector<ModelledRow> modelled(const std::vector<Result>& results) {
  std::vector<ModelledRow> rows;
  std::set<std::string> seen;
  const auto id = [](const Result& r) { return r.suite + "/" + r.name + "/" + r.kernel; };
  for (const Result& r : results) {
    if (!r.failure.empty() || r.items > 0 || r.bytes <= 0 || !seen.insert(id(r)).second) continue;
    const auto counted = std::find_if(results.begin(), results.end(), [&](const Result& other) {
      return id(other) == id(r) && other.counted;
    });
    const Counters* const c = counted == results.end() ? nullptr : &*counted->counted;
    ModelledRow row{id(r), c ? c->kernel : "", {}};
    for (const Gpu& gpu : gpus())
      row.gpu.push_back(model_time(gpu, r.flops, r.bytes, c,
                                   c ? find_compiled(c->kernel, gpu.arch) : Compiled{}));
    rows.push_back(std::move(row));
  }
  return rows;
}

int run_suites(const Options& options, std::vector<std::string> rest, const char* program) {
  std::vector<SuiteRow> problems;
  try {
    problems = selected_problems(options, rest);
  } catch (const Error& error) {  // how it was called, not what it did
    throw CLI::ValidationError(options.problem.empty() ? "--suite" : "--problem", error.what());
  }
  std::vector<char*> flags = {const_cast<char*>(program)};
  for (std::string& flag : rest) flags.push_back(flag.data());
  int count = static_cast<int>(flags.size());
  benchmark::Initialize(&count, flags.data());
  if (benchmark::ReportUnrecognizedArguments(count, flags.data())) return 2;

  std::vector<std::string> skipped;
  bool counts = false;
  const std::vector<Provider> list = selected_providers(options, skipped, counts);
  if (options.profile) {
    if (!options.threads.empty()) set_num_threads(options.threads.front());
    profile_once(problems, list);
    return 0;
  }

  RowOptions rows;
  rows.caches = options.caches;
  rows.seconds = options.seconds;
  rows.threads = options.threads.empty() ? std::vector<int>{num_threads()} : options.threads;
  Json context = describe_machine();
  const auto peaks = [&](const std::string& key, const Machine& m) {
    context[key] = fmt::format("{:.1f} GFLOP/s of multiply-adds, {:.1f} GB/s of copies, measured",
                               1e-9 * m.flops, 1e-9 * m.bytes_per_second);
  };
  std::set<int> measured = {1, static_cast<int>(std::thread::hardware_concurrency())};
  measured.insert(rows.threads.begin(), rows.threads.end());
  for (const int threads : measured) {
    rows.machines[threads] = measure_machine(chosen_isa(), threads);
    peaks(fmt::format("peak, threads {}", threads), rows.machines[threads]);
  }
  for (const Provider& p : list) {
    context[p.name] = p.version;
    if (p.gpu && !rows.machines.contains(0)) {
      rows.machines[0] = measure_gpu({DeviceKind::cuda});
      peaks("peak, GPU", rows.machines[0]);
    }
  }
  context["skipped"] = skipped;
  for (const auto& [key, value] : context.items())
    if (value.is_string()) {
      benchmark::AddCustomContext(key, value.get<std::string>());
      fmt::print("{:<18} {}\n", key, value.get<std::string>());
    }
  for (const std::string& line : skipped) fmt::print("{:<18} {}\n", "skipped", line);
  fmt::print("\n");
  std::fflush(stdout);

  register_rows(problems, list, rows, counts);
  const std::vector<Result> results = run_rows();
  const bool has_gpu = rows.machines.contains(0);
  const std::vector<ModelledRow> models = has_gpu ? std::vector<ModelledRow>{} : modelled(results);
  fmt::print("{}{}{}", modelled_table(models), sweep_table(sweeps(results)),
             thread_table(thread_scaling(results)));
  Json json = to_json(results, context);
  for (const ModelledRow& row : models)
    for (std::size_t i = 0; i < row.gpu.size(); ++i)
      json["modelled"].push_back({{"row", row.name},
                                  {"kernel", row.kernel},
                                  {"gpu", gpus()[i].name},
                                  {"us", 1e6 * row.gpu[i].seconds},
                                  {"bound", row.gpu[i].bound}});
  write_file(options.json, json.dump(1) + "\n");
  write_file(options.csv, to_csv(results));
  write_file(options.svg, roofline_svg(results, true));
  write_file(options.html, report_html(results, models, context));
  int bad = 0;
  for (const Result& r : results)
    if (wrong(r) || (!r.failure.empty() && r.provider != "etude:simt")) ++bad;
  if (bad) fmt::print(stderr, "etude-bench: {} rows failed or are wrong\n", bad);
  return bad ? 1 : 0;
}

int run(int argc, char** argv) {
  CLI::App app{
      "etude-bench: kernels, models and the pipeline, in percent of what this machine can.\n"
      "The flags of Google Benchmark work too, e.g. --benchmark_filter=layer1 "
      "--benchmark_list_tests=true"};
  Options o;
  o.step.model.clear();
  app.add_option("--suite", o.suites,
                 "suites, or files of the same form (default: smoke). There are cases, " +
                     fmt::format("{}", fmt::join(suite_names(), ", ")))
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--problem", o.problem,
                 "one kernel (or a family of them), followed by its settings, e.g.\n"
                 "--problem conv2d_forward N=16 H=32 W=64 C=64. Kernels and defaults:\n" +
                     kernel_help());
  app.add_option("--providers", o.providers,
                 "only these, e.g. etude:cpu,onednn (default: all here)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--threads", o.threads, "threads of the CPU kernels, e.g. 1,2 (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 4096));
  app.add_option("--cache", o.caches,
                 "warm (the same buffers again), cold (buffers that no cache holds) or both")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"warm", "cold"}));
  app.add_option("--isa", o.isa, "instruction set: baseline, avx2, avx512 (default: the best)");
  app.add_option("--seconds", o.seconds, "least time of a row")->capture_default_str();
  app.add_flag("--profile", o.profile, "run each problem once and nothing else, for a profiler");
  app.add_option("--json", o.json, "write all rows to this file");
  app.add_option("--csv", o.csv, "write all rows to this file");
  app.add_option("--html", o.html, "write a report to this file");
  app.add_option("--svg", o.svg, "write the roofline picture to this file");
  app.add_option("--train-step", o.step.model,
                 "measure training steps of this model in this process and print one JSON object");
  app.add_flag("--inference", o.step.inference, "with --train-step: forward passes instead");
  app.add_option("--input", o.input, "its input, HxWxC")->capture_default_str();
  app.add_option("--batch", o.step.batch, "its batch")->capture_default_str();
  app.add_option("--outputs", o.step.outputs, "its outputs")->capture_default_str();
  app.add_option("--hidden", o.step.hidden, "hidden channels of a TinyVGG")->capture_default_str();
  app.add_option("--steps", o.step.steps, "measured steps")->capture_default_str();
  app.add_option("--warm-up", o.step.warm_up, "steps before them")->capture_default_str();
  app.add_option("--simt-profile", o.simt_profiled,
                 "count what a kernel costs on the emulator, by source line: a kernel with its\n"
                 "settings, as --problem; or part of a case's name");
  app.allow_extras();
  CLI11_PARSE(app, argc, argv);

  if (!o.isa.empty()) choose_isa(o.isa);
  if (!o.step.model.empty()) {
    if (!o.threads.empty()) set_num_threads(o.threads.front());
    parse_input(o.input, o.step);
    fmt::print("{}\n", measure_train_step(o.step));
    return 0;
  }
  if (!o.simt_profiled.empty()) {
#if ETUDE_BENCH_SIMT_PROFILE
    simt_profile(o.simt_profiled, app.remaining());
    return 0;
#else
    fmt::print(stderr, "etude-bench: this build has no emulator that counts\n");
    return 1;
#endif
  }
  return run_suites(o, app.remaining(), argv[0]);
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
