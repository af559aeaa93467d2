// The counters against values that a hand can work out.
#include <doctest/doctest.h>

#include <algorithm>

#include "device_array.h"
#include "kernels/simt/examples/examples.h"
#include "kernels/simt/simt.h"

using examples::Transpose;
using simt::Access;
using simt::KernelProfile;
using simt::Space;

namespace {

template <class Run>
KernelProfile profile(Run&& run) {
  simt::profile_start();
  REQUIRE(run() == cudaSuccess);
  auto kernels = simt::profile_stop();
  REQUIRE(kernels.size() == 1);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  return kernels[0];
}

std::vector<float> zeros(int n) { return std::vector<float>(static_cast<std::size_t>(n)); }

double per_request(std::uint64_t sum, const simt::LineCounts& counts) {
  return static_cast<double>(sum) / static_cast<double>(counts.requests);
}

}  // namespace

TEST_SUITE_BEGIN("simt.counting");

TEST_CASE("transposes: the textbook's numbers") {
  const int n = 128;
  const DeviceArray<float> x(zeros(n * n)), y(n * n);
  const auto run = [&](Transpose how) {
    return profile([&] { return examples::transpose(how, n, n, x.get(), y.get(), nullptr); });
  };
  const std::uint64_t requests = n * n / 32, sectors = n * n * 4 / 32;

  const KernelProfile naive = run(Transpose::Naive);
  const auto load = naive.total(Space::Global, Access::Load);
  const auto store = naive.total(Space::Global, Access::Store);
  CHECK(load.requests == requests);
  CHECK(per_request(load.sectors, load) == 4.0);
  CHECK(store.requests == requests);
  CHECK(per_request(store.sectors, store) == 32.0);
  CHECK(store.bytes == n * n * 4);
  CHECK(naive.unique_load_sectors == sectors);
  CHECK(naive.unique_store_sectors == sectors);
  CHECK(naive.branches.empty());
  CHECK(naive.block_lanes == 32 * naive.block_executions);

  for (const auto how : {Transpose::Tiled, Transpose::Padded}) {
    const KernelProfile tiled = run(how);
    const auto out = tiled.total(Space::Global, Access::Store);
    CHECK(per_request(out.sectors, out) == 4.0);
    const auto from_tile = tiled.total(Space::Shared, Access::Load);
    CHECK(from_tile.requests == requests);
    CHECK(per_request(from_tile.wavefronts, from_tile) == (how == Transpose::Tiled ? 32.0 : 1.0));
    CHECK(per_request(from_tile.ideal_wavefronts, from_tile) == 1.0);
    const auto to_tile = tiled.total(Space::Shared, Access::Store);
    CHECK(to_tile.wavefronts == to_tile.requests);
  }
}

TEST_CASE("a source line has its own row") {
  const int n = 64;
  const DeviceArray<float> x(zeros(n * n)), y(n * n);
  const KernelProfile p = profile(
      [&] { return examples::transpose(Transpose::Padded, n, n, x.get(), y.get(), nullptr); });
  CHECK(p.kernel == "examples::transpose_tiled<1>");
  CHECK(p.launches == 1);
  CHECK(p.blocks == 4);
  CHECK(p.threads == 1024);
  // Two lines, each with one access to global and one to shared memory.
  REQUIRE(p.lines.size() == 4);
  CHECK(p.lines[0].line == p.lines[1].line);
  CHECK(p.lines[2].line == p.lines[3].line);
  CHECK(p.lines[0].line < p.lines[2].line);
  for (const auto& line : p.lines) CHECK(line.file.ends_with("transpose.cu"));
  CHECK(simt::to_string(p).find("transpose.cu:" + std::to_string(p.lines[0].line)) !=
        std::string::npos);
}

TEST_CASE("a ragged end: lanes, divergence, distinct sectors") {
  const int n = 1000;  // 31 warps and 8 lanes
  const DeviceArray<float> x(zeros(n)), y(zeros(n)), z(n);
  const KernelProfile p =
      profile([&] { return examples::vector_add(n, x.get(), y.get(), z.get(), nullptr); });
  const auto load = p.total(Space::Global, Access::Load);
  CHECK(load.requests == 2 * 32);
  CHECK(load.lanes == 2 * 1000);
  CHECK(load.sectors == 2 * 125);
  CHECK(p.unique_load_sectors == 2 * 125);
  CHECK(p.unique_store_sectors == 125);
  REQUIRE(p.branches.size() == 1);
  CHECK(p.branches[0].divergent == 1);
}

TEST_CASE("16-byte accesses are one request") {
  const int n = 64;
  const DeviceArray<float> a(zeros(n * n)), b(zeros(n * n)), c(n * n);
  const KernelProfile p =
      profile([&] { return examples::sgemm(n, n, n, a.get(), b.get(), c.get(), nullptr); });
  const auto load = p.total(Space::Global, Access::Load);
  CHECK(load.requests == 2 * n * n / 4 / 32);
  CHECK(per_request(load.sectors, load) == 16.0);
  CHECK(per_request(load.bytes, load) == 512.0);
  const auto shared = p.total(Space::Shared, Access::Load);
  // Four float4 for each of k steps, by two warps: no conflicts.
  CHECK(shared.requests == 2 * 4 * n);
  CHECK(per_request(shared.wavefronts, shared) == 4.0);
  CHECK(shared.wavefronts == shared.ideal_wavefronts);
  const auto store = p.total(Space::Shared, Access::Store);
  CHECK(store.wavefronts == store.ideal_wavefronts);
}

TEST_CASE("cp.async loads and stores; ldmatrix has no conflicts; atomics queue up") {
  const int n = 1024;
  const DeviceArray<float> x(zeros(n)), y(n);
  const KernelProfile smooth =
      profile([&] { return examples::smooth(n, x.get(), y.get(), nullptr); });
  // Elements, margins that lie inside, and those shared by two tiles.
  CHECK(smooth.total(Space::Global, Access::Load).lanes == n + 7 * 8);
  CHECK(smooth.total(Space::Shared, Access::Store).lanes == n + 8 * 8);
  CHECK(smooth.unique_load_sectors == n / 8);

  const DeviceArray<unsigned short> a(std::vector<unsigned short>(32 * 16)),
      b(std::vector<unsigned short>(32 * 16));
  const DeviceArray<float> c(32 * 32);
  const KernelProfile mma = profile([&] {
    return examples::mma_gemm(examples::MmaType::Half, 32, 32, 16, a.get(), b.get(), c.get(),
                              nullptr);
  });
  const auto rows = mma.total(Space::Shared, Access::Load);
  CHECK(rows.requests == 4 * 2);  // warps, operands
  CHECK(rows.wavefronts == rows.ideal_wavefronts);

  const DeviceArray<unsigned char> same(std::vector<unsigned char>(1024, 7));
  const DeviceArray<unsigned> counts(std::vector<unsigned>(256));
  const KernelProfile histogram =
      profile([&] { return examples::histogram(1024, same.get(), counts.get(), nullptr); });
  const auto atomic = histogram.total(Space::Shared, Access::Atomic);
  CHECK(atomic.requests == 32);
  CHECK(per_request(atomic.wavefronts, atomic) == 32.0);
}

TEST_CASE("the counts do not depend on order or host threads") {
  const int n = 5000;
  const DeviceArray<float> x(zeros(n)), scratch(examples::reduce_scratch(n)), sum(1);
  const simt::Options before = simt::options();
  std::string first;
  for (const auto order : {simt::Order::Forward, simt::Order::Reverse, simt::Order::Random})
    for (const int threads : {1, 3}) {
      simt::Options options = before;
      options.order = order;
      options.seed = 5;
      options.host_threads = threads;
      simt::set_options(options);
      const std::string text = simt::to_string(
          profile([&] { return examples::reduce(n, x.get(), scratch.get(), sum.get(), nullptr); }));
      if (first.empty()) first = text;
      CHECK(text == first);
    }
  simt::set_options(before);
}

TEST_CASE("long lists are replayed in pieces") {
  // 40000 accesses a thread: more than a lane may run ahead of the others.
  const int n = 40000 * 64;
  const DeviceArray<unsigned char> x(std::vector<unsigned char>(n, 1));
  const DeviceArray<unsigned> counts(std::vector<unsigned>(256));
  simt::profile_start();
  REQUIRE(examples::histogram(n, x.get(), counts.get(), nullptr) == cudaSuccess);
  const auto kernels = simt::profile_stop();
  REQUIRE(kernels.size() == 1);
  const auto load = kernels[0].total(Space::Global, Access::Load);
  CHECK(load.lanes == n);
  CHECK(load.requests == n / 32);
  CHECK(load.sectors == n / 32);
}

TEST_SUITE_END();
