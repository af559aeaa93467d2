// Element-wise kernels: y[i] = f(a[i], b[i], ...), vectorised.
//
// Mapping: a block of 256 threads makes 2048 neighbouring elements, a thread two float4 of them
// 1024 elements apart, so that a warp's accesses are whole 512-byte pieces. Both float4 of every
// input are loaded before anything is stored: the compiler may not move a load over a store, since
// y may be one of the inputs. The last n % 4 elements are moved one by one.
//
// Bound by memory: 4 bytes for each input and output element, one operation each, so that the floor
// is 12 n bytes / bandwidth for two inputs (0.36 ms for 10^8 elements at 3350 GB/s). With 2048
// threads on a multiprocessor 64 KB an input are on their way, more than bandwidth x latency of any
// GPU. No shared memory. Every element is independent: no order of anything matters.
//
// Comparisons are written so that NaN takes the branch that keeps it: `x <= 0` is false for NaN.
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kVectors = 2;  // float4 a thread
constexpr int kPerBlock = kThreads * kVectors * 4;

// y[i] = f(x[i]...) for this thread's quads of a block's elements.
template <class Access, class F, class... Inputs>
__device__ void map_quads(Access access, float* y, F f, Inputs... x) {
  const auto map = [f](const auto&... q) {
    return Quad{{f(q.e[0]...), f(q.e[1]...), f(q.e[2]...), f(q.e[3]...)}};
  };
  Quad result[kVectors];
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    [[maybe_unused]] const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    result[v] = map(access(at).load(x + at)...);
  }
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    access(at).store(y + at, result[v]);
  }
}

// y[i] = f(x[i]...) for the elements of this block.
template <class F, class... Inputs>
__device__ void map_block(Index n, float* y, F f, Inputs... x) {
  const Index first = Index{blockIdx.x} * kPerBlock;
  const int count = static_cast<int>(min_of(n - first, Index{kPerBlock}));
  if (count == kPerBlock)
    map_quads(WholeRange{}, y + first, f, x + first...);
  else
    map_quads(PartRange{0, count}, y + first, f, x + first...);
}

__global__ void fill_elements(Index n, float value, float* y) {
  map_block(n, y, [value] { return value; });
}

__global__ void add_elements(Index n, const float* a, const float* b, float* y) {
  map_block(
      n, y, [](float u, float v) { return u + v; }, a, b);
}

__global__ void multiply_elements(Index n, const float* a, const float* b, float* y) {
  map_block(
      n, y, [](float u, float v) { return u * v; }, a, b);
}

__global__ void scale_elements(Index n, float factor, const float* x, float* y) {
  map_block(
      n, y, [factor](float u) { return factor * u; }, x);
}

__global__ void scale_elements_by(Index n, const float* factor, const float* x, float* y) {
  const float f = *factor;
  map_block(
      n, y, [f](float u) { return f * u; }, x);
}

__global__ void relu_elements(Index n, const float* x, float* y) {
  map_block(
      n, y, [](float u) { return u <= 0 ? 0 : u; }, x);
}

__global__ void relu_gradient(Index n, const float* y, const float* dy, float* dx) {
  map_block(
      n, dx, [](float u, float du) { return u <= 0 ? 0 : du; }, y, dy);
}

LaunchShape shape_for(Stream s, Index n) {
  return {.grid = grid_for(n, kPerBlock), .block = kThreads, .stream = stream_of(s)};
}

}  // namespace

void fill(Stream s, Index n, double value, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), fill_elements, n, static_cast<float>(value), y));
}

void add_forward(Stream s, Index n, const T* a, const T* b, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), add_elements, n, a, b, y));
}

void scale_forward(Stream s, Index n, double factor, const T* x, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), scale_elements, n, static_cast<float>(factor), x, y));
}

void scale_by(Stream s, Index n, const T* factor, const T* x, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), scale_elements_by, n, factor, x, y));
}

void mul_forward(Stream s, Index n, const T* a, const T* b, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), multiply_elements, n, a, b, y));
}

// y = max(0, x).
void relu_forward(Stream s, Index n, const T* x, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), relu_elements, n, x, y));
}

// dx = dy where y > 0, else 0: the gradient at x = 0 is 0, as in PyTorch.
void relu_backward(Stream s, Index n, const T* y, const T* dy, T* dx) {
  ETUDE_CUDA(launch(shape_for(s, n), relu_gradient, n, y, dy, dx));
}

}  // namespace etude::ETUDE_BACKEND
