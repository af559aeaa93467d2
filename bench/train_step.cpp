#include "bench/train_step.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/runner.h"
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

// Of a forward pass, by the layers' own count.
double count_flops(Module& model, const Tensor& x) {
  double macs = 0;
  const NoGrad no_grad;
  model.train(false);
  Module::set_observer([&](Module& module, const Shape& input, const Tensor& y) {
    macs += static_cast<double>(module.macs(input, y.shape()));
  });
  const Shape one{1, x.dim(1), x.dim(2), x.dim(3)};
  model(Tensor::zeros(one));
  Module::set_observer({});
  return 2 * macs * static_cast<double>(x.dim(0));
}

}  // namespace

TrainStep::TrainStep(const TrainStepOptions& o, Device device)
    : x_(random_tensor({o.batch, o.height, o.width, o.channels})), inference_(o.inference) {
  models::ModelOptions options;
  options.height = o.height;
  options.width = o.width;
  options.channels = o.channels;
  options.outputs = o.outputs;
  options.hidden = o.hidden;
  model_ = models::make_model(o.model, options);
  flops_ = (o.inference ? 1 : 3) * count_flops(*model_, x_);
  model_->to(device);
  model_->train(!o.inference);
  x_ = x_.to(device);
  optimizer_ = std::make_unique<Sgd>(*model_, SgdOptions{.lr = 0.01, .momentum = 0.9});
  std::vector<std::int64_t> labels(static_cast<std::size_t>(o.batch));
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = static_cast<std::int64_t>(i) % o.outputs;
  labels_ = Tensor::from(labels, {o.batch}, device);
}

void TrainStep::step() {
  if (inference_) {
    const NoGrad no_grad;
    loss_ = model_->forward(x_);
    return;
  }
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
  const nlohmann::json result = {{"median_ms", quantile(2)},
                                 {"quartiles_ms", {quantile(1), quantile(3)}},
                                 {"min_ms", ms.front()},
                                 {"cpu_ms", cpu_ms[cpu_ms.size() / 2]},
                                 {"loss", options.inference ? 0 : run.loss()},
                                 {"peak_rise_mb", (peak - before) / 1e6},
                                 {"gflop", 1e-9 * run.flops()},
                                 {"isa", chosen_isa()},
                                 {"threads", num_threads()}};
  return result.dump();
}

}  // namespace etude::bench
