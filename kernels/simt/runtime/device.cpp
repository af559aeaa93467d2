#include "kernels/simt/runtime/device.h"

namespace simt::detail {

namespace {
// The last error of a call: each host thread has its own.
thread_local cuda::cudaError_t last = cuda::cudaSuccess;
}  // namespace

DeviceState& DeviceState::get() {
  static auto* const state = new DeviceState;
  return *state;
}

cuda::cudaError_t DeviceState::fail(cuda::cudaError_t error) {
  if (error != cuda::cudaSuccess) last = error;
  return error;
}

cuda::cudaError_t DeviceState::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void DeviceState::set_failure(cuda::cudaError_t error) {
  const std::lock_guard lock(mutex_);
  if (failure_ == cuda::cudaSuccess) failure_ = error;
}

cuda::cudaError_t DeviceState::peek_last() {
  const cuda::cudaError_t kernel = failure();
  return kernel != cuda::cudaSuccess ? kernel : last;
}

cuda::cudaError_t DeviceState::take_last() {
  const cuda::cudaError_t error = peek_last();
  last = cuda::cudaSuccess;
  return error;
}

void DeviceState::reset() {
  const std::lock_guard lock(mutex_);
  failure_ = cuda::cudaSuccess;
  last = cuda::cudaSuccess;
  allowed_.clear();
}

void DeviceState::allow_dynamic(const void* kernel, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  allowed_[kernel] = bytes;
}

std::size_t DeviceState::allowed_dynamic(const void* kernel) {
  const std::lock_guard lock(mutex_);
  const auto it = allowed_.find(kernel);
  return it == allowed_.end() ? 0 : it->second;
}

}  // namespace simt::detail
