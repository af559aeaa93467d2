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

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kVectors = 2;  // float4 a thread
constexpr int kPerBlock = kThreads * kVectors * 4;

// ---- bits --------------------------------------------------------------------------------------

// The four words of counter {low, high, 0, 0}.
__device__ uint4 philox(std::uint64_t counter, std::uint64_t key) {
  constexpr std::uint64_t m0 = 0xD2511F53, m1 = 0xCD9E8D57;
  constexpr std::uint32_t w0 = 0x9E3779B9, w1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1
  std::uint32_t c0 = static_cast<std::uint32_t>(counter);
  std::uint32_t c1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t c2 = 0, c3 = 0;
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = m0 * c0, p1 = m1 * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += w0;
    k1 += w1;
  }
  return make_uint4(c0, c1, c2, c3);
}

// 24 of the 32 bits: as many as a float holds exactly.
__device__ std::uint32_t top24(std::uint32_t bits) { return bits >> 8; }
constexpr double kTwoToMinus24 = 0x1p-24;

// ---- conversions -------------------------------------------------------------------------------

// Horner's rule, coefficients from the highest power down, one fma a step.
template <int n>
__device__ double horner(double x, const double (&coefficients)[n]) {
  double y = coefficients[0];
#pragma unroll
  for (int i = 1; i < n; ++i) y = fma(y, x, coefficients[i]);
  return y;
}

// ln(k 2^-24) for k in [1, 2^24]: k 2^-24 = m 2^-halvings with m in [0.75, 1.5), then
// ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.2.
__device__ double log_of_24_bits(std::uint32_t k) {
  constexpr double odd[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                            1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
  constexpr double ln2 = 0.693147180559945309417;
  int halvings = max_of(0, __clz(static_cast<int>(k)) - 8);  // k << halvings in [2^23, 2^24]
  double m = (k << halvings) * kTwoToMinus24;
  if (m < 0.75) {
    m *= 2;
    ++halvings;
  }
  const double s = (m - 1) / (m + 1);
  return fma(static_cast<double>(-halvings), ln2, 2 * s * horner(s * s, odd));
}

struct Direction {
  double cosine, sine;
};

// Of the angle 2 pi k 2^-24. The nearest quarter turn is taken out of the integer k, so the
// polynomials (Taylor) see at most 45 degrees.
__device__ Direction cos_sin_of_24_bits(std::uint32_t k) {
  constexpr double half_pi = 1.57079632679489661923;
  constexpr double sin_terms[] = {
      -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
      -1.0 / 5040,          1.0 / 120,        -1.0 / 6,        1.0};
  constexpr double cos_terms[] = {1.0 / 20922789888000,
                                  -1.0 / 87178291200,
                                  1.0 / 479001600,
                                  -1.0 / 3628800,
                                  1.0 / 40320,
                                  -1.0 / 720,
                                  1.0 / 24,
                                  -0.5,
                                  1.0};
  const std::uint32_t quarter = (k + (1u << 21)) >> 22;  // 0 .. 4
  const int rest = static_cast<int>(k) - static_cast<int>(quarter << 22);
  const double a = half_pi * (static_cast<double>(rest) * 0x1p-22);
  const double a2 = a * a;
  const double s = a * horner(a2, sin_terms), c = horner(a2, cos_terms);
  switch (quarter & 3) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

// Two standard normal numbers (Box and Muller, 1958).
__device__ Direction normal_pair(std::uint32_t even, std::uint32_t odd) {
  const double r = sqrt(-2 * log_of_24_bits(top24(even) + 1));
  const Direction d = cos_sin_of_24_bits(top24(odd));
  return {r * d.cosine, r * d.sine};
}

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
