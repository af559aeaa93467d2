// The runtime API's errors are those of the real one.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "device_array.h"
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/simt.h"
#include "language.h"

TEST_SUITE_BEGIN("simt.runtime");

TEST_CASE("launch limits") {
  const DeviceArray<unsigned> out(4096);
  const auto launch = [&](dim3 grid, dim3 block) {
    const cudaError_t error = language::indices(grid, block, out.get());
    CHECK(cudaGetLastError() == error);        // told once ...
    CHECK(cudaGetLastError() == cudaSuccess);  // ... and not again
    return error;
  };
  CHECK(launch(1, 1024) == cudaSuccess);
  CHECK(launch(1, 1025) == cudaErrorInvalidConfiguration);
  CHECK(launch(1, dim3(32, 33)) == cudaErrorInvalidConfiguration);
  CHECK(launch(1, dim3(1, 1, 64)) == cudaSuccess);
  CHECK(launch(1, dim3(1, 1, 65)) == cudaErrorInvalidConfiguration);
  CHECK(launch(1, 0) == cudaErrorInvalidConfiguration);
  CHECK(launch(0, 32) == cudaErrorInvalidConfiguration);
  CHECK(launch(dim3(1, 65536), 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(dim3(1, 1, 65536), 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(dim3(2147483648u), 1) == cudaErrorInvalidConfiguration);
}

TEST_CASE("shared memory limits") {
  const DeviceArray<int> x(std::vector<int>(32));
  // The kernel has 4 bytes of its own, kept in 16.
  CHECK(language::reverse(32, x.get(), 48 * 1024 - 16) == cudaSuccess);
  CHECK(language::reverse(32, x.get(), 48 * 1024 + 1) == cudaErrorInvalidValue);
  CHECK(language::allow_reverse(228 * 1024) == cudaErrorInvalidValue);
  REQUIRE(language::allow_reverse(100 * 1024) == cudaSuccess);
  CHECK(language::reverse(32, x.get(), 100 * 1024) == cudaSuccess);
  CHECK(language::reverse(32, x.get(), 100 * 1024 + 4) == cudaErrorInvalidValue);
  REQUIRE(language::allow_reverse(227 * 1024 - 16) == cudaSuccess);
  CHECK(language::reverse(32, x.get(), 227 * 1024 - 16) == cudaSuccess);
  CHECK(language::reverse(32, x.get(), 227 * 1024) == cudaErrorInvalidValue);
  cudaGetLastError();
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
}

TEST_CASE("copies are checked against the allocations") {
  const DeviceArray<float> device(100);
  std::vector<float> host(200);
  CHECK(cudaMemcpy(device.get(), host.data(), 400, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(device.get(), host.data(), 401, cudaMemcpyHostToDevice) ==
        cudaErrorInvalidValue);
  CHECK(cudaMemcpy(device.get() + 99, host.data(), 8, cudaMemcpyDefault) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host.data(), device.get(), 400, cudaMemcpyHostToDevice) ==
        cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host.data(), device.get(), 4, static_cast<cudaMemcpyKind>(9)) ==
        cudaErrorInvalidMemcpyDirection);
  CHECK(cudaMemset(device.get() + 1, 0, 400) == cudaErrorInvalidValue);
  CHECK(cudaMemset(host.data(), 0, 4) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy2D(device.get(), 16, host.data(), 12, 13, 2, cudaMemcpyDefault) ==
        cudaErrorInvalidPitchValue);
  cudaGetLastError();
}

TEST_CASE("rows of different pitch") {
  const DeviceArray<int> device(12);
  std::vector<int> host{1, 2, 3, 4, 5, 6};
  REQUIRE(cudaMemcpy2D(device.get(), 16, host.data(), 8, 8, 3, cudaMemcpyHostToDevice) ==
          cudaSuccess);
  const auto rows = device.values();
  for (int r = 0; r < 3; ++r) {
    CHECK(rows[r * 4] == 2 * r + 1);
    CHECK(rows[r * 4 + 1] == 2 * r + 2);
  }
}

TEST_CASE("memory") {
  void* p = nullptr;
  REQUIRE(cudaMalloc(&p, 1000) == cudaSuccess);
  CHECK(reinterpret_cast<std::uintptr_t>(p) % 256 == 0);
  cudaPointerAttributes attributes;
  CHECK(cudaPointerGetAttributes(&attributes, p) == cudaSuccess);
  CHECK(attributes.type == cudaMemoryTypeDevice);
  float first;
  REQUIRE(cudaMemcpy(&first, p, 4, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(first != first);  // poison
  CHECK(cudaFree(static_cast<char*>(p) + 256) == cudaErrorInvalidValue);
  CHECK(cudaFree(p) == cudaSuccess);
  CHECK(cudaFree(p) == cudaErrorInvalidValue);
  CHECK(cudaFree(nullptr) == cudaSuccess);
  CHECK(cudaMalloc(&p, std::size_t{1} << 60) == cudaErrorMemoryAllocation);
  cudaGetLastError();

  std::size_t free_before, free_now, total;
  REQUIRE(cudaMemGetInfo(&free_before, &total) == cudaSuccess);
  REQUIRE(cudaMalloc(&p, 1 << 20) == cudaSuccess);
  REQUIRE(cudaMemGetInfo(&free_now, &total) == cudaSuccess);
  CHECK(free_before - free_now == 1 << 20);
  REQUIRE(cudaFree(p) == cudaSuccess);

  // What is written next to an allocation from the host is found when it is freed.
  REQUIRE(cudaMalloc(&p, 100) == cudaSuccess);
#if !defined(__SANITIZE_ADDRESS__)
  static_cast<char*>(p)[101] = 1;
  CHECK(cudaFree(p) == cudaErrorIllegalAddress);
  cudaGetLastError();
#else
  CHECK(cudaFree(p) == cudaSuccess);
#endif
}

namespace {
// What a child process says on stderr that dies of `access`; empty if it lives.
template <class F>
std::string last_words(F access) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    dup2(ends[1], STDOUT_FILENO);  // the test framework's own remarks
    access();
    _exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? std::string() : text;
}
}  // namespace

TEST_CASE("a host that touches device memory ends with a message, if asked for") {
  const simt::Options before = simt::options();
  simt::Options guarded = before;
  guarded.guard_host = true;
  const DeviceArray<float> x(std::vector<float>(100, 1.0f)), y(std::vector<float>(100, 2.0f));
  const auto read_it = [&] {
    const volatile float* p = x.get();
    if (p[3] != 1.0f) std::abort();
  };
  CHECK(last_words(read_it).empty());
  simt::set_options(guarded);
  // Kernels and copies reach it as before.
  const DeviceArray<float> z(100);
  CHECK(examples::vector_add(100, x.get(), y.get(), z.get(), nullptr) == cudaSuccess);
  CHECK(z.values() == std::vector<float>(100, 3.0f));
  const std::string read = last_words(read_it);
  CAPTURE(read);
  CHECK(read.find("device memory, byte 12 of an allocation of 400 bytes") != std::string::npos);
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
  CHECK(read.find("the host reads") != std::string::npos);
  const std::string write = last_words([&] { *static_cast<volatile float*>(x.get()) = 1; });
  CAPTURE(write);
  CHECK(write.find("the host writes to device memory, byte 0 of") != std::string::npos);
#endif
  // Managed memory is the host's too.
  float* managed = nullptr;
  REQUIRE(cudaMallocManaged(&managed, 4) == cudaSuccess);
  *managed = 5;
  CHECK(*managed == 5);
  CHECK(cudaFree(managed) == cudaSuccess);
  simt::set_options(before);
  CHECK(z.values().front() == 3.0f);  // opens it again
  read_it();
}

TEST_CASE("pinned host memory may be used by kernels") {
  float* x = nullptr;
  REQUIRE(cudaMallocHost(&x, 3 * 64 * sizeof(float)) == cudaSuccess);
  for (int i = 0; i < 128; ++i) x[i] = static_cast<float>(i);
  REQUIRE(examples::vector_add(64, x, x + 64, x + 128, nullptr) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  for (int i = 0; i < 64; ++i) CHECK(x[128 + i] == static_cast<float>(2 * i + 64));
  CHECK(cudaFreeHost(x) == cudaSuccess);
  CHECK(cudaFreeHost(x) == cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_CASE("streams and events") {
  cudaStream_t stream = nullptr;
  cudaEvent_t start = nullptr, end = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  REQUIRE(cudaEventCreate(&start) == cudaSuccess);
  REQUIRE(cudaEventCreate(&end) == cudaSuccess);
  float ms = -1;
  CHECK(cudaEventElapsedTime(&ms, start, end) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventRecord(start, stream) == cudaSuccess);
  int ran = 0;
  CHECK(cudaLaunchHostFunc(
            stream, [](void* p) { ++*static_cast<int*>(p); }, &ran) == cudaSuccess);
  CHECK(ran == 1);
  CHECK(cudaEventRecord(end, stream) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(stream, end) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&ms, start, end) == cudaSuccess);
  CHECK(ms >= 0);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventDestroy(start) == cudaSuccess);
  CHECK(cudaEventDestroy(start) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventDestroy(end) == cudaSuccess);
  cudaGetLastError();
}

TEST_CASE("the device") {
  int count = 0, value = 0;
  CHECK(cudaGetDeviceCount(&count) == cudaSuccess);
  CHECK(count == 1);
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  cudaDeviceProp p;
  REQUIRE(cudaGetDeviceProperties(&p, 0) == cudaSuccess);
  CHECK(p.warpSize == 32);
  CHECK(p.major == 8);
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxThreadsPerBlock, 0) == cudaSuccess);
  CHECK(value == 1024);
  CHECK(std::strcmp(cudaGetErrorName(cudaErrorInvalidDevice), "cudaErrorInvalidDevice") == 0);
  CHECK(std::strcmp(cudaGetErrorString(cudaErrorInvalidValue), "invalid argument") == 0);
  cudaGetLastError();
}

TEST_CASE("options from the environment are checked") {
  setenv("SIMT_ORDER", "sideways", 1);
  CHECK_THROWS_WITH_AS(simt::options_from_environment(),
                       "SIMT_ORDER: expected forward, reverse or random:SEED, found 'sideways'",
                       std::invalid_argument);
  setenv("SIMT_ORDER", "random:17", 1);
  const simt::Options options = simt::options_from_environment();
  CHECK(options.order == simt::Order::Random);
  CHECK(options.seed == 17);
  unsetenv("SIMT_ORDER");
}

TEST_SUITE_END();
