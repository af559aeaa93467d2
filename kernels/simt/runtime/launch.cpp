#include "kernels/simt/runtime/launch.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace simt::detail {

namespace {

// SplitMix64: a fixed function, so that a seed means the same order everywhere.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Findings of one kind at one place say the same thing: this many are enough.
constexpr std::size_t kMostFindings = 16;

}  // namespace

std::uint64_t Launch::block_at(std::uint64_t position) const {
  switch (options.order) {
    case Order::Forward:
      return position;
    case Order::Reverse:
      return blocks - 1 - position;
    case Order::Random:
      break;
  }
  // An affine permutation needs no table: position * a + b mod blocks, a coprime to blocks.
  std::uint64_t a = mix(options.seed) % blocks;
  while (std::gcd(a, blocks) != 1) a = (a + 1) % blocks;
  const std::uint64_t b = mix(options.seed + 1) % blocks;
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((Wide{position} * a + b) % blocks);
}

std::vector<std::uint16_t> Launch::thread_order(std::uint64_t block_index) const {
  std::vector<std::uint16_t> order(threads);
  std::iota(order.begin(), order.end(), std::uint16_t{0});
  if (options.order == Order::Reverse) std::ranges::reverse(order);
  if (options.order == Order::Random) {
    std::uint64_t state = mix(options.seed ^ mix(block_index));
    for (std::size_t i = order.size(); i > 1; --i) {
      state = mix(state);
      std::swap(order[i - 1], order[state % i]);
    }
  }
  return order;
}

void Launch::add(Finding finding, bool ends_block) {
  if (ends_block) {
    std::uint64_t known = stop.load();
    while (finding.position < known && !stop.compare_exchange_weak(known, finding.position)) {
    }
  }
  const std::lock_guard lock(mutex_);
  for (Finding& f : findings_) {
    const bool same = f.report.defect == finding.report.defect && f.pc == finding.pc &&
                      f.report.file == finding.report.file && f.report.line == finding.report.line;
    if (!same) continue;
    if (finding.position < f.position) f = std::move(finding);
    return;
  }
  findings_.push_back(std::move(finding));
}

std::vector<Finding> Launch::take_findings() {
  const std::lock_guard lock(mutex_);
  std::erase_if(findings_, [&](const Finding& f) { return f.position > stop.load(); });
  std::ranges::sort(findings_, {}, [](const Finding& f) {
    return std::tuple(f.position, f.report.thread.z, f.report.thread.y, f.report.thread.x);
  });
  if (findings_.size() > kMostFindings) findings_.resize(kMostFindings);
  return std::move(findings_);
}

}  // namespace simt::detail
