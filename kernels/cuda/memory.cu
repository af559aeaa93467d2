// Memory, streams and events of the CUDA back end: the runtime's calls, each checked.
//
// Nothing here is called in a training step but copies and events: the engine caches device memory
// and pinned host memory (engine/storage.h).
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/cuda/architectures.h"
#include "kernels/cuda/cuda.h"

// Ranges for profilers: a header that looks for the profiler itself, so there is nothing to link.
#if !SIMT_EMULATED && __has_include(<nvtx3/nvToolsExt.h>)
#define ETUDE_NVTX 1
#include <nvtx3/nvToolsExt.h>
#endif

#define ETUDE_STRING_(x) #x
#define ETUDE_STRING(x) ETUDE_STRING_(x)

namespace etude::ETUDE_BACKEND {
namespace {

constexpr const char* backend_name = ETUDE_STRING(ETUDE_BACKEND);

#ifdef ETUDE_CUDA_ARCHITECTURES
constexpr const char* built_for = ETUDE_CUDA_ARCHITECTURES;
#else
constexpr const char* built_for = "";  // emulated: there is one "GPU"
#endif

std::string text_of(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  ETUDE_CUDA(cudaDeviceGetAttribute(&value, which, index));
  return value;
}

int capability(int index) {
  return 10 * attribute(cudaDevAttrComputeCapabilityMajor, index) +
         attribute(cudaDevAttrComputeCapabilityMinor, index);
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// "NVIDIA A100-SXM4-80GB is sm_80; this build has code for 75-real 120"
std::string lacks_code(int index) {
  return std::string(device_name(index)) +
         ": this build has no code for it, only for the architectures " + built_for +
         "; configure with -DCMAKE_CUDA_ARCHITECTURES=" + std::to_string(capability(index));
}

// Why no device can be used.
std::string runtime_problem(cudaError_t error) {
  if (error != cudaErrorInsufficientDriver) return text_of(error);
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  cudaRuntimeGetVersion(&runtime);
  return (driver == 0 ? std::string("there is no NVIDIA driver: ")
                      : "the NVIDIA driver serves CUDA " + version_text(driver) +
                            ", this build needs " + version_text(runtime) + ": ") +
         text_of(error);
}

}  // namespace

void check_cuda(cudaError_t error, const char* call, const char* file, int line) {
  if (error == cudaSuccess) return;
  std::string what(call);
  constexpr std::size_t longest = 100;
  if (what.size() > longest) what = what.substr(0, longest) + "...";
  std::string hint = synchronous() ? "" : "; ETUDE_SYNC=1 finds the kernel at fault";
  if (error == cudaErrorNoKernelImageForDevice) {
    int index = 0;
    hint = *built_for && cudaGetDevice(&index) == cudaSuccess ? "; " + lacks_code(index) : "";
  }
  throw std::runtime_error(std::string(backend_name) + ": " + text_of(error) + " from " + what +
                           ", " + file + ":" + std::to_string(line) + hint);
}

bool synchronous() {
  static const bool on = [] {
    const char* value = std::getenv("ETUDE_SYNC");
    return value && *value && std::string(value) != "0";
  }();
  return on;
}

unsigned grid_for(Index n, int threads, int each) {
  const Index blocks = ceil_div(n, Index{threads} * each);
  if (blocks > 0x7fffffff)
    throw std::runtime_error(std::string(backend_name) + ": " + std::to_string(n) + " elements are too many for one grid");
  return static_cast<unsigned>(blocks);
}

void* memory_alloc(std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaMalloc(&p, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the caller frees what it has cached and asks again
    return nullptr;
  }
  ETUDE_CUDA(error);
  return p;
}

void memory_free(void* p) { ETUDE_CUDA(cudaFree(p)); }

void memory_copy(Stream s, void* dst, const void* src, std::size_t bytes, CopyKind kind) {
  const cudaMemcpyKind direction = kind == CopyKind::host_to_device   ? cudaMemcpyHostToDevice
                                   : kind == CopyKind::device_to_host ? cudaMemcpyDeviceToHost
                                                                      : cudaMemcpyDeviceToDevice;
  if (bytes) ETUDE_CUDA(cudaMemcpyAsync(dst, src, bytes, direction, stream_of(s)));
}

void memory_zero(Stream s, void* dst, std::size_t bytes) {
  if (bytes) ETUDE_CUDA(cudaMemsetAsync(dst, 0, bytes, stream_of(s)));
}

void* host_alloc(std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaMallocHost(&p, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  ETUDE_CUDA(error);
  return p;
}

void host_free(void* p) { ETUDE_CUDA(cudaFreeHost(p)); }

// Without a driver this is 0, not an error: device_problem() says why.
int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

const char* device_name(int index) {
  thread_local std::string text;
  cudaDeviceProp p;
  ETUDE_CUDA(cudaGetDeviceProperties(&p, index));
  const std::size_t gib = (p.totalGlobalMem + (std::size_t{1} << 29)) >> 30;
  text = std::string(p.name) + ", sm_" + std::to_string(p.major) + std::to_string(p.minor) + ", " +
         std::to_string(gib) + " GiB";
  return text.c_str();
}

// Asks no more than attributes, which makes no context on the device.
const char* device_problem(int index) {
  thread_local std::string text;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    text = runtime_problem(error);
  } else if (index < 0 || index >= count) {
    text = "the machine has " + std::to_string(count) +
           (count == 1 ? " such device, number 0" : " such devices, from number 0");
  } else if (*built_for && !has_code_for(capability(index), built_for)) {
    text = lacks_code(index);
  } else {
    text.clear();
  }
  return text.c_str();
}

void device_select(int index) { ETUDE_CUDA(cudaSetDevice(index)); }

Stream stream_create() {
  cudaStream_t stream = nullptr;
  ETUDE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return {stream};
}

void stream_destroy(Stream s) { ETUDE_CUDA(cudaStreamDestroy(stream_of(s))); }
void stream_synchronize(Stream s) { ETUDE_CUDA(cudaStreamSynchronize(stream_of(s))); }

namespace {
cudaEvent_t event_of(Event e) { return static_cast<cudaEvent_t>(e.handle); }
}  // namespace

// With a time stamp, which benchmarks ask for and which costs little.
Event event_create() {
  cudaEvent_t event = nullptr;
  ETUDE_CUDA(cudaEventCreate(&event));
  return {event};
}

void event_destroy(Event e) { ETUDE_CUDA(cudaEventDestroy(event_of(e))); }
void event_record(Event e, Stream s) { ETUDE_CUDA(cudaEventRecord(event_of(e), stream_of(s))); }
void event_wait(Stream s, Event e) {
  ETUDE_CUDA(cudaStreamWaitEvent(stream_of(s), event_of(e), 0));
}
void event_synchronize(Event e) { ETUDE_CUDA(cudaEventSynchronize(event_of(e))); }
double event_elapsed(Event from, Event to) {
  float milliseconds = 0;
  ETUDE_CUDA(cudaEventElapsedTime(&milliseconds, event_of(from), event_of(to)));
  return milliseconds;
}

#if ETUDE_NVTX
void range_push(const char* name) { nvtxRangePushA(name); }
void range_pop() { nvtxRangePop(); }
#else
void range_push(const char*) {}
void range_pop() {}
#endif

}  // namespace etude::ETUDE_BACKEND
