// What the warps of one host thread's blocks cost.
//
// The threads of a warp run one after the other; each leaves a list of what it touched, in order.
// Where the lanes meet (a barrier, a shuffle, the end), the lists are replayed together: the lanes
// whose next event has the smallest code address go first, as one request. That follows the usual
// layout of code, in which the places where lanes come together again lie behind those where they
// part.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

// A set of 32-byte sectors, 64 to a word.
class SectorSet {
 public:
  void insert(std::uint64_t sector) {
    const std::uint64_t chunk = sector / 64;
    if (chunk != last_chunk_ || !last_) {
      last_ = &words_[chunk];  // references into an unordered_map stay valid
      last_chunk_ = chunk;
    }
    *last_ |= std::uint64_t{1} << sector % 64;
  }
  void insert(const SectorSet& other) {
    for (const auto& [chunk, bits] : other.words_) words_[chunk] |= bits;
  }
  std::uint64_t size() const;

 private:
  std::unordered_map<std::uint64_t, std::uint64_t> words_;
  std::uint64_t last_chunk_ = 0;
  std::uint64_t* last_ = nullptr;
};

enum class EventKind : std::uint8_t {
  GlobalLoad,
  GlobalStore,
  GlobalAtomic,
  SharedLoad,
  SharedStore,
  SharedAtomic,
  Block,  // a basic block begins
};

// Sums of one instruction (or of one basic block's beginning).
struct Counts {
  std::uint64_t requests = 0, lanes = 0, bytes = 0;
  std::uint64_t sectors = 0, wavefronts = 0, ideal_wavefronts = 0, divergent = 0;
  SectorSet unique;
};
// By instruction and kind: a cp.async loads and stores at once.
struct CountsKey {
  std::uintptr_t pc;
  EventKind kind;
  auto operator<=>(const CountsKey&) const = default;
};
struct CountsHash {
  std::size_t operator()(CountsKey k) const {
    return (k.pc << 3 | static_cast<std::size_t>(k.kind)) * 0x9E3779B97F4A7C15u;
  }
};
using CountsByPc = std::unordered_map<CountsKey, Counts, CountsHash>;

class Counter {
 public:
  explicit Counter(Worker& worker) : worker_(worker) {}

  void begin_launch(const Launch& launch);
  void begin_block();
  void add(EventKind kind, std::uintptr_t address, std::size_t bytes, const void* pc);
  void lanes_met(unsigned warp, std::uint32_t lanes);
  void thread_ended(unsigned thread);
  void block_barrier();

  CountsByPc take() { return std::move(counts_); }

 private:
  struct Event {
    std::uint64_t key;  // code address, bytes, kind: 48, 8 and 8 bits
    std::uintptr_t address;
    std::uint64_t pc() const { return key >> 16; }
    std::size_t bytes() const { return key >> 8 & 0xFF; }
    EventKind kind() const { return static_cast<EventKind>(key & 0xFF); }
  };
  struct Lane {
    std::vector<Event> events;
    std::size_t next = 0;
  };

  void replay(unsigned warp, std::uint32_t lanes, std::uint32_t unfinished);
  void request(const Event* const* events, std::uint32_t lanes);
  void make_room(unsigned thread);
  bool next_blocks_differ(const Lane* lanes, std::uint32_t active) const;

  Worker& worker_;
  std::vector<Lane> lanes_;           // by thread
  std::vector<std::uint32_t> ended_;  // by warp
  unsigned threads_ = 0;
  CountsByPc counts_;
};

}  // namespace simt::detail
