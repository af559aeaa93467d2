// Cases of the multi-tensor kernels: optimiser steps, moving average, gradient norm and clipping.
//
// The inputs are columns of tensors, one after the other: values, gradients, states.
#include "engine/dispatch.h"
#include "tests/cases.h"

namespace etude::test {
namespace {

// Tensors of one element, of odd sizes, and large enough to be split over threads.
const std::vector<Index> sizes = {1, 17, 1000, 20011, 64, 3};

enum class Column { value, grad, state1, state2 };

// A copy of the inputs as a TensorList; which inputs make which column is in `columns`.
template <class T>
struct List {
  std::vector<Column> columns;
  std::vector<Tensors> tensors;  // by column
  std::vector<T*> pointers[4];
  std::vector<const T*> grads;
  std::vector<double> decay;

  List(const Tensors& in, const std::vector<Column>& which) : columns(which) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      tensors.emplace_back();
      for (std::size_t t = 0; t < sizes.size(); ++t) {
        tensors[c].push_back(in[c * sizes.size() + t].clone());
        T* data = tensors[c].back().template data<T>();
        pointers[static_cast<int>(columns[c])].push_back(data);
        if (columns[c] == Column::grad) grads.push_back(data);
      }
    }
  }

  TensorList<T> get() {
    const auto column = [&](Column c) {
      auto& p = pointers[static_cast<int>(c)];
      return p.empty() ? nullptr : p.data();
    };
    return {static_cast<Index>(sizes.size()),       sizes.data(),           column(Column::value),
            grads.empty() ? nullptr : grads.data(), column(Column::state1), column(Column::state2),
            decay.empty() ? nullptr : decay.data()};
  }

  // Every tensor of every column: what must change and what must not.
  Tensors all() const {
    Tensors result;
    for (const Tensors& c : tensors) result.insert(result.end(), c.begin(), c.end());
    return result;
  }
};

// f(kernels, stream, list) on a List of the inputs; f may return more outputs.
template <class F>
std::function<Tensors(const Tensors&)> on_list(std::vector<Column> columns, F f) {
  return [=](const Tensors& in) {
    Tensors result;
    dispatch(in[0], [&]<class T>(const Kernels<T>& k) {
      List<T> list(in, columns);
      result = f(k, current_stream(in[0].device()), list);
      const Tensors all = list.all();
      result.insert(result.end(), all.begin(), all.end());
    });
    return result;
  };
}

Case list_case(std::string op, std::string label, std::vector<std::string> kernels,
               const std::vector<Column>& columns) {
  static constexpr const char* names[] = {"value", "grad", "state1", "state2"};
  Case c;
  c.op = std::move(op);
  c.label = std::move(label);
  c.kernels = std::move(kernels);
  double elements = 0;
  for (const Index n : sizes) elements += static_cast<double>(n);
  for (const Column column : columns)
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      // Second moments are positive.
      const Fill fill = column == Column::state2 ? Fill::uniform : Fill::normal;
      c.inputs.push_back(
          {fmt::format("{}{}", names[static_cast<int>(column)], t), {sizes[t]}, fill, 0, 1, false});
    }
  // Everything is read, and all but the gradient written.
  c.forward = {4 * elements, 4 * elements * (2 * static_cast<double>(columns.size()) - 1)};
  return c;
}

constexpr double decays[] = {0, 0.01, 0.1};
template <class T>
void set_decay(List<T>& list) {
  for (std::size_t t = 0; t < sizes.size(); ++t) list.decay.push_back(decays[t % 3]);
}

Case sgd_case(std::string label, SgdStep step, bool decay) {
  std::vector<Column> columns = {Column::value, Column::grad};
  if (step.momentum != 0) columns.push_back(Column::state1);
  Case c = list_case("sgd", std::move(label), {"sgd_step"}, columns);
  if (step.first)  // the buffer is overwritten
    for (std::size_t t = 2 * sizes.size(); t < c.inputs.size(); ++t) c.inputs[t].fill = Fill::none;
  c.run = on_list(columns, [=]<class T>(const Kernels<T>& k, Stream s, List<T>& list) -> Tensors {
    if (decay) set_decay(list);
    k.sgd_step(s, list.get(), step);
    return {};
  });
  return c;
}

Case adamw_case(AdamwStep step, bool decay) {
  const std::vector<Column> columns = {Column::value, Column::grad, Column::state1, Column::state2};
  Case c = list_case("adamw", fmt::format("step {}{}", step.step, decay ? " decay" : ""),
                     {"adamw_step"}, columns);
  c.run = on_list(columns, [=]<class T>(const Kernels<T>& k, Stream s, List<T>& list) -> Tensors {
    if (decay) set_decay(list);
    k.adamw_step(s, list.get(), step);
    return {};
  });
  return c;
}

Case ema_case() {
  const std::vector<Column> columns = {Column::value, Column::state1};
  Case c = list_case("ema", "0.99", {"ema_step"}, columns);
  c.run = on_list(columns, []<class T>(const Kernels<T>& k, Stream s, List<T>& list) -> Tensors {
    k.ema_step(s, list.get(), 0.99);
    return {};
  });
  return c;
}

// The norm of the gradients (about sqrt(21,096) = 145), and the gradients clipped by it.
Case clip_case(std::string label, double max_norm) {
  const std::vector<Column> columns = {Column::grad};
  Case c = list_case("gradient_clip", std::move(label),
                     {"gradient_norm", "gradient_norm_workspace", "gradient_clip"}, columns);
  c.run = on_list(columns, [=]<class T>(const Kernels<T>& k, Stream s, List<T>& list) -> Tensors {
    const Tensor& first = list.tensors[0][0];
    const Tensor norm({}, first.dtype(), first.device());
    const Workspace work(first.device(), k.gradient_norm_workspace(list.get()));
    k.gradient_norm(s, list.get(), norm.data<T>(), work.data());
    k.gradient_clip(s, list.get(), list.pointers[static_cast<int>(Column::grad)].data(),
                    norm.data<T>(), max_norm);
    return {norm};
  });
  for (const Index n : sizes) c.reduction += static_cast<double>(n);
  return c;
}

}  // namespace

std::vector<Case> optimizer_cases() {
  std::vector<Case> cases;
  cases.push_back(sgd_case("plain", {.lr = 0.1}, false));
  cases.push_back(sgd_case("decay", {.lr = 0.1}, true));
  cases.push_back(
      sgd_case("momentum, first step", {.lr = 0.1, .momentum = 0.9, .first = true}, true));
  cases.push_back(sgd_case("momentum", {.lr = 0.1, .momentum = 0.9}, true));
  cases.push_back(
      sgd_case("momentum dampening", {.lr = 0.1, .momentum = 0.9, .dampening = 0.3}, false));
  cases.push_back(sgd_case("nesterov", {.lr = 0.1, .momentum = 0.9, .nesterov = true}, true));
  cases.push_back(sgd_case("nesterov, first step",
                           {.lr = 0.1, .momentum = 0.9, .nesterov = true, .first = true}, false));
  for (const Index step : {1, 2, 1000})
    for (const bool decay : {false, true})
      cases.push_back(adamw_case({.lr = 0.1, .step = step}, decay));
  cases.push_back(ema_case());
  cases.push_back(clip_case("clipped", 1));
  cases.push_back(clip_case("untouched", 1e6));
  return cases;
}

}  // namespace etude::test
