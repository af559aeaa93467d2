// Memory, streams and events of the CUDA back end: the runtime's calls, each checked.
//
// Nothing here is called in a training step but copies: the engine caches device memory
// (engine/storage.h) and pinned host memory.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/cuda/cuda.h"

namespace etude::ETUDE_BACKEND {

void check_cuda(cudaError_t error, const char* call, const char* file, int line) {
  if (error == cudaSuccess) return;
  std::string what(call);
  constexpr std::size_t longest = 100;
  if (what.size() > longest) what = what.substr(0, longest) + "...";
  throw std::runtime_error(std::string("cuda: ") + cudaGetErrorString(error) + " (" +
                           cudaGetErrorName(error) + ") from " + what + ", " + file + ":" +
                           std::to_string(line) +
                           (synchronous() ? "" : "; ETUDE_SYNC=1 finds the kernel at fault"));
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
    throw std::runtime_error("cuda: " + std::to_string(n) + " elements are too many for one grid");
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
  ETUDE_CUDA(cudaMallocHost(&p, bytes));
  return p;
}

void host_free(void* p) { ETUDE_CUDA(cudaFreeHost(p)); }

// Without a driver this is 0, not an error: `etude info` says why.
int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

void device_select(int index) { ETUDE_CUDA(cudaSetDevice(index)); }

Stream stream_create() {
  cudaStream_t stream = nullptr;
  ETUDE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return {stream};
}

void stream_destroy(Stream s) { ETUDE_CUDA(cudaStreamDestroy(stream_of(s))); }
void stream_synchronize(Stream s) { ETUDE_CUDA(cudaStreamSynchronize(stream_of(s))); }

Event event_create() {
  cudaEvent_t event = nullptr;
  ETUDE_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return {event};
}

void event_destroy(Event e) { ETUDE_CUDA(cudaEventDestroy(static_cast<cudaEvent_t>(e.handle))); }
void event_record(Event e, Stream s) {
  ETUDE_CUDA(cudaEventRecord(static_cast<cudaEvent_t>(e.handle), stream_of(s)));
}
void event_wait(Stream s, Event e) {
  ETUDE_CUDA(cudaStreamWaitEvent(stream_of(s), static_cast<cudaEvent_t>(e.handle), 0));
}

}  // namespace etude::ETUDE_BACKEND
