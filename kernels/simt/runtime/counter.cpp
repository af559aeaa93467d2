#include "kernels/simt/runtime/counter.h"

#include <algorithm>
#include <bit>

namespace simt::detail {

namespace {

constexpr unsigned kBanks = 32;
// A lane whose list is this long lets the other lanes of its warp catch up.
constexpr std::size_t kLongList = 1u << 14;

std::uint32_t lanes_of_warp(unsigned threads, unsigned warp) {
  const unsigned lanes = std::min(kWarp, threads - warp * kWarp);
  return lanes == kWarp ? ~0u : (1u << lanes) - 1;
}

// Passes over the banks that one request of shared memory takes. Lanes with 8 (16) bytes are
// served by half (quarter) warps; in each part, the bank with the most different words decides.
// Lanes that read one word share it; atomics on one word come one after the other.
void count_wavefronts(const std::uintptr_t* address, std::uint32_t lanes, std::size_t bytes,
                      bool atomic, Counts& counts) {
  const unsigned words = bytes > 4 ? static_cast<unsigned>(bytes / 4) : 1;
  const unsigned part = kWarp / words;
  for (unsigned begin = 0; begin < kWarp; begin += part) {
    const std::uint32_t mask = part == kWarp ? ~0u : ((1u << part) - 1) << begin;
    if (!(lanes & mask)) continue;
    std::uintptr_t seen[kBanks][kWarp];
    unsigned different[kBanks] = {};
    for (std::uint32_t rest = lanes & mask; rest; rest &= rest - 1) {
      const std::uintptr_t first = address[__builtin_ctz(rest)] / 4;
      for (std::uintptr_t word = first; word < first + words; ++word) {
        const unsigned bank = word % kBanks;
        const auto* end = seen[bank] + different[bank];
        if (atomic || std::find(static_cast<const std::uintptr_t*>(seen[bank]), end, word) == end)
          seen[bank][different[bank]++] = word;
      }
    }
    counts.wavefronts += *std::ranges::max_element(different);
    counts.ideal_wavefronts += 1;
  }
}

void count_sectors(const std::uintptr_t* address, std::uint32_t lanes, std::size_t bytes,
                   Counts& counts) {
  std::uintptr_t seen[2 * kWarp];
  unsigned count = 0;
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
    const std::uintptr_t a = address[__builtin_ctz(rest)];
    for (std::uintptr_t sector = a / 32; sector <= (a + bytes - 1) / 32; ++sector) {
      if (count > 0 && seen[count - 1] == sector) continue;
      if (std::find(seen, seen + count, sector) != seen + count) continue;
      seen[count++] = sector;
      counts.unique.insert(sector);
    }
  }
  counts.sectors += count;
}

}  // namespace

std::uint64_t SectorSet::size() const {
  std::uint64_t sum = 0;
  for (const auto& [chunk, bits] : words_) sum += static_cast<unsigned>(std::popcount(bits));
  return sum;
}

void Counter::begin_launch(const Launch& launch) {
  threads_ = launch.threads;
  if (lanes_.size() < threads_) lanes_.resize(threads_);
  ended_.resize((threads_ + kWarp - 1) / kWarp);
}

void Counter::begin_block() {
  for (Lane& lane : lanes_) {  // a block that was given up leaves some
    lane.events.clear();
    lane.next = 0;
  }
  std::ranges::fill(ended_, 0u);
}

void Counter::add(EventKind kind, std::uintptr_t address, std::size_t bytes, const void* pc) {
  const unsigned thread = worker_.thread();
  Lane& lane = lanes_[thread];
  lane.events.push_back({static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pc)) << 16 |
                             std::min<std::uint64_t>(bytes, 255) << 8 |
                             static_cast<std::uint64_t>(kind),
                         address});
  if (lane.events.size() >= kLongList) make_room(thread);
}

// Waits until every lane of the warp that can still run has a long list, then replays what can be.
void Counter::make_room(unsigned thread) {
  const unsigned warp = thread / kWarp;
  const std::uint32_t exist = lanes_of_warp(threads_, warp);
  while (lanes_[thread].events.size() >= kLongList) {
    std::uint32_t paused = 0, behind = 0;
    for (std::uint32_t rest = exist & ~ended_[warp]; rest; rest &= rest - 1) {
      const auto lane = static_cast<unsigned>(__builtin_ctz(rest));
      const unsigned t = warp * kWarp + lane;
      if (lanes_[t].events.size() >= kLongList) {
        paused |= 1u << lane;
      } else if (worker_.thread(t).waits == Waits::No) {
        behind |= 1u << lane;
      }
    }
    if (behind) {
      worker_.yield();
    } else {
      replay(warp, exist, paused);
    }
  }
}

void Counter::lanes_met(unsigned warp, std::uint32_t lanes) { replay(warp, lanes, 0); }

void Counter::thread_ended(unsigned thread) {
  const unsigned warp = thread / kWarp;
  ended_[warp] |= 1u << thread % kWarp;
  const std::uint32_t exist = lanes_of_warp(threads_, warp);
  if (ended_[warp] == exist) replay(warp, exist, 0);
}

void Counter::block_barrier() {
  for (unsigned w = 0; w * kWarp < threads_; ++w) replay(w, lanes_of_warp(threads_, w), 0);
}

// The lists of `lanes`; stops where one of the `unfinished` is at the end of what it has so far.
void Counter::replay(unsigned warp, std::uint32_t lanes, std::uint32_t unfinished) {
  Lane* const base = &lanes_[std::size_t{warp} * kWarp];
  std::uint32_t active = 0;
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
    const auto l = static_cast<unsigned>(__builtin_ctz(rest));
    if (base[l].next < base[l].events.size()) active |= 1u << l;
  }
  while (active) {
    std::uint64_t smallest = ~std::uint64_t{0};
    for (std::uint32_t rest = active; rest; rest &= rest - 1) {
      const Lane& lane = base[__builtin_ctz(rest)];
      smallest = std::min(smallest, lane.events[lane.next].key);
    }
    const Event* events[kWarp];
    std::uint32_t together = 0;
    bool stop = false;
    for (std::uint32_t rest = active; rest; rest &= rest - 1) {
      const auto l = static_cast<unsigned>(__builtin_ctz(rest));
      Lane& lane = base[l];
      if (lane.events[lane.next].key != smallest) continue;
      events[l] = &lane.events[lane.next++];
      together |= 1u << l;
      if (lane.next < lane.events.size()) continue;
      active &= ~(1u << l);
      if (unfinished >> l & 1) stop = true;
    }
    if (events[__builtin_ctz(together)]->kind() == EventKind::Block) {
      Counts& counts = counts_[{smallest >> 16, EventKind::Block}];
      ++counts.requests;
      counts.lanes += static_cast<unsigned>(std::popcount(together));
      counts.divergent += next_blocks_differ(base, together);
    } else {
      request(events, together);
    }
    if (stop) break;
  }
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
    Lane& lane = base[__builtin_ctz(rest)];
    lane.events.erase(lane.events.begin(),
                      lane.events.begin() + static_cast<std::ptrdiff_t>(lane.next));
    lane.next = 0;
  }
}

// Whether lanes that ran a basic block together go to different ones next.
bool Counter::next_blocks_differ(const Lane* lanes, std::uint32_t active) const {
  std::uint64_t first = 0;
  bool have_first = false;
  for (std::uint32_t rest = active; rest; rest &= rest - 1) {
    const Lane& lane = lanes[__builtin_ctz(rest)];
    std::uint64_t block = 0;  // none: the lane comes to where all meet
    for (std::size_t i = lane.next; i < lane.events.size(); ++i)
      if (lane.events[i].kind() == EventKind::Block) {
        block = lane.events[i].pc();
        break;
      }
    if (have_first && block != first) return true;
    first = block;
    have_first = true;
  }
  return false;
}

void Counter::request(const Event* const* events, std::uint32_t lanes) {
  std::uintptr_t address[kWarp] = {};
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
    const auto l = static_cast<unsigned>(__builtin_ctz(rest));
    address[l] = events[l]->address;
  }
  const Event& any = *events[__builtin_ctz(lanes)];
  Counts& counts = counts_[{any.pc(), any.kind()}];
  const auto active = static_cast<unsigned>(std::popcount(lanes));
  ++counts.requests;
  counts.lanes += active;
  counts.bytes += active * any.bytes();
  if (any.kind() >= EventKind::SharedLoad) {
    count_wavefronts(address, lanes, any.bytes(), any.kind() == EventKind::SharedAtomic, counts);
  } else {
    count_sectors(address, lanes, any.bytes(), counts);
  }
}

}  // namespace simt::detail
