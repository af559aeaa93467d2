// For kernels that both nvcc and the host compiler compile: the two places where CUDA's own syntax
// is not C++, launching a kernel and naming dynamic shared memory.
//
//   __global__ void scale(float* x, int n, float a) {
//     SIMT_DYNAMIC_SHARED(float, buffer);  // float* buffer
//     ...
//   }
//   cudaError_t error = simt::launch({.grid = 80, .block = 256, .shared_bytes = 1024}, scale, x, n,
//   2);
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace simt {
// The compilations differ in what they call a stream and in whom they call back, so nothing inline
// may be shared.
#if SIMT_COUNTING
inline namespace counting {
#elif SIMT_EMULATED
inline namespace emulated {
#else
inline namespace device {
#endif

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
  cudaStream_t stream = nullptr;
};

// Launches with the documented cudaLaunchKernelEx. Returns its error: a bad configuration at once,
// a failure inside the kernel from the next call that synchronises.
template <class... P, class... A>
cudaError_t launch(const LaunchShape& shape, void (*kernel)(P...), A&&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<P>(std::forward<A>(arguments))...);
}

}  // namespace counting, emulated or device
}  // namespace simt

// Declares `T* name`, the block's dynamic shared memory. All uses in a kernel name the same bytes.
#if SIMT_EMULATED
#define SIMT_DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(::simt::detail::dynamic_shared())
#else
#define SIMT_DYNAMIC_SHARED(T, name)                                    \
  extern __shared__ __align__(128) unsigned char simt_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(simt_dynamic_shared)
#endif
