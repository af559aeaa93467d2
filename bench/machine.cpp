#include "bench/machine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <latch>
#include <thread>
#include <vector>

#include "bench/gpu_model.h"
#include "engine/tensor.h"
#include "kernels/timing.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace etude::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int kChains = 12;  // independent sums, enough for two multiply-adds a cycle of latency 5
constexpr int kRounds = 400'000;

// kRounds x kChains dependent-by-chain multiply-adds on vectors; the empty asm statements keep the
// compiler from doing any of it ahead of time. Each returns the floats a vector holds.
#define ETUDE_BENCH_CHAINS(Vector, zero, multiply_add)           \
  Vector x = zero, y = zero, sum[kChains] = {};                  \
  asm volatile("" : "+x"(x), "+x"(y));                           \
  for (int round = 0; round < kRounds; ++round) {                \
    _Pragma("GCC unroll 12") for (int i = 0; i < kChains; ++i) { \
      sum[i] = multiply_add;                                     \
      asm volatile("" : "+x"(sum[i]));                           \
    }                                                            \
  }                                                              \
  return sizeof(Vector) / sizeof(float)

#if defined(__x86_64__)
__attribute__((target("avx512f"))) int chains_avx512() {
  ETUDE_BENCH_CHAINS(__m512, _mm512_setzero_ps(), _mm512_fmadd_ps(x, y, sum[i]));
}
__attribute__((target("avx2,fma"))) int chains_avx2() {
  ETUDE_BENCH_CHAINS(__m256, _mm256_setzero_ps(), _mm256_fmadd_ps(x, y, sum[i]));
}
int chains_baseline() {  // no fused multiply-add: a multiplication and an addition
  ETUDE_BENCH_CHAINS(__m128, _mm_setzero_ps(), _mm_add_ps(_mm_mul_ps(x, sum[i]), y));
}
#else
int chains_baseline() {
  float x = 0, y = 0, sum[kChains] = {};
  for (int round = 0; round < kRounds; ++round)
    for (float& s : sum) {
      s = x * s + y;
      asm volatile("" : : "g"(&s) : "memory");
    }
  return 1;
}
#endif

// Runs `work` on every thread at once and returns the seconds that the slowest took.
template <class Work>
double run_together(int threads, Work&& work) {
  std::vector<double> seconds(static_cast<std::size_t>(threads));
  std::latch start(threads);
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < threads; ++t)
      pool.emplace_back([&, t] {
        start.arrive_and_wait();
        const auto begin = Clock::now();
        work(t);
        seconds[static_cast<std::size_t>(t)] = seconds_since(begin);
      });
  }
  return *std::max_element(seconds.begin(), seconds.end());
}

double measure_flops(std::string_view isa, int threads) {
  int (*chains)() = chains_baseline;
#if defined(__x86_64__)
  if (isa == "avx512") chains = chains_avx512;
  if (isa == "avx2") chains = chains_avx2;
#else
  (void)isa;
#endif
  double best = 0;
  for (int repeat = 0; repeat < 30; ++repeat) {
    int lanes = 0;
    const double seconds = run_together(threads, [&](int t) {
      const int n = chains();
      if (t == 0) lanes = n;
    });
    best = std::max(best, 2.0 * kRounds * kChains * lanes * threads / seconds);
  }
  return best;
}

double measure_bytes(int threads) {
  constexpr std::size_t part = std::size_t{64} << 20;
  const std::size_t size = part * static_cast<std::size_t>(threads);
  std::vector<char> from(size, 1), to(size, 2);
  double best = 0;
  for (int repeat = 0; repeat < 8; ++repeat) {
    const double seconds = run_together(threads, [&](int t) {
      const std::size_t at = static_cast<std::size_t>(t) * part;
      std::memcpy(to.data() + at, from.data() + at, part);
    });
    best = std::max(best, 2.0 * static_cast<double>(size) / seconds);
  }
  return best;
}

}  // namespace

Machine measure_machine(std::string_view isa, int threads) {
  return {measure_flops(isa, threads), measure_bytes(threads)};
}

Machine measure_gpu(Device device) {
  const Gpu* const gpu = find_gpu(describe(device));
  const Tensor from({Index{64} << 20}, DType::f32, device), to(from.shape(), DType::f32, device);
  const Kernels<float>& k = kernels_for<float>(device);
  const Stream stream = current_stream(device);
  const std::vector<double> ms = time_calls(k, stream, 10, [&] {
    k.memory_copy(stream, to.raw(), from.raw(), from.bytes(), CopyKind::device_to_device);
  });
  return {gpu ? gpu->flops : 0, 2.0 * static_cast<double>(from.bytes()) /
                                    (1e-3 * *std::min_element(ms.begin(), ms.end()))};
}

std::size_t last_level_cache() {
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : std::size_t{32} << 20;
}

}  // namespace etude::bench
