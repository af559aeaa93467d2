// From a tensor to the kernel table that serves it.
#pragma once

#include "engine/tensor.h"

namespace etude {

// Calls f(kernels) with the table for the tensor's device and real type:
//   dispatch(x, [&]<class T>(const Kernels<T>& k) {
//     k.relu_forward(current_stream(x.device()), x.size(), x.data<T>(), y.data<T>());
//   });
template <class F>
void dispatch(const Tensor& tensor, F&& f) {
  switch (tensor.dtype()) {
    case DType::f32:
      return f(kernels_for<float>(tensor.device()));
    case DType::f64:
      return f(kernels_for<double>(tensor.device()));
    default:
      fail("expected a float tensor, got {} {}", to_string(tensor.dtype()),
           to_string(tensor.shape()));
  }
}

// The same within a range of the op's name (device.h).
template <class F>
void dispatch(const char* op, const Tensor& tensor, F&& f) {
  const Range range(tensor.device(), op);
  dispatch(tensor, std::forward<F>(f));
}

// Null for an undefined tensor: how an optional input reaches a kernel.
template <class T>
T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

// An uninitialised tensor of the same dtype on the same device.
inline Tensor empty_like(const Tensor& tensor) {
  return Tensor(tensor.shape(), tensor.dtype(), tensor.device());
}
inline Tensor empty_like(const Tensor& tensor, Shape shape) {
  return Tensor(shape, tensor.dtype(), tensor.device());
}

// The check every op with several inputs makes.
inline void check_same_place(const char* op, const Tensor& a, const Tensor& b) {
  check(a.device() == b.device(), "{}: inputs on {} and {}", op, to_string(a.device()),
        to_string(b.device()));
  check(a.dtype() == b.dtype(), "{}: inputs of {} and {}", op, to_string(a.dtype()),
        to_string(b.dtype()));
}

}  // namespace etude
