#include "engine/optimizer.h"

#include <map>

#include "engine/dispatch.h"

namespace etude {
namespace {

// The columns of a TensorList, owned for the length of one kernel call.
template <class T>
struct Columns {
  std::vector<Index> sizes;
  std::vector<T*> value, state1, state2, grad;
  std::vector<const T*> grad_const;
  std::vector<double> decay;

  void add(const Tensor& parameter, const Tensor& gradient) {
    sizes.push_back(parameter.size());
    value.push_back(parameter.data<T>());
    if (gradient.defined()) {
      grad.push_back(gradient.data<T>());
      grad_const.push_back(gradient.data<T>());
    }
  }

  TensorList<T> list() const {
    const auto column = [](const auto& v) { return v.empty() ? nullptr : v.data(); };
    return {static_cast<Index>(sizes.size()),
            column(sizes),
            column(value),
            column(grad_const),
            column(state1),
            column(state2),
            column(decay)};
  }
};

// Parameters that have been updated equally often; one kernel call serves such a group. There is
// one group unless some parameters went without a gradient in earlier steps.
using Groups = std::map<std::int64_t, std::vector<std::size_t>>;

std::int64_t& count_of(const Tensor& counter) { return *counter.data<std::int64_t>(); }

Groups group_by_count(const std::vector<StateEntry>& parameters,
                      const std::vector<Tensor>& counters) {
  Groups groups;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].tensor.grad().defined()) groups[count_of(counters[i])].push_back(i);
  return groups;
}

std::vector<Tensor> zeros_like(const std::vector<StateEntry>& parameters) {
  std::vector<Tensor> result;
  for (const StateEntry& p : parameters)
    result.push_back(Tensor::zeros(p.tensor.shape(), p.tensor.dtype(), p.tensor.device()));
  return result;
}

std::vector<Tensor> make_counters(std::size_t n) {
  std::vector<Tensor> result;
  for (std::size_t i = 0; i < n; ++i) result.push_back(Tensor::zeros({}, DType::i64, cpu_device));
  return result;
}

void append(std::vector<StateEntry>& out, const StateEntry& parameter, const char* what,
            const Tensor& tensor) {
  out.push_back({parameter.name + "." + what, tensor, false, parameter.layout});
}

void append_counter(std::vector<StateEntry>& out, const StateEntry& parameter,
                    const Tensor& counter) {
  out.push_back({parameter.name + ".step", counter, false, {}});
}

}  // namespace

Optimizer::Optimizer(std::vector<StateEntry> parameters, double lr, double weight_decay,
                     bool decay_all)
    : lr_(lr) {
  for (StateEntry& p : parameters) {
    if (!p.trainable) continue;
    decay_.push_back(decay_all || p.tensor.rank() >= 2 ? weight_decay : 0);
    parameters_.push_back(std::move(p));
  }
  check(!parameters_.empty(), "optimizer: the module has no parameters");
  for (const StateEntry& p : parameters_) {
    const Tensor& first = parameters_.front().tensor;
    check(p.tensor.dtype() == first.dtype() && p.tensor.device() == first.device(),
          "optimizer: parameter {} is {} on {}, {} is {} on {}; move the whole module first",
          p.name, to_string(p.tensor.dtype()), to_string(p.tensor.device()),
          parameters_.front().name, to_string(first.dtype()), to_string(first.device()));
  }
  counters_ = make_counters(parameters_.size());
}

void Optimizer::zero_grad() {
  for (const StateEntry& p : parameters_) p.tensor.zero_grad();
}

Tensor Optimizer::clip_gradients(double max_norm) {
  check(max_norm > 0, "clip_gradients: max_norm is {}, must be positive", max_norm);
  const Tensor& first = parameters_.front().tensor;
  const Device device = first.device();
  Tensor norm = Tensor::zeros({}, first.dtype(), device);
  dispatch("clip_gradients", first, [&]<class T>(const Kernels<T>& k) {
    Columns<T> columns;
    for (const StateEntry& p : parameters_)
      if (const Tensor grad = p.tensor.grad(); grad.defined()) columns.add(p.tensor, grad);
    if (columns.sizes.empty()) return;
    const TensorList<T> list = columns.list();
    const Stream stream = current_stream(device);
    const Workspace work(device, k.gradient_norm_workspace(list));
    k.gradient_norm(stream, list, norm.data<T>(), work.data());
    k.gradient_clip(stream, list, columns.grad.data(), norm.data<T>(), max_norm);
  });
  return norm;
}

// ---- SGD ----------------------------------------------------------------------------------------

Sgd::Sgd(const Module& module, SgdOptions options, bool decay_all)
    : Optimizer(module.state(), options.lr, options.weight_decay, decay_all), options_(options) {
  check(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
        "sgd: Nesterov needs momentum > 0 and dampening 0, has {} and {}", options.momentum,
        options.dampening);
  if (options.momentum != 0) momentum_ = zeros_like(parameters_);
}

void Sgd::step() {
  const Tensor& front = parameters_.front().tensor;
  dispatch("sgd_step", front, [&]<class T>(const Kernels<T>& k) {
    for (const auto& [count, members] : group_by_count(parameters_, counters_)) {
      Columns<T> columns;
      for (const std::size_t i : members) {
        columns.add(parameters_[i].tensor, parameters_[i].tensor.grad());
        if (!momentum_.empty()) columns.state1.push_back(momentum_[i].data<T>());
        columns.decay.push_back(decay_[i]);
        ++count_of(counters_[i]);
      }
      const SgdStep step{lr_, options_.momentum, options_.dampening, options_.nesterov, count == 0};
      k.sgd_step(current_stream(front.device()), columns.list(), step);
    }
  });
  ++steps_;
}

std::vector<StateEntry> Sgd::state() const {
  std::vector<StateEntry> result;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    append_counter(result, parameters_[i], counters_[i]);
    if (!momentum_.empty()) append(result, parameters_[i], "momentum_buffer", momentum_[i]);
  }
  return result;
}

// ---- AdamW --------------------------------------------------------------------------------------

Adamw::Adamw(const Module& module, AdamwOptions options, bool decay_all)
    : Optimizer(module.state(), options.lr, options.weight_decay, decay_all),
      options_(options),
      first_(zeros_like(parameters_)),
      second_(zeros_like(parameters_)) {
  check(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
        "adamw: betas must lie in [0, 1), are {} and {}", options.beta1, options.beta2);
}

void Adamw::step() {
  const Tensor& front = parameters_.front().tensor;
  dispatch("adamw_step", front, [&]<class T>(const Kernels<T>& k) {
    for (const auto& [count, members] : group_by_count(parameters_, counters_)) {
      Columns<T> columns;
      for (const std::size_t i : members) {
        columns.add(parameters_[i].tensor, parameters_[i].tensor.grad());
        columns.state1.push_back(first_[i].data<T>());
        columns.state2.push_back(second_[i].data<T>());
        columns.decay.push_back(decay_[i]);
        ++count_of(counters_[i]);
      }
      const AdamwStep step{lr_, options_.beta1, options_.beta2, options_.eps, count + 1};
      k.adamw_step(current_stream(front.device()), columns.list(), step);
    }
  });
  ++steps_;
}

std::vector<StateEntry> Adamw::state() const {
  std::vector<StateEntry> result;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    append_counter(result, parameters_[i], counters_[i]);
    append(result, parameters_[i], "exp_avg", first_[i]);
    append(result, parameters_[i], "exp_avg_sq", second_[i]);
  }
  return result;
}

// ---- moving average -----------------------------------------------------------------------------

Ema::Ema(const Module& module, double decay) : source_(module.state()), decay_(decay) {
  check(decay >= 0 && decay < 1, "ema: decay must lie in [0, 1), is {}", decay);
  for (const StateEntry& entry : source_) average_.push_back(entry.tensor.clone());
}

void Ema::update() {
  Tensor first;
  for (std::size_t i = 0; i < source_.size(); ++i) {
    if (!source_[i].trainable)
      average_[i].copy_from(source_[i].tensor);
    else if (!first.defined())
      first = source_[i].tensor;
  }
  if (!first.defined()) return;
  dispatch("ema_step", first, [&]<class T>(const Kernels<T>& k) {
    Columns<T> columns;
    for (std::size_t i = 0; i < source_.size(); ++i) {
      if (!source_[i].trainable) continue;
      columns.add(source_[i].tensor, {});
      columns.state1.push_back(average_[i].data<T>());
    }
    k.ema_step(current_stream(first.device()), columns.list(), decay_);
  });
}

void Ema::swap() {
  for (std::size_t i = 0; i < source_.size(); ++i) {
    const Tensor kept = source_[i].tensor.clone();
    source_[i].tensor.copy_from(average_[i]);
    average_[i].copy_from(kept);
  }
}

std::vector<StateEntry> Ema::state() const {
  std::vector<StateEntry> result = source_;
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].name += ".average";
    result[i].tensor = average_[i];
    result[i].trainable = false;
  }
  return result;
}

}  // namespace etude
