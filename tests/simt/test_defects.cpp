// Each broken kernel is found, and the report names kernel, block, thread and source line. What
// needs to see every access is found in the counting build only.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>

#include "broken.h"
#include "kernels/simt/simt.h"

using simt::Defect;

namespace {

struct Expected {
  Defect defect;
  cudaError_t error;
  // ... without being run in the plain build, where it would overwrite what it should not.
  enum Found { Always, CountingOnly, CountingOnlyHarmful } found = Always;
  // In the plain build the place may be unknown: an overwritten red zone is found afterwards.
  enum Place { Exact, ExactIfCounting } place = Exact;
};

const std::map<std::string, Expected> kExpected = {
    {"barrier_divergence", {Defect::BarrierDivergence, cudaErrorLaunchFailure}},
    {"early_exit", {Defect::EarlyExit, cudaErrorLaunchFailure}},
    {"bad_mask", {Defect::BadMask, cudaErrorLaunchFailure}},
    {"mask_mismatch", {Defect::WarpDivergence, cudaErrorLaunchFailure}},
    {"half_warp_shuffle", {Defect::WarpDivergence, cudaErrorLaunchFailure}},
    {"trap", {Defect::Trap, cudaErrorLaunchFailure}},
    {"global_read_beyond", {Defect::GlobalBounds, cudaErrorIllegalAddress}},
    {"global_write_beyond", {Defect::GlobalBounds, cudaErrorIllegalAddress}},
    {"global_write_near",
     {Defect::GlobalBounds, cudaErrorIllegalAddress, Expected::Always, Expected::ExactIfCounting}},
    {"far_beyond", {Defect::GlobalBounds, cudaErrorIllegalAddress}},
    {"freed", {Defect::GlobalBounds, cudaErrorIllegalAddress}},
    {"null_pointer", {Defect::GlobalBounds, cudaErrorIllegalAddress}},
    {"host_memory", {Defect::GlobalBounds, cudaErrorIllegalAddress, Expected::CountingOnly}},
    {"static_shared_beyond",
     {Defect::SharedBounds, cudaErrorIllegalAddress, Expected::CountingOnly}},
    {"static_shared_pointer",
     {Defect::SharedBounds, cudaErrorIllegalAddress, Expected::CountingOnlyHarmful}},
    {"dynamic_shared_read", {Defect::SharedBounds, cudaErrorIllegalAddress}},
    {"dynamic_shared_write",
     {Defect::SharedBounds, cudaErrorIllegalAddress, Expected::Always, Expected::ExactIfCounting}},
    {"misaligned", {Defect::Misaligned, cudaErrorMisalignedAddress}},
    {"stack_overflow", {Defect::StackOverflow, cudaErrorIllegalAddress}},
    {"uninitialised", {Defect::Uninitialised, cudaErrorLaunchFailure, Expected::CountingOnly}},
    {"read_without_barrier", {Defect::SharedRace, cudaErrorLaunchFailure, Expected::CountingOnly}},
    {"write_after_read", {Defect::SharedRace, cudaErrorLaunchFailure, Expected::CountingOnly}},
    {"write_write", {Defect::SharedRace, cudaErrorLaunchFailure, Expected::CountingOnly}},
    {"missing_syncwarp", {Defect::SharedRace, cudaErrorLaunchFailure, Expected::CountingOnly}},
    {"missing_wait", {Defect::PendingCopy, cudaErrorLaunchFailure}},
    {"wait_for_too_few", {Defect::PendingCopy, cudaErrorLaunchFailure, Expected::CountingOnly}},
    {"copy_beyond", {Defect::GlobalBounds, cudaErrorIllegalAddress}},
};

#if SIMT_COUNTING
constexpr bool kCounting = true;
#else
constexpr bool kCounting = false;
#endif

// Lines of broken.cu that end in "// @name" or "// @name too".
std::vector<int> marked_lines(const std::string& name) {
  std::ifstream file(SIMT_BROKEN_SOURCE);
  REQUIRE(file.good());
  std::vector<int> lines;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number)
    if (text.ends_with("// @" + name) || text.ends_with("// @" + name + " too"))
      lines.push_back(number);
  return lines;
}

std::vector<simt::Report> reports_of(const broken::Kernel& kernel, cudaError_t& error) {
  std::vector<simt::Report> reports;
  auto before = simt::set_report_handler([&](const simt::Report& r) { reports.push_back(r); });
  error = kernel.run();
  simt::set_report_handler(before);
  return reports;
}

}  // namespace

TEST_SUITE_BEGIN("simt.defects");

TEST_CASE("every kind of mistake is found and placed") {
  for (const broken::Kernel& kernel : broken::kernels()) {
    const auto entry = kExpected.find(kernel.name);
    if (entry == kExpected.end()) continue;
    const Expected& expected = entry->second;
    CAPTURE(entry->first);
    if (expected.found == Expected::CountingOnlyHarmful && !kCounting) continue;
    // A copy that is done at once needs no wait.
    const bool nothing_pending =
        expected.defect == Defect::PendingCopy && simt::options().eager_copies;
    cudaError_t error = cudaSuccess;
    const auto reports = reports_of(kernel, error);
    if ((expected.found == Expected::CountingOnly && !kCounting) || nothing_pending) {
      CHECK(error == cudaSuccess);
      cudaDeviceReset();
      continue;
    }
    // The failure stays until the device is reset.
    CHECK(error == expected.error);
    CHECK(cudaGetLastError() == expected.error);
    CHECK(cudaDeviceSynchronize() == expected.error);
    REQUIRE(cudaDeviceReset() == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);

    REQUIRE(!reports.empty());
    for (const auto& r : reports) MESSAGE(simt::to_string(r));
    const auto found = std::ranges::find(reports, expected.defect, &simt::Report::defect);
    REQUIRE(found != reports.end());
    CHECK(found->kernel == std::string("broken::") + kernel.name);
    if (expected.place == Expected::ExactIfCounting && !kCounting) continue;
    const std::vector<int> lines = marked_lines(kernel.name);
    if (expected.defect == Defect::StackOverflow) {
      CHECK(found->file.ends_with("broken.cu"));
      continue;
    }
    REQUIRE(!lines.empty());
    CHECK(found->file.ends_with("broken.cu"));
    CHECK(std::ranges::count(lines, found->line) == 1);
  }
}

TEST_CASE("the report names the block and the thread") {
  const auto run = [](const char* name) {
    const auto kernel = std::ranges::find_if(
        broken::kernels(), [&](const broken::Kernel& k) { return std::string(k.name) == name; });
    cudaError_t error = cudaSuccess;
    const auto reports = reports_of(*kernel, error);
    cudaDeviceReset();
    REQUIRE(reports.size() == 1);
    return reports[0];
  };
  const simt::Report trap = run("trap");
  CHECK(trap.block == simt::Index3{2, 0, 0});
  CHECK(trap.thread == simt::Index3{3, 0, 0});
  const simt::Report far = run("far_beyond");
  CHECK(far.block == simt::Index3{0, 0, 0});
  CHECK(far.thread == simt::Index3{7, 0, 0});
  CHECK(far.message.find("write") != std::string::npos);
#if SIMT_COUNTING
  const simt::Report beyond = run("global_write_beyond");
  CHECK(beyond.block == simt::Index3{1, 0, 0});
  CHECK(beyond.thread == simt::Index3{0, 0, 0});
  CHECK(beyond.message == "write of 4 bytes, 0 bytes behind an allocation of 256 bytes");
  const simt::Report uninitialised = run("uninitialised");
  CHECK(uninitialised.thread == simt::Index3{31, 0, 0});
#endif
}

TEST_CASE("a right kernel with races that are none is left alone") {
  for (const broken::Kernel& kernel : broken::kernels()) {
    if (std::string(kernel.name) != "fine") continue;
    cudaError_t error = cudaSuccess;
    CHECK(reports_of(kernel, error).empty());
    CHECK(error == cudaSuccess);
  }
}

TEST_CASE("the list of expectations and the list of kernels agree") {
  std::size_t known = 0;
  for (const broken::Kernel& kernel : broken::kernels()) known += kExpected.contains(kernel.name);
  CHECK(known == kExpected.size());
  CHECK(known + 1 == broken::kernels().size());  // and the right one
}

TEST_SUITE_END();
