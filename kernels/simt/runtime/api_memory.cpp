// cudaMalloc, cudaMemcpy and their kin.
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/device.h"
#include "kernels/simt/runtime/pinned.h"
#include "kernels/simt/simt.h"
#include "simt_shim/runtime_api.h"

namespace simt::detail {

namespace {
// Host memory that kernels may touch, by its beginning.
struct Pinned {
  std::mutex mutex;
  std::map<std::uintptr_t, std::size_t> ranges;
};
Pinned& pinned() {
  static auto* const instance = new Pinned;
  return *instance;
}
}  // namespace

bool is_pinned(std::uintptr_t address) {
  Pinned& p = pinned();
  const std::lock_guard lock(p.mutex);
  auto it = p.ranges.upper_bound(address);
  if (it == p.ranges.begin()) return false;
  --it;
  return address < it->first + it->second;
}

namespace {
void pin(void* address, std::size_t bytes) {
  Pinned& p = pinned();
  const std::lock_guard lock(p.mutex);
  p.ranges[reinterpret_cast<std::uintptr_t>(address)] = bytes;
}
bool unpin(void* address) {
  Pinned& p = pinned();
  const std::lock_guard lock(p.mutex);
  return p.ranges.erase(reinterpret_cast<std::uintptr_t>(address)) == 1;
}
}  // namespace
}  // namespace simt::detail

namespace simt::cuda {

using detail::Arena;
using detail::DeviceAccess;
using detail::DeviceState;

namespace {

cudaError_t fail(cudaError_t error) { return DeviceState::get().fail(error); }

// What a call returns that has nothing else to say: a kernel's failure.
cudaError_t done() { return DeviceState::get().failure(); }

bool on_device(const void* p) { return Arena::get().contains(reinterpret_cast<std::uintptr_t>(p)); }

cudaError_t check_side(const void* p, std::size_t bytes, bool must_be_device, bool must_be_host) {
  if (!p) return cudaErrorInvalidValue;
  if (!on_device(p)) return must_be_device ? cudaErrorInvalidValue : cudaSuccess;
  if (must_be_host) return cudaErrorInvalidValue;
  return Arena::get().valid(reinterpret_cast<std::uintptr_t>(p), bytes) ? cudaSuccess
                                                                        : cudaErrorInvalidValue;
}

cudaError_t check_copy(void* to, std::size_t to_bytes, const void* from, std::size_t from_bytes,
                       cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
    return cudaErrorInvalidMemcpyDirection;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool any = kind == cudaMemcpyDefault;
  const cudaError_t error = check_side(to, to_bytes, to_device, !any && !to_device);
  return error != cudaSuccess ? error
                              : check_side(from, from_bytes, from_device, !any && !from_device);
}

}  // namespace

namespace {
cudaError_t allocate(void** pointer, std::size_t bytes, bool managed) {
  if (!pointer) return fail(cudaErrorInvalidValue);
  if (bytes == 0) {
    *pointer = nullptr;
    return done();
  }
  const DeviceAccess access;
  *pointer = Arena::get().allocate(bytes, options().poison, managed);
  return *pointer ? done() : fail(cudaErrorMemoryAllocation);
}
}  // namespace

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, false);
}
cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t) {
  return cudaMalloc(pointer, bytes);
}
cudaError_t cudaMallocManaged(void** pointer, std::size_t bytes, unsigned) {
  return allocate(pointer, bytes, true);
}

cudaError_t cudaFree(void* pointer) {
  if (!pointer) return done();
  const DeviceAccess access{pointer};
  switch (Arena::get().release(pointer)) {
    case Arena::Freed::Ok:
      return done();
    case Arena::Freed::Overwritten:
      // A kernel's writes are found when it ends: these are the host's.
      return fail(cudaErrorIllegalAddress);
    case Arena::Freed::Unknown:
      break;
  }
  return fail(cudaErrorInvalidValue);
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) { return cudaFree(pointer); }

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (!free || !total) return fail(cudaErrorInvalidValue);
  *total = Arena::get().total_bytes();
  *free = *total - Arena::get().used_bytes();
  return done();
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  if (!pointer) return fail(cudaErrorInvalidValue);
  constexpr std::size_t kPage = 4096;
  *pointer = bytes ? std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage) : nullptr;
  if (bytes && !*pointer) return fail(cudaErrorMemoryAllocation);
  if (bytes) detail::pin(*pointer, bytes);
  return done();
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes, unsigned flags) {
  return cudaHostAlloc(pointer, bytes, flags);
}
cudaError_t cudaFreeHost(void* pointer) {
  if (!pointer) return done();
  if (!detail::unpin(pointer)) return fail(cudaErrorInvalidValue);
  std::free(pointer);
  return done();
}
cudaError_t cudaHostRegister(void* pointer, std::size_t bytes, unsigned) {
  if (!pointer || bytes == 0) return fail(cudaErrorInvalidValue);
  detail::pin(pointer, bytes);
  return done();
}
cudaError_t cudaHostUnregister(void* pointer) {
  return detail::unpin(pointer) ? done() : fail(cudaErrorInvalidValue);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  if (!attributes) return fail(cudaErrorInvalidValue);
  void* const p = const_cast<void*>(pointer);
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (Arena::get().valid(address, 1)) {
    *attributes = {cudaMemoryTypeDevice, 0, p, nullptr};
  } else if (detail::is_pinned(address)) {
    *attributes = {cudaMemoryTypeHost, 0, p, p};
  } else {
    *attributes = {cudaMemoryTypeUnregistered, 0, nullptr, p};
  }
  return done();
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0 || done() != cudaSuccess) return done();
  const cudaError_t error = check_copy(to, bytes, from, bytes, kind);
  if (error != cudaSuccess) return fail(error);
  const DeviceAccess access{to, from};
  std::memmove(to, from, bytes);
  return done();
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  if (width == 0 || height == 0 || done() != cudaSuccess) return done();
  if (width > to_pitch || width > from_pitch) return fail(cudaErrorInvalidPitchValue);
  const cudaError_t error = check_copy(to, to_pitch * (height - 1) + width, from,
                                       from_pitch * (height - 1) + width, kind);
  if (error != cudaSuccess) return fail(error);
  const DeviceAccess access{to, from};
  for (std::size_t row = 0; row < height; ++row)
    std::memmove(static_cast<char*>(to) + row * to_pitch,
                 static_cast<const char*>(from) + row * from_pitch, width);
  return done();
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy2D(to, to_pitch, from, from_pitch, width, height, kind);
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (bytes == 0 || done() != cudaSuccess) return done();
  const cudaError_t error = check_side(to, bytes, true, false);
  if (error != cudaSuccess) return fail(error);
  const DeviceAccess access{to};
  std::memset(to, value, bytes);
  return done();
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  return cudaMemset(to, value, bytes);
}

}  // namespace simt::cuda
