#include "bench/train_step.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/rows.h"
#include "engine/ops.h"
#include "models/zoo.h"

namespace etude::bench {
namespace {

// A line of /proc/self/status in bytes (VmRSS, VmHWM); 0 where there is none.
double process_status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":")) return 1024 * std::stod(line.substr(key.size() + 1));
  return 0;
}

// Starts the peak of resident memory anew.
void reset_peak_resident() { std::ofstream("/proc/self/clear_refs") << 5; }

}  // namespace

TrainStep::TrainStep(const TrainStepOptions& o)
    : x_(random_tensor({o.batch, o.height, o.width, o.channels})) {
  models::ModelOptions options;
  options.height = o.height;
  options.width = o.width;
  options.channels = o.channels;
  options.outputs = o.outputs;
  model_ = models::make_model(o.model, options);
  optimizer_ = std::make_unique<Sgd>(*model_, SgdOptions{.lr = 0.01, .momentum = 0.9});
  std::vector<std::int64_t> labels(static_cast<std::size_t>(o.batch));
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = static_cast<std::int64_t>(i) % o.outputs;
  labels_ = Tensor::from(labels, {o.batch});
}

void TrainStep::step() {
  optimizer_->zero_grad();
  loss_ = cross_entropy(model_->forward(x_), labels_);
  backward(loss_);
  optimizer_->step();
}

std::string measure_train_step(const TrainStepOptions& options) {
  TrainStep run(options);
  const double before = process_status("VmRSS");
  reset_peak_resident();
  std::vector<double> ms, cpu_ms;
  for (int i = 0; i < options.warm_up + options.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    run.step();
    synchronize(cpu_device);
    if (i < options.warm_up) continue;
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - start;
    ms.push_back(wall.count());
    cpu_ms.push_back(1e3 * static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
  }
  const double peak = process_status("VmHWM");
  std::sort(ms.begin(), ms.end());
  std::sort(cpu_ms.begin(), cpu_ms.end());
  const auto quantile = [&](std::size_t quarter) { return ms[(ms.size() - 1) * quarter / 4]; };
  const nlohmann::json result = {
      {"median_ms", quantile(2)}, {"quartiles_ms", {quantile(1), quantile(3)}},
      {"min_ms", ms.front()},     {"cpu_ms", cpu_ms[cpu_ms.size() / 2]},
      {"loss", run.loss()},       {"peak_rise_mb", (peak - before) / 1e6},
      {"isa", chosen_isa()},      {"threads", num_threads()}};
  return result.dump();
}

}  // namespace etude::bench
