// What CUDA C++ promises, one thing a test.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "device_array.h"
#include "kernels/simt/simt.h"
#include "language.h"

TEST_SUITE_BEGIN("simt.language");

TEST_CASE("every thread of every block runs once, with its indices") {
  const dim3 grid(3, 2, 2), block(5, 4, 3);
  const DeviceArray<unsigned> out(std::vector<unsigned>(12 * 60, 7u));
  REQUIRE(language::indices(grid, block, out.get()) == cudaSuccess);
  const auto values = out.values();
  for (unsigned b = 0; b < 12; ++b)
    for (unsigned t = 0; t < 60; ++t) REQUIRE(values[b * 60 + t] == b * 10000 + t);
}

TEST_CASE("shuffles stay within their segments") {
  const DeviceArray<double> out(language::kShuffles * 32);
  REQUIRE(language::shuffles(out.get()) == cudaSuccess);
  const auto v = out.values();
  for (int lane = 0; lane < 32; ++lane) {
    CAPTURE(lane);
    CHECK(v[0 * 32 + lane] == (lane / 8 * 8 + 3) * 10);
    CHECK(v[1 * 32 + lane] == (lane % 16 >= 2 ? lane - 2 : lane) * 10);
    CHECK(v[2 * 32 + lane] == (lane % 8 + 3 < 8 ? lane + 3 : lane) * 10);
    CHECK(v[3 * 32 + lane] == (lane ^ 1) * 10);
    // An earlier segment may be read, a later one not.
    CHECK(v[4 * 32 + lane] == (lane & 4 ? lane ^ 4 : lane) * 10);
    CHECK(v[5 * 32 + lane] == 90.5);
  }
}

TEST_CASE("votes, matches and reductions") {
  const DeviceArray<int> out(language::kVotes * 32);
  REQUIRE(language::votes(out.get()) == cudaSuccess);
  const auto v = out.values();
  for (int lane = 0; lane < 32; ++lane) {
    CHECK(static_cast<unsigned>(v[0 * 32 + lane]) == 0xAAAAAAAAu);
    CHECK(v[1 * 32 + lane] == 1);
    CHECK(v[2 * 32 + lane] == 0);
    unsigned match = 0;
    for (int l = lane % 5; l < 32; l += 5) match |= 1u << l;
    CHECK(static_cast<unsigned>(v[3 * 32 + lane]) == match);
    CHECK(v[4 * 32 + lane] == 496);
    CHECK(v[5 * 32 + lane] == -31);
    CHECK(v[6 * 32 + lane] == 31);
  }
}

TEST_CASE("parts of a warp go their own ways under their own masks") {
  const DeviceArray<int> out(32);
  REQUIRE(language::half_warps(out.get()) == cudaSuccess);
  const auto v = out.values();
  for (int lane = 0; lane < 16; ++lane) {
    const int quad = lane / 4 * 4;
    CHECK(v[lane] == 4 * quad + 6);
  }
  for (int lane = 16; lane < 32; ++lane) CHECK(v[lane] == 16 * 16 + 120);
}

TEST_CASE("coalesced_threads finds the lanes of a branch") {
  const DeviceArray<int> out(32);
  REQUIRE(language::coalesced(out.get()) == cudaSuccess);
  const auto v = out.values();
  for (int lane = 0; lane < 32; ++lane) {
    CAPTURE(lane);
    if (lane % 3 == 0) CHECK(v[lane] == 1100 + lane / 3);
    if (lane % 3 == 1) CHECK(v[lane] == 176);  // 1 + 4 + ... + 31
    if (lane % 3 == 2) CHECK(v[lane] == 5);
  }
}

TEST_CASE("barriers that count") {
  const DeviceArray<int> out(300);
  REQUIRE(language::barrier_votes(out.get()) == cudaSuccess);
  const auto v = out.values();
  for (int t = 0; t < 100; ++t) {
    CHECK(v[t * 3] == 40);
    CHECK(v[t * 3 + 1] == 0);
    CHECK(v[t * 3 + 2] == 1);
  }
}

TEST_CASE("atomics") {
  const DeviceArray<unsigned> words(
      std::vector<unsigned>{0, 1000, 5000, 0, 0xFFFFFFFF, 0, 0, 0, 0, 0, 0});
  const DeviceArray<float> sum(std::vector<float>{0});
  REQUIRE(language::atomics(words.get(), sum.get()) == cudaSuccess);
  const auto w = words.values();
  unsigned parity = 0;
  for (unsigned i = 0; i < 1000; ++i) parity ^= i;
  CHECK(w[0] == 499500);
  CHECK(w[1] == 0);
  CHECK(w[2] == 100);
  CHECK(w[3] == 999);
  CHECK(w[4] == 0xFFFFFF00);
  CHECK(w[5] == 0xFF);
  CHECK(w[6] == parity);
  CHECK(w[7] == 0);  // 1000 steps through 0..9
  CHECK(w[8] == 0);
  CHECK(sum.values()[0] == 500.0f);
  CHECK(w[10] == 3000);
}

TEST_CASE("dynamic shared memory") {
  std::vector<int> x(1000);
  std::iota(x.begin(), x.end(), 0);
  const DeviceArray<int> dx(x);
  REQUIRE(language::reverse(1000, dx.get(), 4000) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  const auto y = dx.values();
  for (int i = 0; i < 1000; ++i) REQUIRE(y[i] == 999 - i);
}

TEST_CASE("constant and device variables") {
  const float table[4] = {1, 2, 3, 4};
  REQUIRE(language::set_table(table) == cudaSuccess);
  const DeviceArray<float> out(4);
  REQUIRE(language::constant(out.get()) == cudaSuccess);
  CHECK(out.values() == std::vector<float>{2, 4, 6, 8});
}

TEST_CASE("lanes that ended are not waited for") {
  const DeviceArray<int> out(32);
  REQUIRE(language::ended_lanes(out.get()) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  const auto v = out.values();
  for (int lane = 0; lane < 20; ++lane) CHECK(v[lane] == 20 + (lane ^ 1));
}

TEST_CASE("tiles of a warp") {
  const DeviceArray<int> sums(64), ranks(64);
  REQUIRE(language::tiles(sums.get(), ranks.get()) == cudaSuccess);
  const auto s = sums.values(), r = ranks.values();
  for (int t = 0; t < 64; ++t) {
    CHECK(s[t] == t / 4 * 16 + 6 + (t / 4 == 1 ? 1000 : 0));
    CHECK(r[t] == t % 16 / 4 * 100 + t % 4 * 10 + t / 4 % 10);
  }
}

TEST_CASE("cp.async: sizes, zero fill, groups") {
  std::vector<int> x(12);
  std::iota(x.begin(), x.end(), 1);
  const DeviceArray<int> dx(x), out(11);
  REQUIRE(language::copies(dx.get(), out.get()) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(out.values() == std::vector<int>{1, 2, 3, 4, 5, 0, 7, 0, 0, 0, 0});
}

TEST_CASE("a hundred thousand blocks") {
  const DeviceArray<unsigned> counter(std::vector<unsigned>{0});
  REQUIRE(language::count_blocks(100000, counter.get()) == cudaSuccess);
  CHECK(counter.values()[0] == 200000);
}

#if !SIMT_COUNTING  // which reports the read
TEST_CASE("shared memory is poisoned before each block") {
  const DeviceArray<float> out(4);
  const DeviceArray<int> as_int(1);
  REQUIRE(language::poison(out.get(), as_int.get()) == cudaSuccess);
  for (const float v : out.values()) CHECK(std::isnan(v));
  CHECK(as_int.values()[0] > 1 << 30);
}
#endif

TEST_SUITE_END();
