#include "engine/tensor.h"

#include "engine/autograd.h"
#include "engine/dispatch.h"

namespace etude {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

std::string to_string(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
    case DType::i64:
      return "int64";
    case DType::u8:
      return "uint8";
  }
  return "?";
}

namespace {

template <class It>
int copy_dims(It first, std::size_t count, std::array<Index, Shape::max_rank>& dims) {
  check(count <= Shape::max_rank, "shape: {} dimensions, at most {} are supported", count,
        static_cast<int>(Shape::max_rank));
  for (std::size_t i = 0; i < count; ++i) {
    dims[i] = first[i];
    check(dims[i] >= 0, "shape: dimension {} is {}", i, dims[i]);
  }
  return static_cast<int>(count);
}

}  // namespace

Shape::Shape(std::initializer_list<Index> dims)
    : rank_(copy_dims(dims.begin(), dims.size(), dims_)) {}
Shape::Shape(const std::vector<Index>& dims) : rank_(copy_dims(dims.begin(), dims.size(), dims_)) {}

Index Shape::size() const {
  Index product = 1;
  for (const Index dim : *this) product *= dim;
  return product;
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::string to_string(const Shape& shape) {
  return shape.rank() == 0 ? "scalar"
                           : fmt::format("{}", fmt::join(shape.begin(), shape.end(), "x"));
}

Tensor::Tensor(Shape shape, DType dtype, Device device) : shape_(shape), dtype_(dtype) {
  storage_ = std::make_shared<Storage>(device, bytes());
}

Tensor Tensor::host_for(Device target, Shape shape, DType dtype) {
  Tensor result;
  result.shape_ = shape;
  result.dtype_ = dtype;
  result.storage_ = std::make_shared<Storage>(Storage::HostFor{target}, result.bytes());
  return result;
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor result(shape, dtype, device);
  result.zero();
  return result;
}

Tensor Tensor::full(Shape shape, double value, DType dtype, Device device) {
  Tensor result(shape, dtype, device);
  if (dtype == DType::i64) {
    return from(std::vector<std::int64_t>(result.size(), static_cast<std::int64_t>(value)), shape,
                device);
  }
  if (dtype == DType::u8) {
    return from(std::vector<std::uint8_t>(result.size(), static_cast<std::uint8_t>(value)), shape,
                device);
  }
  dispatch(result, [&]<class T>(const Kernels<T>& k) {
    k.fill(current_stream(device), result.size(), value, result.data<T>());
  });
  return result;
}

template <class T>
Tensor Tensor::from(const T* values, Shape shape, Device device) {
  Tensor result(shape, dtype_of<T>(), device);
  kernels_for<float>(device).memory_copy(current_stream(device), result.storage_->data(), values,
                                         result.bytes(), CopyKind::host_to_device);
  synchronize(device);  // `values` may go away
  return result;
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, Shape shape, Device device) {
  check(static_cast<Index>(values.size()) == shape.size(), "tensor: {} values for shape {}",
        values.size(), to_string(shape));
  return from(values.data(), shape, device);
}

template <class T>
Tensor Tensor::borrow(const T* values, Shape shape) {
  Tensor result;
  result.shape_ = shape;
  result.dtype_ = dtype_of<T>();
  result.storage_ =
      std::make_shared<Storage>(Storage::Borrowed{const_cast<T*>(values)}, result.bytes());
  return result;
}

template <class T>
T* Tensor::data() const {
  check(defined(), "tensor: undefined");
  check(dtype_ == dtype_of<T>(), "tensor: expected {}, is {}", to_string(dtype_of<T>()),
        to_string(dtype_));
  return static_cast<T*>(storage_->data());
}

void* Tensor::raw() const {
  check(defined(), "tensor: undefined");
  return storage_->data();
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const T* source = data<T>();
  std::vector<T> values(static_cast<std::size_t>(size()));
  kernels_for<float>(device()).memory_copy(current_stream(device()), values.data(), source, bytes(),
                                           CopyKind::device_to_host);
  synchronize(device());
  return values;
}

double Tensor::item() const {
  check(size() == 1, "item: expected one element, shape is {}", to_string(shape_));
  switch (dtype_) {
    case DType::f32:
      return to_vector<float>()[0];
    case DType::f64:
      return to_vector<double>()[0];
    case DType::i64:
      return static_cast<double>(to_vector<std::int64_t>()[0]);
    case DType::u8:
      return to_vector<std::uint8_t>()[0];
  }
  return 0;
}

Tensor Tensor::to(Device target) const {
  if (!defined() || target == device()) return *this;
  Tensor result(shape_, dtype_, target);
  // By way of the host, whose memory one side at least must be.
  const void* source = storage_->data();
  std::vector<std::byte> host;
  if (!shares_host_memory(device())) {
    void* landing = result.storage_->data();
    if (!shares_host_memory(target)) {
      host.resize(bytes());
      landing = host.data();
    }
    kernels_for<float>(device()).memory_copy(current_stream(device()), landing, source, bytes(),
                                             CopyKind::device_to_host);
    synchronize(device());
    source = landing;
  }
  if (source != result.storage_->data()) {
    kernels_for<float>(target).memory_copy(current_stream(target), result.storage_->data(), source,
                                           bytes(), CopyKind::host_to_device);
    synchronize(target);
  }
  return result;
}

Tensor Tensor::to(DType target) const {
  if (!defined() || target == dtype_) return *this;
  const auto convert = [&]<class From, class To>(From, To) {
    const std::vector<From> values = to_vector<From>();
    return from(std::vector<To>(values.begin(), values.end()), shape_, device());
  };
  if (dtype_ == DType::f32 && target == DType::f64) return convert(float{}, double{});
  if (dtype_ == DType::f64 && target == DType::f32) return convert(double{}, float{});
  fail("tensor: no conversion from {} to {}", to_string(dtype_), to_string(target));
}

Tensor Tensor::clone() const {
  Tensor result(shape_, dtype_, device());
  result.copy_from(*this);
  return result;
}

void Tensor::copy_from(const Tensor& source) const {
  check(source.size() == size() && source.dtype_ == dtype_, "copy_from: expected {} {}, got {} {}",
        to_string(dtype_), to_string(shape_), to_string(source.dtype_), to_string(source.shape_));
  const Tensor here = source.to(device());
  kernels_for<float>(device()).memory_copy(current_stream(device()), storage_->data(),
                                           here.storage_->data(), bytes(),
                                           CopyKind::device_to_device);
}

void Tensor::zero() const {
  kernels_for<float>(device()).memory_zero(current_stream(device()), storage_->data(), bytes());
}

Tensor Tensor::view(Shape shape) const {
  check(shape.size() == size(), "view: {} does not have the size of {}", to_string(shape),
        to_string(shape_));
  Tensor result = detach();
  result.shape_ = shape;
  return result;
}

Tensor& Tensor::set_requires_grad(bool on) {
  if (!on) {
    node_ = nullptr;
  } else if (!node_) {
    check(dtype_ == DType::f32 || dtype_ == DType::f64, "requires_grad: {} has no gradient",
          to_string(dtype_));
    node_ = std::make_shared<Node>();
  }
  return *this;
}

Tensor Tensor::grad() const { return node_ ? node_->grad : Tensor{}; }

void Tensor::zero_grad() const {
  if (node_) node_->grad = {};
}

Tensor Tensor::detach() const {
  Tensor result = *this;
  result.node_ = nullptr;
  return result;
}

#define ETUDE_INSTANTIATE(T)                                          \
  template Tensor Tensor::from(const T*, Shape, Device);              \
  template Tensor Tensor::from(const std::vector<T>&, Shape, Device); \
  template Tensor Tensor::borrow(const T*, Shape);                    \
  template T* Tensor::data<T>() const;                                \
  template std::vector<T> Tensor::to_vector<T>() const;
ETUDE_INSTANTIATE(float)
ETUDE_INSTANTIATE(double)
ETUDE_INSTANTIATE(std::int64_t)
ETUDE_INSTANTIATE(std::uint8_t)
#undef ETUDE_INSTANTIATE

}  // namespace etude
