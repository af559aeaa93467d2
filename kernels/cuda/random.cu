// Random numbers: Philox4x32-10 and the conversions that kernels/host/random.cpp defines, bit for
// bit. Element i is a function of (seed, offset, i) alone, so no order of anything matters.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//
// Mapping: a block of 256 threads makes 2048 neighbouring elements, a thread two float4 of them
// 1024 elements apart. A float4 is one counter, so that no number of a draw is thrown away; the
// last n % 4 elements are stored one by one. No shared memory.
//
// Cost: about 80 integer operations for four numbers, 4 bytes written each (dropout reads 4 more).
// Uniform numbers and dropout are bound by memory. Normal numbers are bound by float64 arithmetic,
// some 35 operations each, because a definition in float64 is what makes them the same everywhere:
// on a GPU with 1/64 of its rate in float64 10^8 take about 6 ms. They initialise weights.
#include <cmath>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/random.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kVectors = 2;  // float4 a thread
constexpr int kPerBlock = kThreads * kVectors * 4;

// ---- kernels -----------------------------------------------------------------------------------

// y = f(four words, x) for this thread's quads of a block's elements, which draw from `state` on; x
// may be null, then f gets zeros.
template <class Access, class F>
__device__ void draw_quads(Access access, PhiloxState state, const float* x, float* y, F f) {
  Quad q[kVectors] = {};
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    if (x) q[v] = access(at).load(x + at);
  }
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int quad = v * kThreads + static_cast<int>(threadIdx.x), at = quad * 4;
    const uint4 bits = philox(state.offset + static_cast<std::uint64_t>(quad), state.seed);
    access(at).store(y + at, f(bits, q[v]));
  }
}

template <class F>
__device__ void draw_block(Index n, PhiloxState state, const float* x, float* y, F f) {
  const Index first = Index{blockIdx.x} * kPerBlock;
  const int count = static_cast<int>(min_of(n - first, Index{kPerBlock}));
  state.offset += static_cast<std::uint64_t>(first / 4);
  if (x) x += first;
  if (count == kPerBlock)
    draw_quads(WholeRange{}, state, x, y + first, f);
  else
    draw_quads(PartRange{0, count}, state, x, y + first, f);
}

// y = x factor, or x 0 where dropped, a product so that NaN is not dropped.
__global__ void dropout_elements(Index n, std::uint32_t threshold, float factor, PhiloxState state,
                                 const float* x, float* y) {
  draw_block(n, state, x, y, [=](uint4 bits, const Quad& q) {
    const auto mask = [=](std::uint32_t b) { return top24(b) < threshold ? 0.0f : factor; };
    return Quad{{q.e[0] * mask(bits.x), q.e[1] * mask(bits.y), q.e[2] * mask(bits.z),
                 q.e[3] * mask(bits.w)}};
  });
}

__global__ void uniform_elements(Index n, float base, float range, PhiloxState state, float* y) {
  draw_block(n, state, nullptr, y, [=](uint4 bits, const Quad&) {
    // Exact: an integer below 2^24 and a power of two.
    const auto u = [](std::uint32_t b) { return static_cast<float>(top24(b)) * 0x1p-24f; };
    return Quad{{fmaf(u(bits.x), range, base), fmaf(u(bits.y), range, base),
                 fmaf(u(bits.z), range, base), fmaf(u(bits.w), range, base)}};
  });
}

__global__ void normal_elements(Index n, double mean, double deviation, PhiloxState state,
                                float* y) {
  draw_block(n, state, nullptr, y, [=](uint4 bits, const Quad&) {
    const Direction a = normal_pair(bits.x, bits.y), b = normal_pair(bits.z, bits.w);
    const auto place = [=](double z) { return static_cast<float>(fma(deviation, z, mean)); };
    return Quad{{place(a.cosine), place(a.sine), place(b.cosine), place(b.sine)}};
  });
}

LaunchShape shape_for(Stream s, Index n) {
  return {.grid = grid_for(n, kPerBlock), .block = kThreads, .stream = stream_of(s)};
}

}  // namespace

void dropout(Stream s, Index n, double probability, PhiloxState state, const T* x, T* y) {
  const auto threshold = static_cast<std::uint32_t>(std::ceil(probability * 0x1p24));
  const float factor = static_cast<float>(1 / (1 - probability));  // unused at probability 1
  ETUDE_CUDA(launch(shape_for(s, n), dropout_elements, n, threshold, factor, state, x, y));
}

void random_uniform(Stream s, Index n, double low, double high, PhiloxState state, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), uniform_elements, n, static_cast<float>(low),
                    static_cast<float>(high - low), state, y));
}

void random_normal(Stream s, Index n, double mean, double deviation, PhiloxState state, T* y) {
  ETUDE_CUDA(launch(shape_for(s, n), normal_elements, n, mean, deviation, state, y));
}

}  // namespace etude::ETUDE_BACKEND
