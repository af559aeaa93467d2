// Kernels with one mistake each. The line that a report has to name ends in "// @" and the
// mistake's name; where two lines are to blame, the second is marked "// @name too".
#include "broken.h"

#include <cuda_pipeline_primitives.h>

#include <cstdlib>

#include "kernels/simt/launch.h"

namespace broken {

namespace {

// ---- barriers and warps ----

__global__ void barrier_divergence() {
  if (threadIdx.x < 32) {
    __syncthreads();  // @barrier_divergence too
  } else {
    __syncthreads();  // @barrier_divergence
  }
}

__global__ void early_exit(float* out) {
  if (threadIdx.x == 5) return;
  out[threadIdx.x] = 1.0f;
  __syncthreads();  // @early_exit
}

__global__ void bad_mask(int* out) {
  // Lane 9 is not in the mask that it passes.
  out[threadIdx.x] = __shfl_sync(~(1u << 9), static_cast<int>(threadIdx.x), 0);  // @bad_mask
}

__global__ void mask_mismatch(int* out) {
  const unsigned mask = threadIdx.x < 16 ? ~0u : 0xFFFFFFFEu;
  out[threadIdx.x] = __shfl_xor_sync(mask, static_cast<int>(threadIdx.x), 1);  // @mask_mismatch
}

__global__ void half_warp_shuffle(int* out) {
  int x = static_cast<int>(threadIdx.x);
  if (x < 16) x = __shfl_down_sync(~0u, x, 8);  // @half_warp_shuffle
  __syncthreads();                              // @half_warp_shuffle too
  out[threadIdx.x] = x;
}

__global__ void trap() {
  if (blockIdx.x == 2 && threadIdx.x == 3) __trap();  // @trap
}

// ---- addresses ----

__global__ void global_read_beyond(const float* x, float* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) out[0] += x[i];  // @global_read_beyond
}

__global__ void global_write_beyond(float* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) x[i] = 1.0f;  // @global_write_beyond
}

// Into the gap between an allocation of 240 bytes and the page behind it.
__global__ void global_write_near(float* x) {
  if (threadIdx.x == 9) x[60] = 1.0f;  // @global_write_near
}

__global__ void far_beyond(float* x, int n) {
  if (threadIdx.x == 7) x[n + 100000] = 1.0f;  // @far_beyond
}

__global__ void freed(const float* x, float* out) {
  if (threadIdx.x == 1) out[0] = x[3];  // @freed
}

__global__ void null_pointer(const float* x, float* out) {
  out[threadIdx.x] = x[threadIdx.x];  // @null_pointer
}

__global__ void host_memory(const float* x, float* out) {
  out[threadIdx.x] = x[threadIdx.x];  // @host_memory
}

__global__ void static_shared_beyond(float* out, int n) {
  __shared__ float tile[64];
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = 1.0f;
  __syncthreads();
  out[t] = tile[t + n];  // @static_shared_beyond
}

__global__ void static_shared_pointer(float* out, int n) {
  __shared__ __align__(128) float tile[65];  // what follows is padding
  const int t = static_cast<int>(threadIdx.x);
  float* p = tile;
  asm volatile("" : "+r"(p));  // hides the array's size, as a call does
  p[t] = 1.0f;
  __syncthreads();
  if (t == 3) p[n] = 2.0f;  // @static_shared_pointer
  out[t] = p[t];
}

__global__ void dynamic_shared_read(float* out, int n) {
  SIMT_DYNAMIC_SHARED(float, buffer);
  const int t = static_cast<int>(threadIdx.x);
  buffer[t] = 1.0f;
  __syncthreads();
  out[t] = buffer[t + n];  // @dynamic_shared_read
}

__global__ void dynamic_shared_write(float* out, int n) {
  SIMT_DYNAMIC_SHARED(float, buffer);
  const int t = static_cast<int>(threadIdx.x);
  if (t == 11) buffer[n] = 3.0f;  // @dynamic_shared_write
  out[t] = 1.0f;
}

__global__ void misaligned(const float* x, float4* out) {
  out[threadIdx.x] = *reinterpret_cast<const float4*>(x + threadIdx.x);  // @misaligned
}

__device__ int deep(int n, int* out) {
  volatile int local[64] = {};
  local[n % 64] = n;
  if (n > 0) return deep(n - 1, out) + local[(n + 1) % 64] + out[0];
  return out[0];
}
__global__ void stack_overflow(int* out, int n) { out[0] = deep(n, out); }

// ---- shared memory ----

__global__ void uninitialised(float* out) {
  __shared__ float tile[32];
  if (threadIdx.x < 31) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];  // @uninitialised
}

__global__ void read_without_barrier(float* out) {
  __shared__ float tile[64];
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = static_cast<float>(t);  // @read_without_barrier too
  out[t] = tile[63 - t];            // @read_without_barrier
}

__global__ void write_after_read(float* out) {
  __shared__ float tile[64];
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = static_cast<float>(t);
  __syncthreads();
  const float x = tile[63 - t];  // @write_after_read too
  tile[t] = x;                   // @write_after_read
  __syncthreads();
  out[t] = tile[t];
}

__global__ void write_write(float* out) {
  __shared__ float last;
  last = static_cast<float>(threadIdx.x);  // @write_write
  __syncthreads();
  out[threadIdx.x] = last;
}

__global__ void missing_syncwarp(float* out) {
  __shared__ float tile[32];
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = static_cast<float>(t);  // @missing_syncwarp too
  // A shuffle makes the lanes meet, but orders no memory.
  const int next = __shfl_sync(~0u, (t + 1) % 32, t);
  out[t] = tile[next];  // @missing_syncwarp
}

__global__ void missing_wait(const float* x, float* out) {
  __shared__ float tile[32];
  __pipeline_memcpy_async(&tile[threadIdx.x], x + threadIdx.x, 4);  // @missing_wait too
  __pipeline_commit();
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];  // @missing_wait
}

__global__ void wait_for_too_few(const float* x, float* out) {
  __shared__ float tile[2][32];
  for (int i = 0; i < 2; ++i) {
    __pipeline_memcpy_async(&tile[i][threadIdx.x], x + threadIdx.x, 4);  // @wait_for_too_few too
    __pipeline_commit();
  }
  __pipeline_wait_prior(1);
  __syncthreads();
  out[threadIdx.x] = tile[1][threadIdx.x];  // @wait_for_too_few
  __pipeline_wait_prior(0);
}

__global__ void copy_beyond(const float* x, float* out, int n) {
  __shared__ float tile[32];
  __pipeline_memcpy_async(&tile[threadIdx.x], x + n + threadIdx.x, 4);  // @copy_beyond
  __pipeline_commit();
  __pipeline_wait_prior(0);
  out[threadIdx.x] = tile[threadIdx.x];
}

// ---- right, although it looks wrong ----

__global__ void fine(float* out) {
  __shared__ float tile[32], flag;
  const int t = static_cast<int>(threadIdx.x);
  flag = 1.0f;  // all write the same
  tile[t] = 1.0f;
  __syncwarp();
  const float x = tile[(t + 1) % 32];
  __syncwarp();
  tile[t] = x + 1.0f;
  __syncwarp();
  out[t] = tile[31 - t] + flag;
}

// Device memory that lasts for one launch. Zeroed: a kernel that adds needs that.
template <class Launch>
cudaError_t with_memory(Launch&& launch, int floats = 64) {
  float *x = nullptr, *out = nullptr;
  if (cudaMalloc(&x, floats * sizeof(float)) != cudaSuccess ||
      cudaMalloc(&out, 1024 * sizeof(float)) != cudaSuccess)
    std::abort();
  cudaMemset(x, 0, floats * sizeof(float));
  cudaMemset(out, 0, 1024 * sizeof(float));
  cudaError_t error = launch(x, out);
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  cudaFree(x);
  cudaFree(out);
  return error;
}

constexpr simt::LaunchShape kWarp{.grid = 1, .block = 32};
constexpr simt::LaunchShape kTwoWarps{.grid = 1, .block = 64};

}  // namespace

#define RUN(name, ...)                                                                      \
  Kernel {                                                                                  \
#name, [] { return with_memory([]([[maybe_unused]] float* x, [[maybe_unused]] float* out) \
                                        { return simt::launch(__VA_ARGS__); }); } \
  }

std::span<const Kernel> kernels() {
  static const Kernel all[] = {
      RUN(barrier_divergence, kTwoWarps, barrier_divergence),
      RUN(early_exit, kTwoWarps, early_exit, out),
      RUN(bad_mask, kWarp, bad_mask, reinterpret_cast<int*>(out)),
      RUN(mask_mismatch, kWarp, mask_mismatch, reinterpret_cast<int*>(out)),
      RUN(half_warp_shuffle, kTwoWarps, half_warp_shuffle, reinterpret_cast<int*>(out)),
      RUN(trap, {.grid = 4, .block = 32}, trap),
      RUN(global_read_beyond, {.grid = 2, .block = 64}, global_read_beyond, x, out, 64),
      RUN(global_write_beyond, {.grid = 2, .block = 64}, global_write_beyond, x, 64),
      Kernel{"global_write_near",
             [] {
               return with_memory(
                   [](float* x, float*) { return simt::launch(kWarp, global_write_near, x); }, 60);
             }},
      RUN(far_beyond, kWarp, far_beyond, x, 64),
      Kernel{"freed",
             [] {
               return with_memory([](float* x, float* out) {
                 float* gone = nullptr;
                 cudaMalloc(&gone, 1000);
                 cudaFree(gone);
                 (void)x;
                 return simt::launch(kWarp, freed, gone, out);
               });
             }},
      RUN(null_pointer, kWarp, null_pointer, nullptr, out),
      Kernel{"host_memory",
             [] {
               return with_memory([](float* x, float* out) {
                 auto* heap = static_cast<float*>(std::calloc(64, sizeof(float)));
                 (void)x;
                 const cudaError_t error = simt::launch(kWarp, host_memory, heap, out);
                 std::free(heap);
                 return error;
               });
             }},
      RUN(static_shared_beyond, kTwoWarps, static_shared_beyond, out, 1),
      RUN(static_shared_pointer, kTwoWarps, static_shared_pointer, out, -1),
      RUN(dynamic_shared_read, {.grid = 1, .block = 64, .shared_bytes = 256}, dynamic_shared_read,
          out, 1),
      RUN(dynamic_shared_write, {.grid = 1, .block = 32, .shared_bytes = 200}, dynamic_shared_write,
          out, 50),
      RUN(misaligned, {.grid = 1, .block = 8}, misaligned, x, reinterpret_cast<float4*>(out)),
      RUN(stack_overflow, {.grid = 1, .block = 1}, stack_overflow, reinterpret_cast<int*>(out),
          1000000),
      RUN(uninitialised, kWarp, uninitialised, out),
      RUN(read_without_barrier, kTwoWarps, read_without_barrier, out),
      RUN(write_after_read, kTwoWarps, write_after_read, out),
      RUN(write_write, kTwoWarps, write_write, out),
      RUN(missing_syncwarp, kWarp, missing_syncwarp, out),
      RUN(missing_wait, kWarp, missing_wait, x, out),
      RUN(wait_for_too_few, kWarp, wait_for_too_few, x, out),
      RUN(copy_beyond, kWarp, copy_beyond, x, out, 40),
      RUN(fine, kWarp, fine, out),
  };
  return all;
}

}  // namespace broken
