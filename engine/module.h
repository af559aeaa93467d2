// Module: named parameters, buffers and children, and forward().
//
// A module registers its tensors and children in its constructor, under PyTorch's names, so that
// the dotted names of state() are those of a PyTorch state dict.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/ops.h"

namespace etude {

// How a tensor of ours differs in memory from PyTorch's of the same name (checkpoint.h permutes).
struct Layout {
  enum Kind {
    plain,   // the same bytes
    filter,  // ours KRSC, PyTorch's KCRS
    columns  // ours [K, H W C], PyTorch's [K, C H W]: a Linear that follows a Flatten
  } kind = plain;
  Index h = 1, w = 1, c = 1;  // of `columns`
};

// One entry of a state dict.
struct StateEntry {
  std::string name;
  Tensor tensor;  // shares storage with the module's
  bool trainable = false;
  Layout layout;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // the registrations point into it
  Module& operator=(const Module&) = delete;

  // Runs forward(), and the observer where one is set.
  Tensor operator()(const Tensor& x);

  virtual Tensor forward(const Tensor& x) = 0;
  virtual std::string kind() const = 0;                // "Conv2d"
  virtual std::string describe() const { return {}; }  // "3x3, 16 -> 32, stride 2"
  // Multiply-adds for one call with these shapes, children excluded.
  virtual Index macs(const Shape& x, const Shape& y) const {
    (void)x, (void)y;
    return 0;
  }

  // Parameters and buffers of this module and all below, in registration order, dotted names.
  std::vector<StateEntry> state() const;
  std::vector<Tensor> parameters() const;  // the trainable ones
  Index parameter_count() const;
  const std::vector<std::pair<std::string, Module*>>& children() const { return children_; }

  void train(bool on = true);  // recursively
  bool training() const { return training_; }
  void zero_grad();
  // Moves every parameter and buffer; do it before making an optimiser.
  void to(Device device);
  void to(DType dtype);

  // Called after each module's forward on this thread (summaries, profiling); empty: none.
  using Observer = std::function<void(Module&, const Shape& x, const Tensor& y)>;
  static void set_observer(Observer observer);
  // Whether there is one: then a module must run its children one by one, not fused.
  static bool observed();

 protected:
  void register_parameter(std::string name, Tensor& tensor, Layout layout = {});
  void register_buffer(std::string name, Tensor& tensor);
  void register_module(std::string name, Module& child);

 private:
  struct Slot {
    std::string name;
    Tensor* tensor;
    bool trainable;
    Layout layout;
  };
  void collect(const std::string& prefix, std::vector<StateEntry>& out) const;
  template <class F>
  void for_each_slot(F f);
  std::vector<Slot> slots_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
};

}  // namespace etude
