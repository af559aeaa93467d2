#include "kernels/simt/runtime/profile.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <tuple>

#include "kernels/simt/runtime/lines.h"

namespace simt {

namespace detail {
namespace {

struct KernelData {
  KernelProfile sums;
  std::map<std::tuple<std::string, int, Space, Access>, LineCounts> lines;
  std::map<std::pair<std::string, int>, BranchCounts> branches;
};

struct Collector {
  std::mutex mutex;
  std::atomic<bool> on{false};
  CountsByPc launch;  // of the one that is running
  std::map<const void*, KernelData> kernels;
};
Collector& collector() {
  static auto* const instance = new Collector;
  return *instance;
}

bool is_load(EventKind kind) { return kind == EventKind::GlobalLoad; }

Space space_of(EventKind kind) {
  return kind < EventKind::SharedLoad ? Space::Global : Space::Shared;
}
Access access_of(EventKind kind) {
  static constexpr Access kOf[] = {Access::Load, Access::Store, Access::Atomic};
  return kOf[static_cast<int>(kind) % 3];
}

void add(LineCounts& line, const Counts& c) {
  line.requests += c.requests;
  line.lanes += c.lanes;
  line.bytes += c.bytes;
  line.sectors += c.sectors;
  line.wavefronts += c.wavefronts;
  line.ideal_wavefronts += c.ideal_wavefronts;
}

}  // namespace

bool profiling() { return collector().on.load(std::memory_order_relaxed); }

void add_counts(CountsByPc&& counts) {
  Collector& c = collector();
  const std::lock_guard lock(c.mutex);
  for (auto& [key, from] : counts) {
    Counts& to = c.launch[key];
    to.requests += from.requests;
    to.lanes += from.lanes;
    to.bytes += from.bytes;
    to.sectors += from.sectors;
    to.wavefronts += from.wavefronts;
    to.ideal_wavefronts += from.ideal_wavefronts;
    to.divergent += from.divergent;
    to.unique.insert(from.unique);
  }
}

void close_launch(const Launch& launch) {
  if (!profiling()) return;
  Collector& c = collector();
  const std::lock_guard lock(c.mutex);
  KernelData& kernel = c.kernels[launch.kernel];
  kernel.sums.kernel = launch.name;
  kernel.sums.launches += 1;
  kernel.sums.blocks += launch.blocks;
  kernel.sums.threads += launch.blocks * launch.threads;

  std::vector<const void*> pcs;
  for (const auto& [key, counts] : c.launch) pcs.push_back(reinterpret_cast<const void*>(key.pc));
  const std::vector<Line> lines = lines_of(pcs);
  std::map<std::tuple<std::string, int, Space, Access>, SectorSet> unique;
  SectorSet loaded, stored;
  std::size_t next = 0;
  for (const auto& [key, counts] : c.launch) {
    const Line& line = lines[next++];
    if (key.kind == EventKind::Block) {
      if (line.in_shim) continue;  // a device has instructions there instead
      kernel.sums.block_executions += counts.requests;
      kernel.sums.block_lanes += counts.lanes;
      if (counts.divergent == 0) continue;
      BranchCounts& branch = kernel.branches[{line.file, line.line}];
      branch.executions += counts.requests;
      branch.lanes += counts.lanes;
      branch.divergent += counts.divergent;
      continue;
    }
    const auto where = std::tuple(line.file, line.line, space_of(key.kind), access_of(key.kind));
    add(kernel.lines[where], counts);
    if (space_of(key.kind) == Space::Shared) continue;
    unique[where].insert(counts.unique);
    // An atomic both reads and writes.
    if (is_load(key.kind) || access_of(key.kind) == Access::Atomic) loaded.insert(counts.unique);
    if (!is_load(key.kind)) stored.insert(counts.unique);
  }
  for (const auto& [where, sectors] : unique) kernel.lines[where].unique_sectors += sectors.size();
  kernel.sums.unique_load_sectors += loaded.size();
  kernel.sums.unique_store_sectors += stored.size();
  c.launch.clear();
}

}  // namespace detail

void profile_start() {
  auto& c = detail::collector();
  const std::lock_guard lock(c.mutex);
  c.kernels.clear();
  c.launch.clear();
  c.on = true;
}

std::vector<KernelProfile> profile_stop() {
  auto& c = detail::collector();
  const std::lock_guard lock(c.mutex);
  c.on = false;
  std::vector<KernelProfile> result;
  for (auto& [function, data] : c.kernels) {
    KernelProfile profile = std::move(data.sums);
    for (auto& [where, counts] : data.lines) {
      std::tie(counts.file, counts.line, counts.space, counts.access) = where;
      profile.lines.push_back(std::move(counts));
    }
    for (auto& [where, counts] : data.branches) {
      std::tie(counts.file, counts.line) = where;
      profile.branches.push_back(std::move(counts));
    }
    result.push_back(std::move(profile));
  }
  c.kernels.clear();
  std::ranges::sort(result, {}, &KernelProfile::kernel);
  return result;
}

LineCounts KernelProfile::total(Space space, Access access) const {
  LineCounts sum;
  sum.space = space;
  sum.access = access;
  for (const LineCounts& line : lines) {
    if (line.space != space || line.access != access) continue;
    sum.requests += line.requests;
    sum.lanes += line.lanes;
    sum.bytes += line.bytes;
    sum.sectors += line.sectors;
    sum.wavefronts += line.wavefronts;
    sum.ideal_wavefronts += line.ideal_wavefronts;
    sum.unique_sectors += line.unique_sectors;
  }
  return sum;
}

namespace {

double ratio(std::uint64_t a, std::uint64_t b) {
  return b ? static_cast<double>(a) / static_cast<double>(b) : 0.0;
}

std::string base_name(const std::string& path) {
  return path.empty() ? "?" : path.substr(path.rfind('/') + 1);
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

const char* name(Space space, Access access) {
  static constexpr const char* kNames[2][3] = {{"global load", "global store", "global atomic"},
                                               {"shared load", "shared store", "shared atomic"}};
  return kNames[static_cast<int>(space)][static_cast<int>(access)];
}

}  // namespace

std::string to_string(const KernelProfile& p) {
  using Long = unsigned long long;
  std::string text =
      format("%s: %llu launches, %llu blocks, %llu threads; %.2f lanes active on average\n",
             p.kernel.c_str(), static_cast<Long>(p.launches), static_cast<Long>(p.blocks),
             static_cast<Long>(p.threads), ratio(p.block_lanes, p.block_executions));
  text += format("  distinct sectors: %.3f MB read, %.3f MB written\n",
                 static_cast<double>(p.unique_load_sectors) * 32e-6,
                 static_cast<double>(p.unique_store_sectors) * 32e-6);
  text += format("  %-24s %-13s %10s %6s %12s %12s %12s\n", "line", "access", "requests", "lanes",
                 "sectors/req", "waves/req", "ideal");
  for (const LineCounts& l : p.lines) {
    const std::string place = base_name(l.file) + ":" + std::to_string(l.line);
    const bool global = l.space == Space::Global;
    const std::string sectors = global ? format("%.2f", ratio(l.sectors, l.requests)) : "";
    const std::string waves = global ? "" : format("%.2f", ratio(l.wavefronts, l.requests));
    // For global memory: as many sectors as the bytes asked for would fill.
    const std::string ideal = format(
        "%.2f", global ? ratio(l.bytes, 32 * l.requests) : ratio(l.ideal_wavefronts, l.requests));
    text += format("  %-24s %-13s %10llu %6.2f %12s %12s %12s\n", place.c_str(),
                   name(l.space, l.access), static_cast<Long>(l.requests),
                   ratio(l.lanes, l.requests), sectors.c_str(), waves.c_str(), ideal.c_str());
  }
  for (const BranchCounts& b : p.branches)
    text += format("  %-24s %-13s %10llu %6.2f   lanes part in %.1f %%\n",
                   (base_name(b.file) + ":" + std::to_string(b.line)).c_str(), "branch",
                   static_cast<Long>(b.executions), ratio(b.lanes, b.executions),
                   100 * ratio(b.divergent, b.executions));
  return text;
}

}  // namespace simt
