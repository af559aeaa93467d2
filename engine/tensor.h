// Tensor: shared storage + shape + dtype + device, contiguous, with an optional gradient node.
//
// Copying a Tensor copies a handle; both see the same numbers. Activations are NHWC, filters KRSC.
// Operations are free functions: ops.h.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/storage.h"

namespace etude {

struct Node;  // autograd.h

enum class DType { f32, f64, i64, u8 };
std::size_t size_of(DType dtype);
std::string to_string(DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}

// Up to six dimensions, outermost first; rank 0 is a scalar of one element.
class Shape {
 public:
  static constexpr int max_rank = 6;
  Shape() = default;
  Shape(std::initializer_list<Index> dims);
  explicit Shape(const std::vector<Index>& dims);

  int rank() const { return rank_; }
  Index operator[](int i) const { return dims_[i < 0 ? i + rank_ : i]; }  // -1 is the last
  Index size() const;                                                     // number of elements
  const Index* begin() const { return dims_.data(); }
  const Index* end() const { return dims_.data() + rank_; }
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<Index, max_rank> dims_{};
  int rank_ = 0;
};
std::string to_string(const Shape& shape);  // "32x28x28x1"

class Tensor {
 public:
  Tensor() = default;  // undefined: "no tensor", e.g. no bias
  // Uninitialised memory.
  explicit Tensor(Shape shape, DType dtype = DType::f32, Device device = cpu_device);

  // Uninitialised memory of the cpu device that copies fastest to `target` (Storage::HostFor).
  static Tensor host_for(Device target, Shape shape, DType dtype = DType::f32);
  static Tensor zeros(Shape shape, DType dtype = DType::f32, Device device = cpu_device);
  static Tensor full(Shape shape, double value, DType dtype = DType::f32,
                     Device device = cpu_device);
  // Copies `values` (host memory, row-major) to the device. T is float, double, int64_t, uint8_t.
  template <class T>
  static Tensor from(const T* values, Shape shape, Device device = cpu_device);
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape, Device device = cpu_device);
  // `values` themselves, without a copy, for ops on the cpu device that only read. They must
  // outlive the tensor and what shares its storage.
  template <class T>
  static Tensor borrow(const T* values, Shape shape);

  bool defined() const { return storage_ != nullptr; }
  // True when no other tensor shares the storage, so that it may be overwritten.
  bool unique() const { return storage_.use_count() == 1; }
  const Shape& shape() const { return shape_; }
  Index dim(int i) const { return shape_[i]; }
  int rank() const { return shape_.rank(); }
  Index size() const { return shape_.size(); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : cpu_device; }

  // Device pointer to the first element; Error when T is not the dtype.
  template <class T>
  T* data() const;

  // The same whatever the dtype.
  void* raw() const;

  // The elements, copied to the host.
  template <class T>
  std::vector<T> to_vector() const;
  // The one element of a scalar, as double (synchronises).
  double item() const;

  Tensor to(Device device) const;              // a copy, or itself when already there; not recorded
  Tensor to(DType dtype) const;                // float <-> double, host-side; not recorded
  Tensor clone() const;                        // a copy of the numbers; not recorded
  void copy_from(const Tensor& source) const;  // overwrites the numbers; same size and dtype
  void zero() const;
  // The same storage with another shape of the same size; not recorded (ops.h: reshape).
  Tensor view(Shape shape) const;

  // ---- gradients (autograd.h) ----
  // A leaf whose gradient backward() accumulates. Returns *this.
  Tensor& set_requires_grad(bool on = true);
  bool requires_grad() const { return node_ != nullptr; }
  // The accumulated gradient of a leaf; undefined before the first backward().
  Tensor grad() const;
  void zero_grad() const;  // drops the gradient
  Tensor detach() const;   // the same numbers, outside the graph
  const std::shared_ptr<Node>& node() const { return node_; }
  void set_node(std::shared_ptr<Node> node) { node_ = std::move(node); }

 private:
  std::shared_ptr<Storage> storage_;
  Shape shape_;
  DType dtype_ = DType::f32;
  std::shared_ptr<Node> node_;
};

}  // namespace etude
