// Whole training steps, in images a second.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/rows.h"
#include "bench/suites.h"
#include "bench/train_step.h"

namespace etude::bench {

void register_model_rows(const Machine&) {
  for (const ModelStep& s : model_steps) {
    const std::string name =
        fmt::format("train_step/{}/{}x{}x{}x{}", s.model, s.batch, s.height, s.width, s.channels);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [s](benchmark::State& state) {
                                   TrainStep run({s.model, s.batch, s.height, s.width, s.channels});
                                   run.step();
                                   for (auto _ : state) run.step();
                                   state.SetItemsProcessed(state.iterations() * s.batch);
                                 })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace etude::bench
