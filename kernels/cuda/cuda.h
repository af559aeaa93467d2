// Included first by every .cu file of the back end.
//
// These files are compiled twice: by nvcc into namespace etude::cuda, and by the host compiler,
// unchanged, for the emulator (kernels/simt) into etude::simt. What that asks of a kernel:
//
//   launch({.grid = g, .block = b, .shared_bytes = n, .stream = ...}, kernel, arguments...)
//                                          instead of kernel<<<g, b, n, s>>>(arguments...)
//   SIMT_DYNAMIC_SHARED(float, buffer);    instead of extern __shared__ float buffer[];
//   fmaf(a, b, c) where a multiply-add is meant: neither compiler fuses by itself
//                                          (-fmad=false, -ffp-contract=off), so both round alike
//
// Helpers live in namespace etude::ETUDE_BACKEND, so that the two builds share no symbol.
//
// What a kernel may rely on: pointers to tensors are aligned to 64 bytes and do not alias (but
// where kernels.def says so), and the caller has made the stream's device current.
#pragma once

#include "kernels/backend.h"
#include "kernels/simt/launch.h"

namespace etude::ETUDE_BACKEND {

// Throws std::runtime_error that names the call, its place and the CUDA error.
void check_cuda(cudaError_t error, const char* call, const char* file, int line);
#define ETUDE_CUDA(...) \
  ::etude::ETUDE_BACKEND::check_cuda((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

inline cudaStream_t stream_of(Stream s) { return static_cast<cudaStream_t>(s.handle); }

// The blocks of a launch. (Not the emulator's own type: argument-dependent lookup would find its
// launch() beside the one below.)
struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
  cudaStream_t stream = nullptr;
};

// True with ETUDE_SYNC=1: every kernel is waited for, so that a fault is reported at its launch.
bool synchronous();

// Launches a kernel; a grid without blocks is nothing to do. Use within ETUDE_CUDA(...).
template <class... P, class... A>
cudaError_t launch(const LaunchShape& shape, void (*kernel)(P...), A&&... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return cudaSuccess;
  const cudaError_t error =
      ::simt::launch({shape.grid, shape.block, shape.shared_bytes, shape.stream}, kernel,
                     static_cast<A&&>(arguments)...);
  if (error != cudaSuccess || !synchronous()) return error;
  return cudaStreamSynchronize(shape.stream);
}

// ---- small arithmetic, on the host and the device ---------------------------------------------

template <class I>
__host__ __device__ constexpr I ceil_div(I a, I b) {
  return (a + b - 1) / b;
}
template <class I>
__host__ __device__ constexpr I min_of(I a, I b) {
  return b < a ? b : a;
}
template <class I>
__host__ __device__ constexpr I max_of(I a, I b) {
  return a < b ? b : a;
}

// Blocks of `threads` for n items, `each` of them a thread. Throws beyond the grid's limit
// (2^31-1).
unsigned grid_for(Index n, int threads, int each = 1);

// ---- 16-byte accesses -------------------------------------------------------------------------

__device__ inline float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ inline void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

}  // namespace etude::ETUDE_BACKEND
