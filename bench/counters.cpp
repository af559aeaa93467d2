#include "bench/counters.h"

#include "kernels/simt/simt.h"

#if !ETUDE_BENCH_SIMT_PROFILE
namespace etude::bench {
bool can_count() { return false; }
std::optional<Counters> count(const Problem&) { return {}; }
}  // namespace etude::bench
#else

namespace etude::bench {
namespace {

using ::simt::Access;
using ::simt::Space;

constexpr Device device{DeviceKind::simt};
constexpr double kMostFlops = 1.2e8, kMostBytes = 3e7;  // about a second of counting

Counters sum(const std::vector< ::simt::KernelProfile>& profiles) {
  Counters result;
  double most = -1;
  for (const ::simt::KernelProfile& p : profiles) {
    result.bytes += 32 * static_cast<double>(p.unique_load_sectors + p.unique_store_sectors);
    const ::simt::LineCounts global = p.total(Space::Global, Access::Load),
                             load = p.total(Space::Shared, Access::Load),
                             store = p.total(Space::Shared, Access::Store);
    result.wavefronts += static_cast<double>(load.wavefronts + store.wavefronts);
    result.ideal_wavefronts += static_cast<double>(load.ideal_wavefronts + store.ideal_wavefronts);
    const double accesses =
        1000 * static_cast<double>(load.requests) + static_cast<double>(global.requests);
    if (accesses <= most) continue;
    most = accesses;
    result.kernel = p.kernel;
    result.sectors = static_cast<double>(global.sectors);
    result.ideal_sectors = static_cast<double>(global.bytes) / 32;
    result.blocks = static_cast<double>(p.blocks);
    result.lanes = p.block_executions > 0 ? static_cast<double>(p.block_lanes) /
                                                static_cast<double>(p.block_executions)
                                          : 32;
  }
  for (const std::string_view part : {"etude::simt_counting::", "(anonymous namespace)::"})
    for (std::size_t at; (at = result.kernel.find(part)) != std::string::npos;)
      result.kernel.erase(at, part.size());
  return result;
}

bool small_enough(const Problem& p) { return p.flops <= kMostFlops && p.bytes <= kMostBytes; }

// The problem on fewer images, or itself.
Problem shrunk(const Problem& problem) {
  if (small_enough(problem)) return problem;
  const char* const name = problem.values.contains("N") ? "N" : "size";
  if (!problem.values.contains(name)) return problem;
  const double excess = std::max(problem.flops / kMostFlops, problem.bytes / kMostBytes);
  const auto n = static_cast<Index>(static_cast<double>(problem.at(name)) / excess);
  std::vector<std::string> settings;
  for (const auto& [key, value] : problem.values)
    settings.push_back(key + "=" + (key == name ? std::to_string(std::max<Index>(n, 1)) : value));
  return parse_problems(problem.kernel, settings).front();
}

}  // namespace

bool can_count() { return true; }

std::optional<Counters> count(const Problem& problem) {
  if (!problem.compares()) return {};
  const Problem small = shrunk(problem);
  if (!small_enough(small)) return {};
  use_simt_table(simt_counting::table());
  const std::unique_ptr<Runner> runner = make_etude_runner(small, make_inputs(small), 1, device);
  ::simt::profile_start();
  runner->call(0);
  synchronize(device);
  Counters counters = sum(::simt::profile_stop());
  counters.scale = problem.bytes / small.bytes;
  if (small.settings() != problem.settings()) {
    counters.scale = static_cast<double>(problem.output.size() + problem.inputs[0].size()) /
                     static_cast<double>(small.output.size() + small.inputs[0].size());
    for (double* value : {&counters.bytes, &counters.sectors, &counters.ideal_sectors,
                          &counters.wavefronts, &counters.ideal_wavefronts, &counters.blocks})
      *value *= counters.scale;
  }
  return counters;
}

}  // namespace etude::bench
#endif
