#include "bench/runner.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "engine/random.h"
#include "kernels/timing.h"

namespace etude::bench {
namespace {

// [outer, inner, channels] <-> [outer, channels, inner]
std::vector<float> transposed(Index outer, Index inner, Index channels,
                              const std::vector<float>& x) {
  std::vector<float> y(x.size());
  for (Index o = 0; o < outer; ++o)
    for (Index i = 0; i < inner; ++i)
      for (Index c = 0; c < channels; ++c)
        y[static_cast<std::size_t>((o * channels + c) * inner + i)] =
            x[static_cast<std::size_t>((o * inner + i) * channels + c)];
  return y;
}

class TensorRunner final : public Runner {
 public:
  TensorRunner(const Problem& problem, const Inputs& inputs, int sets, Device device, Kernel kernel)
      : output_(problem.output), device_(device), kernel_(std::move(kernel)) {
    workspace = kernel_.workspace;
    note = kernel_.note;
    std::vector<Tensor> first;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Operand& o = problem.inputs[i];
      const Shape shape{o.outer, o.inner, o.channels};
      first.push_back(
          kernel_.nchw
              ? Tensor::from(transposed(o.outer, o.inner, o.channels, inputs[i]), shape, device)
              : Tensor::from(inputs[i], shape, device));
    }
    place_ = first.size();
    first.push_back(
        Tensor::zeros({output_.outer, output_.inner, output_.channels}, DType::f32, device));
    for (const auto& [shape, dtype] : kernel_.extra)
      first.push_back(Tensor::zeros(shape, dtype, device));
    if (kernel_.prepare) kernel_.prepare(first);
    for (int set = 1; set < sets; ++set) {
      std::vector<Tensor> copy;
      for (const Tensor& tensor : first) copy.push_back(tensor.clone());
      sets_.push_back(std::move(copy));
    }
    sets_.push_back(std::move(first));
  }

  void call(int set) override { kernel_.run(sets_[static_cast<std::size_t>(set)]); }

  std::vector<float> output(int set) override {
    synchronize(device_);
    const std::vector<Tensor>& tensors = sets_[static_cast<std::size_t>(set)];
    if (kernel_.finish) kernel_.finish(tensors);
    std::vector<float> y = tensors[place_].to_vector<float>();
    return kernel_.nchw ? transposed(output_.outer, output_.channels, output_.inner, y) : y;
  }

  void spoil(int set) override {
    const Tensor& y = sets_[static_cast<std::size_t>(set)][place_];
    kernels_for<float>(device_).fill(current_stream(device_), y.size(), -7, y.data<float>());
  }

  Times time(int set, int sets) override {
    if (device_.kind != DeviceKind::cuda) return Runner::time(set, sets);
    std::vector<double> seconds =
        time_calls(kernels_for<float>(device_), current_stream(device_), 20, [&] {
          call(set);
          set = (set + 1) % sets;
        });
    for (double& s : seconds) s *= 1e-3;
    return {std::move(seconds), {}};
  }

  Device device() const override { return device_; }

 private:
  Operand output_;
  Device device_;
  Kernel kernel_;
  std::size_t place_ = 0;
  std::vector<std::vector<Tensor>> sets_;
};

}  // namespace

Times Runner::time(int set, int) {
  const std::clock_t processor = std::clock();
  const auto start = std::chrono::steady_clock::now();
  call(set);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  return {{wall.count()}, {static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC}};
}

Tensor random_tensor(Shape shape) {
  Tensor t(shape);
  kernels_for<float>(cpu_device).random_normal({}, t.size(), 0, 1, {}, t.data<float>());
  return t;
}

Inputs make_inputs(const Problem& problem) {
  Inputs inputs;
  for (const Operand& operand : problem.inputs) {
    std::vector<float> values(static_cast<std::size_t>(operand.size()));
    kernels_for<float>(cpu_device)
        .random_normal({}, operand.size(), 0, 1, {.seed = inputs.size()}, values.data());
    // No zeros: whether a kernel turns one into 0 or into the least number says nothing.
    std::replace(values.begin(), values.end(), 0.0F, 1.0F);
    inputs.push_back(std::move(values));
  }
  return inputs;
}

std::vector<float> leading_block(const Operand& whole, const Operand& part,
                                 const std::vector<float>& values) {
  std::vector<float> block;
  block.reserve(static_cast<std::size_t>(part.size()));
  for (Index o = 0; o < part.outer; ++o)
    for (Index i = 0; i < part.inner; ++i) {
      const auto row = values.begin() + (o * whole.inner + i) * whole.channels;
      block.insert(block.end(), row, row + part.channels);
    }
  return block;
}

Inputs reduce_inputs(const Problem& whole, const Problem& part, const Inputs& inputs) {
  Inputs blocks;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    blocks.push_back(leading_block(whole.inputs[i], part.inputs[i], inputs[i]));
  return blocks;
}

std::unique_ptr<Runner> make_runner(const Problem& problem, const Inputs& inputs, int sets,
                                    Device device, Kernel kernel) {
  return std::make_unique<TensorRunner>(problem, inputs, sets, device, std::move(kernel));
}

std::vector<Provider> providers(std::vector<std::string>& skipped) {
  std::vector<Provider> list;
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda}) {
    const Device device{kind};
    const std::string name = "etude:" + to_string(device), problem = device_problem(device);
    if (!problem.empty()) {
      skipped.push_back(name + ": " + problem);
      continue;
    }
    list.push_back({name, describe(device), kind == DeviceKind::cuda,
                    [](const Problem&) { return true; },
                    [device](const Problem& p, const Inputs& inputs, int sets) {
                      return p.compares() ? make_etude_runner(p, inputs, sets, device)
                                          : make_workload(p, device);
                    }});
  }
  add_onednn(list, skipped);
  add_fftw(list, skipped);
  add_openblas(list, skipped);
  add_vendor(list, skipped);
  return list;
}

}  // namespace etude::bench
