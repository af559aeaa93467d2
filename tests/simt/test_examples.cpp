// The example kernels against plain loops, in whatever mode the environment asks for.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "device_array.h"
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/simt.h"

using examples::MmaType;
using examples::Transpose;

namespace {

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(n);
  for (float& v : values) v = uniform(generator);
  return values;
}

}  // namespace

TEST_SUITE_BEGIN("simt.examples");

TEST_CASE("vector_add adds every element") {
  const int n = 1003;
  const auto x = random_floats(n, 1), y = random_floats(n, 2);
  const DeviceArray<float> dx(x), dy(y), dz(n);
  REQUIRE(examples::vector_add(n, dx.get(), dy.get(), dz.get(), nullptr) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  const auto z = dz.values();
  for (int i = 0; i < n; ++i) REQUIRE(z[i] == x[i] + y[i]);
}

TEST_CASE("reduce sums in an order that the problem fixes") {
  const int n = 10007;
  const auto x = random_floats(n, 3);
  const DeviceArray<float> dx(x), scratch(examples::reduce_scratch(n)), sum(1);
  const double expected = std::accumulate(x.begin(), x.end(), 0.0);
  const auto run = [&] {
    REQUIRE(examples::reduce(n, dx.get(), scratch.get(), sum.get(), nullptr) == cudaSuccess);
    return sum.values()[0];
  };
  const float first = run();
  CHECK(first == doctest::Approx(expected).epsilon(1e-4));
  simt::Options options = simt::options();
  const simt::Options before = options;
  for (const auto order : {simt::Order::Forward, simt::Order::Reverse, simt::Order::Random})
    for (const int threads : {1, 3}) {
      options.order = order;
      options.host_threads = threads;
      simt::set_options(options);
      CHECK(run() == first);
    }
  simt::set_options(before);
}

TEST_CASE("transpose in three ways") {
  const int rows = 45, cols = 67;
  const auto x = random_floats(rows * cols, 4);
  const DeviceArray<float> dx(x), dy(x.size());
  for (const auto how : {Transpose::Naive, Transpose::Tiled, Transpose::Padded}) {
    REQUIRE(examples::transpose(how, rows, cols, dx.get(), dy.get(), nullptr) == cudaSuccess);
    const auto y = dy.values();
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < cols; ++c) REQUIRE(y[c * rows + r] == x[r * cols + c]);
  }
}

TEST_CASE("sgemm") {
  const int m = 128, n = 192, k = 72;
  const auto a = random_floats(m * k, 5), b = random_floats(k * n, 6);
  const DeviceArray<float> da(a), db(b), dc(m * n);
  REQUIRE(examples::sgemm(m, n, k, da.get(), db.get(), dc.get(), nullptr) == cudaSuccess);
  const auto c = dc.values();
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      // The same operations in the same order: fmaf along k.
      float sum = 0;
      for (int p = 0; p < k; ++p) sum = std::fmaf(a[i * k + p], b[p * n + j], sum);
      REQUIRE(c[i * n + j] == sum);
    }
}

TEST_CASE("scan of rows") {
  for (const int cols : {1, 31, 32, 100, 1024}) {
    const int rows = 3;
    std::vector<int> x(rows * cols);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int>(i * 7 % 11);
    const DeviceArray<int> dx(x), dy(x.size());
    REQUIRE(examples::scan(rows, cols, dx.get(), dy.get(), nullptr) == cudaSuccess);
    const auto y = dy.values();
    for (int r = 0; r < rows; ++r) {
      std::vector<int> expected(cols);
      std::partial_sum(x.begin() + r * cols, x.begin() + (r + 1) * cols, expected.begin());
      for (int c = 0; c < cols; ++c) REQUIRE(y[r * cols + c] == expected[c]);
    }
  }
}

TEST_CASE("smooth: a cp.async pipeline") {
  const int n = 5001;
  const auto x = random_floats(n, 7);
  const DeviceArray<float> dx(x), dy(n);
  REQUIRE(examples::smooth(n, dx.get(), dy.get(), nullptr) == cudaSuccess);
  const auto y = dy.values();
  for (int i = 0; i < n; ++i) {
    const float left = i > 0 ? x[i - 1] : 0, right = i + 1 < n ? x[i + 1] : 0;
    REQUIRE(y[i] == (left + x[i] + right) / 3.0f);
  }
}

TEST_CASE("histogram: atomics on shared and global memory") {
  const int n = 20000;
  std::vector<unsigned char> x(n);
  std::mt19937 generator(8);
  for (auto& v : x) v = static_cast<unsigned char>(generator() % 256 * (generator() % 2));
  const DeviceArray<unsigned char> dx(x);
  const DeviceArray<unsigned> counts(std::vector<unsigned>(256, 1));
  REQUIRE(examples::histogram(n, dx.get(), counts.get(), nullptr) == cudaSuccess);
  std::vector<unsigned> expected(256, 1);
  for (const auto v : x) ++expected[v];
  CHECK(counts.values() == expected);
}

TEST_CASE_TEMPLATE("mma_gemm of 16-bit floats", T, __half, __nv_bfloat16) {
  const int m = 64, n = 96, k = 80;
  const auto fill = [](int count, unsigned seed) {
    std::vector<T> values;
    for (const float v : random_floats(static_cast<std::size_t>(count), seed)) values.push_back(v);
    return values;
  };
  const auto a = fill(m * k, 9), b = fill(n * k, 10);
  const DeviceArray<T> da(a), db(b);
  const DeviceArray<float> dc(m * n);
  const auto type = std::is_same_v<T, __half> ? MmaType::Half : MmaType::Bfloat16;
  REQUIRE(examples::mma_gemm(type, m, n, k, da.get(), db.get(), dc.get(), nullptr) == cudaSuccess);
  const auto c = dc.values();
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int p = 0; p < k; ++p) sum += double(float(a[i * k + p])) * float(b[j * k + p]);
      // k / 16 roundings to float of sums below 32.
      REQUIRE(std::fabs(c[i * n + j] - sum) < 1e-5);
    }
}

TEST_CASE("mma_gemm of tf32") {
  const int m = 32, n = 64, k = 48;
  const auto a = random_floats(m * k, 11), b = random_floats(n * k, 12);
  const DeviceArray<float> da(a), db(b), dc(m * n);
  REQUIRE(examples::mma_gemm(MmaType::Tf32, m, n, k, da.get(), db.get(), dc.get(), nullptr) ==
          cudaSuccess);
  const auto c = dc.values();
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int p = 0; p < k; ++p)
        sum += double(__float_to_tf32(a[i * k + p])) * __float_to_tf32(b[j * k + p]);
      REQUIRE(std::fabs(c[i * n + j] - sum) < 1e-5);
    }
}

TEST_SUITE_END();
