#include "engine/module.h"

namespace etude {
namespace {

thread_local Module::Observer observer;

}  // namespace

void Module::set_observer(Observer new_observer) { observer = std::move(new_observer); }
bool Module::observed() { return static_cast<bool>(observer); }

Tensor Module::operator()(const Tensor& x) {
  Tensor y = forward(x);
  if (observer) observer(*this, x.shape(), y);
  return y;
}

void Module::register_parameter(std::string name, Tensor& tensor, Layout layout) {
  tensor.set_requires_grad();
  slots_.push_back({std::move(name), &tensor, true, layout});
}

void Module::register_buffer(std::string name, Tensor& tensor) {
  slots_.push_back({std::move(name), &tensor, false, {}});
}

void Module::register_module(std::string name, Module& child) {
  children_.emplace_back(std::move(name), &child);
}

void Module::collect(const std::string& prefix, std::vector<StateEntry>& out) const {
  for (const Slot& slot : slots_)
    out.push_back({prefix + slot.name, *slot.tensor, slot.trainable, slot.layout});
  for (const auto& [name, child] : children_) child->collect(prefix + name + ".", out);
}

std::vector<StateEntry> Module::state() const {
  std::vector<StateEntry> entries;
  collect("", entries);
  return entries;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> result;
  for (const StateEntry& entry : state())
    if (entry.trainable) result.push_back(entry.tensor);
  return result;
}

Index Module::parameter_count() const {
  Index count = 0;
  for (const Tensor& parameter : parameters()) count += parameter.size();
  return count;
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

void Module::zero_grad() {
  for (const Tensor& parameter : parameters()) parameter.zero_grad();
}

template <class F>
void Module::for_each_slot(F f) {
  for (Slot& slot : slots_) f(slot);
  for (const auto& [name, child] : children_) child->for_each_slot(f);
}

void Module::to(Device device) {
  for_each_slot([&](const Slot& slot) {
    // Counters (int64) are only touched by the host and stay there.
    if (slot.tensor->dtype() == DType::i64) return;
    *slot.tensor = slot.tensor->to(device).detach().set_requires_grad(slot.trainable);
  });
}

void Module::to(DType dtype) {
  for_each_slot([&](const Slot& slot) {
    if (slot.tensor->dtype() == DType::i64) return;
    *slot.tensor = slot.tensor->to(dtype).detach().set_requires_grad(slot.trainable);
  });
}

}  // namespace etude
