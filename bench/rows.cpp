#include "bench/rows.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace etude::bench {
namespace {

struct Row {
  SuiteRow problem;
  const Provider* provider = nullptr;  // null: etude:simt
  Result result;
};

// Filled by register_rows(), in the order of registration; never moved afterwards.
std::vector<std::unique_ptr<Row>>& rows() {
  static std::vector<std::unique_ptr<Row>> all;
  return all;
}

bool same_group(const Result& a, const Result& b) {
  return a.suite == b.suite && a.name == b.name && a.kernel == b.kernel && a.settings == b.settings;
}

// ---- a row
// ---------------------------------------------------------------------------------------

// Google Benchmark calls a row's function several times; its buffers are made once.
struct Prepared {
  const Row* row = nullptr;
  std::unique_ptr<Runner> runner;
  int sets = 1, next = 0;
};

Prepared& prepared() {
  static Prepared one;
  return one;
}

// So many that twice the largest cache would not hold them; GPUs' second levels reach some 128 MB.
int cold_sets(const Problem& p, bool gpu) {
  double bytes = 4.0 * static_cast<double>(p.output.size());
  for (const Operand& x : p.inputs) bytes += 4.0 * static_cast<double>(x.size());
  const double cache = static_cast<double>(std::max(last_level_cache(), std::size_t{32} << 20));
  const double enough = gpu ? 256e6 : 2 * cache;
  return static_cast<int>(std::clamp(std::ceil(enough / bytes), 2.0, 4096.0));
}

void prepare(Row& row) {
  Prepared& p = prepared();
  if (p.row == &row) return;
  p = {};
  Result& r = row.result;
  const Problem& problem = row.problem.problem;
  if (!r.gpu) set_num_threads(r.threads);
  p.sets = r.cache == "cold" ? cold_sets(problem, r.gpu) : 1;
  const Inputs inputs = make_inputs(problem);
  p.runner = row.provider->make(problem, inputs, p.sets);
  r.workspace = p.runner->workspace;
  r.note = p.runner->note;
  r.flops = problem.flops > 0 ? problem.flops : p.runner->flops;
  if (problem.compares()) {
    r.error = error_of(problem, inputs, *p.runner);
    r.repeats = repeats(*p.runner);
  } else {
    p.runner->call(0);
  }
  p.row = &row;
}

void measure(benchmark::State& state, Row& row) {
  try {
    prepare(row);
    Prepared& p = prepared();
    for (auto _ : state) {
      const Times times = p.runner->time(p.next, p.sets);
      const std::vector<double>& seconds = times.wall;
      p.next = static_cast<int>((static_cast<std::size_t>(p.next) + seconds.size()) %
                                static_cast<std::size_t>(p.sets));
      double sum = 0;
      for (const double s : seconds) sum += s;
      state.SetIterationTime(sum / static_cast<double>(seconds.size()));
      row.result.seconds.insert(row.result.seconds.end(), seconds.begin(), seconds.end());
      row.result.processor.insert(row.result.processor.end(), times.processor.begin(),
                                  times.processor.end());
    }
    const Result& r = row.result;
    state.counters["median_us"] = 1e6 * r.median();
    state.counters["p95_us"] = 1e6 * r.quantile(0.95);
    if (r.flops > 0) state.counters["GFLOP/s"] = 1e-9 * r.rate(r.flops);
    if (r.bytes > 0) state.counters["GB/s"] = 1e-9 * r.rate(r.bytes);
    if (r.least_seconds() > 0) state.counters["%SOL"] = 100 * r.speed_of_light();
  } catch (const std::exception& error) {
    row.result.failure = error.what();
    state.SkipWithError(error.what());
  }
}

void count_row(benchmark::State& state, Row& row) {
  for (auto _ : state) state.SetIterationTime(1e-9);
  Result& r = row.result;
  try {
    r.counted = count(row.problem.problem);
    if (!r.counted) {
      r.failure = "too large for the emulator";
      return;
    }
    r.note = r.counted->kernel;
    if (r.counted->scale > 1) r.note += fmt::format(", counted at 1/{:.3g}", r.counted->scale);
    state.counters["traffic"] = r.counted->traffic(r.bytes);
    state.counters["sectors"] = r.counted->loads();
    state.counters["wavefronts"] = r.counted->waves();
    state.counters["lanes"] = r.counted->lanes;
  } catch (const std::exception& error) {
    r.failure = error.what();
  }
}

// ---- the table
// -----------------------------------------------------------------------------------

// Prints a problem's rows when all of its providers are done, since their ratios need all.
class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override {
    fmt::print("{}", table_header());
    return true;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    if (runs.empty()) return;
    for (const auto& row : rows())
      if (id(*row) == runs.front().run_name.function_name) add(*row);
  }
  void Finalize() override { flush(); }
  std::vector<Result> results;

  static std::string id(const Row& row) {
    return row.problem.id() + "/" + row.result.provider +
           (row.provider ? fmt::format("/{}/threads:{}", row.result.cache, row.result.threads)
                         : "");
  }

 private:
  void add(const Row& row) {
    if (!group_.empty() && !same_group(group_.front()->result, row.result)) flush();
    if (std::find(group_.begin(), group_.end(), &row) == group_.end()) group_.push_back(&row);
  }
  void flush() {
    std::vector<Result> group;
    for (const Row* row : group_) group.push_back(row->result);
    compare(group);
    for (Result& r : group) {
      fmt::print("{}", table_row(r));
      results.push_back(std::move(r));
    }
    std::fflush(stdout);
    group_.clear();
  }

  std::vector<const Row*> group_;
};

}  // namespace

void register_rows(const std::vector<SuiteRow>& suite, const std::vector<Provider>& providers,
                   const RowOptions& options, bool counts) {
  const auto add = [](const SuiteRow& problem, const Provider* provider, Result r) {
    r.suite = problem.suite;
    r.name = problem.name;
    r.kernel = problem.problem.kernel;
    r.settings = problem.problem.settings();
    r.flops = problem.problem.flops;
    r.bytes = problem.problem.bytes;
    r.items = problem.problem.items;
    r.unit = problem.problem.unit;
    rows().push_back(std::make_unique<Row>(Row{problem, provider, std::move(r)}));
    return rows().back().get();
  };
  for (const SuiteRow& problem : suite) {
    for (const int threads : options.threads)
      for (const std::string& cache : options.caches)
        for (const Provider& provider : providers) {
          if (!provider.has(problem.problem)) continue;
          if (!problem.problem.compares() && cache != options.caches.front()) continue;
          if (provider.gpu && threads != options.threads.front()) continue;
          Result r;
          r.provider = provider.name;
          r.cache = problem.problem.compares() ? cache : "warm";
          r.gpu = provider.gpu;
          r.threads = r.gpu ? 0 : threads;
          r.machine = options.machines.at(r.threads);
          Row* const row = add(problem, &provider, std::move(r));
          benchmark::RegisterBenchmark(TableReporter::id(*row).c_str(),
                                       [row](benchmark::State& state) { measure(state, *row); })
              ->UseManualTime()
              ->MinTime(options.seconds)
              ->Unit(benchmark::kMicrosecond);
        }
    if (!counts || !problem.problem.compares()) continue;
    Result r;
    r.provider = "etude:simt";
    Row* const row = add(problem, nullptr, std::move(r));
    benchmark::RegisterBenchmark(TableReporter::id(*row).c_str(),
                                 [row](benchmark::State& state) { count_row(state, *row); })
        ->UseManualTime()
        ->Iterations(1);
  }
}

std::vector<Result> run_rows() {
  TableReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  prepared() = {};
  return std::move(reporter.results);
}

void profile_once(const std::vector<SuiteRow>& suite, const std::vector<Provider>& providers) {
  for (const SuiteRow& row : suite)
    for (const Provider& provider : providers) {
      if (!provider.has(row.problem)) continue;
      const std::unique_ptr<Runner> runner =
          provider.make(row.problem, make_inputs(row.problem), 1);
      synchronize(runner->device());
      const std::string name = row.id() + "/" + provider.name;
      const Range range(runner->device(), name.c_str());
      runner->call(0);
      synchronize(runner->device());
      fmt::print("{}: once\n", name);
    }
}

double error_of(const Problem& problem, const Inputs& inputs, Runner& runner) {
  const Problem part = reduced(problem);
  Operand block = part.output;
  (problem.kernel == "mel_spectrogram" ? block.channels : block.inner) -= part.last_frames;
  const std::unique_ptr<Runner> reference =
      make_etude_runner(part, reduce_inputs(problem, part, inputs), 1, reference_device);
  reference->call(0);
  const std::vector<float> expected = leading_block(part.output, block, reference->output(0));
  runner.call(0);
  const std::vector<float> got = leading_block(problem.output, block, runner.output(0));
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    if (std::isnan(d) || d > difference) difference = d;  // NaN stays
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return largest > 0 ? difference / largest : difference;
}

bool repeats(Runner& runner) {
  const std::vector<float> first = runner.output(0);
  runner.spoil(0);
  runner.call(0);
  const std::vector<float> second = runner.output(0);
  return first.size() == second.size() &&
         std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) == 0;
}

}  // namespace etude::bench
