// Devices, errors, streams, events, attributes.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <set>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/device.h"
#include "kernels/simt/runtime/worker.h"
#include "simt_shim/builtins.h"
#include "simt_shim/runtime_api.h"

namespace simt::cuda {

struct CUstream_st {};
struct CUevent_st {
  std::chrono::steady_clock::time_point time{};
  bool recorded = false;
  bool timed = true;
};

using detail::DeviceState;

namespace {

cudaError_t fail(cudaError_t error) { return DeviceState::get().fail(error); }
cudaError_t done() { return DeviceState::get().failure(); }

// Handles are checked: a destroyed one is a common mistake, and a real device may not tell.
template <class T>
class Handles {
 public:
  T* make() {
    const std::lock_guard lock(mutex_);
    return *all_.insert(new T).first;
  }
  bool contains(T* handle) {
    const std::lock_guard lock(mutex_);
    return all_.contains(handle);
  }
  bool destroy(T* handle) {
    const std::lock_guard lock(mutex_);
    if (all_.erase(handle) == 0) return false;
    delete handle;
    return true;
  }

 private:
  std::mutex mutex_;
  std::set<T*> all_;
};
Handles<CUstream_st>& streams() {
  static auto* const handles = new Handles<CUstream_st>;
  return *handles;
}
Handles<CUevent_st>& events() {
  static auto* const handles = new Handles<CUevent_st>;
  return *handles;
}

bool valid(cudaStream_t stream) {
  return stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread ||
         streams().contains(stream);
}

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol", "invalid device symbol"},
    {cudaErrorInvalidDevicePointer, "cudaErrorInvalidDevicePointer", "invalid device pointer"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorAssert, "cudaErrorAssert", "device-side assert triggered"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const ErrorText& text_of(cudaError_t error) {
  for (const ErrorText& entry : kErrors)
    if (entry.error == error) return entry;
  static constexpr ErrorText kNone{cudaErrorUnknown, "unrecognized error code",
                                   "unrecognized error code"};
  return kNone;
}

}  // namespace

// ---- errors ----

cudaError_t cudaGetLastError() { return DeviceState::get().take_last(); }
cudaError_t cudaPeekAtLastError() { return DeviceState::get().peek_last(); }
const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }

// ---- the device ----

cudaError_t cudaGetDeviceCount(int* count) {
  if (!count) return fail(cudaErrorInvalidValue);
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? done() : fail(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int* device) {
  if (!device) return fail(cudaErrorInvalidValue);
  *device = 0;
  return done();
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (!p) return fail(cudaErrorInvalidValue);
  if (device != 0) return fail(cudaErrorInvalidDevice);
  *p = {};
  std::strcpy(p->name, "SIMT emulator");
  p->totalGlobalMem = detail::Arena::get().total_bytes();
  p->sharedMemPerBlock = detail::kSharedPerBlock;
  p->sharedMemPerBlockOptin = detail::kSharedPerBlockOptin;
  p->sharedMemPerMultiprocessor = detail::kSharedPerSm;
  p->totalConstMem = 64 * 1024;
  p->major = detail::kArch / 100;
  p->minor = detail::kArch / 10 % 10;
  p->multiProcessorCount = 1;
  p->warpSize = detail::kWarp;
  p->maxThreadsPerBlock = detail::kMaxThreads;
  p->maxThreadsPerMultiProcessor = detail::kThreadsPerSm;
  p->maxBlocksPerMultiProcessor = detail::kBlocksPerSm;
  for (int i = 0; i < 3; ++i) {
    p->maxThreadsDim[i] = static_cast<int>(detail::kMaxBlock[i]);
    p->maxGridSize[i] = static_cast<int>(detail::kMaxGrid[i]);
  }
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->unifiedAddressing = p->managedMemory = p->integrated = 1;
  return done();
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!value) return fail(cudaErrorInvalidValue);
  cudaDeviceProp p;
  if (const cudaError_t error = cudaGetDeviceProperties(&p, device); error != cudaSuccess)
    return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxBlockDimX:
      *value = p.maxThreadsDim[0];
      break;
    case cudaDevAttrMaxBlockDimY:
      *value = p.maxThreadsDim[1];
      break;
    case cudaDevAttrMaxBlockDimZ:
      *value = p.maxThreadsDim[2];
      break;
    case cudaDevAttrMaxGridDimX:
      *value = p.maxGridSize[0];
      break;
    case cudaDevAttrMaxGridDimY:
      *value = p.maxGridSize[1];
      break;
    case cudaDevAttrMaxGridDimZ:
      *value = p.maxGridSize[2];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(p.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      *value = p.regsPerBlock;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = p.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
    case cudaDevAttrGlobalMemoryBusWidth:
    case cudaDevAttrL2CacheSize:
      *value = 0;
      break;
    default:
      return fail(cudaErrorInvalidValue);
  }
  return done();
}

cudaError_t cudaDeviceSynchronize() { return done(); }
cudaError_t cudaDeviceReset() {
  detail::Arena::get().release_all();
  DeviceState::get().reset();
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  if (!version) return fail(cudaErrorInvalidValue);
  *version = 12000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

// ---- streams: everything is done by the time a call returns ----

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (!stream) return fail(cudaErrorInvalidValue);
  *stream = streams().make();
  return done();
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return streams().destroy(stream) ? done() : fail(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return valid(stream) ? done() : fail(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return valid(stream) && events().contains(event) ? done() : fail(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
  if (!valid(stream)) return fail(cudaErrorInvalidResourceHandle);
  if (!function) return fail(cudaErrorInvalidValue);
  if (done() == cudaSuccess) function(argument);
  return done();
}

// ---- events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (!event) return fail(cudaErrorInvalidValue);
  *event = events().make();
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return done();
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return events().destroy(event) ? done() : fail(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (!valid(stream) || !events().contains(event)) return fail(cudaErrorInvalidResourceHandle);
  event->time = std::chrono::steady_clock::now();
  event->recorded = true;
  return done();
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return events().contains(event) ? done() : fail(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!milliseconds) return fail(cudaErrorInvalidValue);
  if (!events().contains(start) || !events().contains(end) || !start->recorded || !end->recorded ||
      !start->timed || !end->timed)
    return fail(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return done();
}

// ---- kernels ----

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (!kernel) return fail(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return done();
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return fail(cudaErrorInvalidValue);
  const std::size_t most = detail::kSharedPerBlockOptin - detail::static_shared_bytes(kernel);
  if (value < 0 || static_cast<std::size_t>(value) > most) return fail(cudaErrorInvalidValue);
  DeviceState::get().allow_dynamic(kernel, static_cast<std::size_t>(value));
  return done();
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  if (!attributes) return fail(cudaErrorInvalidValue);
  if (!kernel) return fail(cudaErrorInvalidDeviceFunction);
  *attributes = {};
  attributes->sharedSizeBytes = detail::static_shared_bytes(kernel);
  attributes->maxThreadsPerBlock = detail::kMaxThreads;
  const std::size_t allowed = DeviceState::get().allowed_dynamic(kernel);
  attributes->maxDynamicSharedSizeBytes =
      static_cast<int>(allowed ? allowed : detail::kSharedPerBlock - attributes->sharedSizeBytes);
  attributes->ptxVersion = attributes->binaryVersion = detail::kArch / 10;
  return done();
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel,
                                                          int block_threads, std::size_t dynamic) {
  if (!blocks || !kernel || block_threads <= 0) return fail(cudaErrorInvalidValue);
  // Of threads, blocks and shared memory. Registers are the device compiler's secret.
  const std::size_t shared =
      detail::static_shared_bytes(kernel) + dynamic + detail::kSharedReserved;
  const int warps = (block_threads + detail::kWarp - 1) / static_cast<int>(detail::kWarp);
  *blocks = block_threads > static_cast<int>(detail::kMaxThreads)
                ? 0
                : std::min({detail::kBlocksPerSm,
                            detail::kThreadsPerSm / (warps * static_cast<int>(detail::kWarp)),
                            static_cast<int>(detail::kSharedPerSm / shared)});
  return done();
}

// ---- device functions that need the runtime ----

long long clock64() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

void __trap(detail::Site site) {
  detail::Worker::in_kernel().fail(Defect::Trap, &site, nullptr, "the kernel called __trap()");
}

}  // namespace simt::cuda
