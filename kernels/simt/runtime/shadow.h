// Shared memory's shadow: for each byte, who wrote and who read it last, and what orders them.
//
// Two accesses are ordered if a block barrier lies between them, or if both are of one warp and a
// chain of __syncwarp calls leads from the first to the second. Within a warp that is tracked with
// vector clocks, as race detectors do for threads (FastTrack). Shuffles and votes order nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

class Shadow {
 public:
  explicit Shadow(Worker& worker) : worker_(worker) {}
  ~Shadow();

  void begin_launch(const Launch& launch);
  void begin_block();
  void block_barrier();
  void lanes_synced(unsigned warp, std::uint32_t lanes);

  enum class Region { Static, Dynamic };
  // The running thread's access; `at` counts from the region's beginning.
  void access(Region region, std::size_t at, const void* address, std::size_t bytes, Access access,
              const void* pc);
  void copy_issued(Region region, std::size_t at, const void* address, std::size_t bytes,
                   const void* pc);
  void copy_done(Region region, std::size_t at, std::size_t bytes);
  // To be called before anything else happens after a write.
  void settle();

 private:
  struct Cell {
    std::uint32_t write_epoch, write_clock;
    std::uint32_t read_epoch, read_clock;
    std::uint32_t read_lanes;         // of read_warp, at read_clock
    std::uint32_t write_pc, read_pc;  // offsets in the kernel's module
    std::uint32_t pending;            // the epoch in which a cp.async to here was issued
    std::uint16_t writer, read_warp;
    std::uint16_t other_reader;  // a thread of another warp, in read_epoch, if other_read
    bool other_read, atomic;
  };
  struct Cells {
    Cell* cells = nullptr;
    std::size_t count = 0;
    void resize(std::size_t wanted);
    void free();
  };

  Cell* cells(Region region, std::size_t at) {
    return (region == Region::Static ? static_ : dynamic_).cells + at;
  }
  bool ordered_after(unsigned earlier, std::uint32_t epoch, std::uint32_t clock) const;
  void check_pending(const Cell& cell, const void* pc, const char* what);
  bool check_readers(const Cell& cell, const void* pc, const char* what);
  void read(Cell& cell, const void* pc);
  // Notes it unless the same was noted before; place() is " at file:line" of the other access.
  void tell(Defect defect, unsigned thread, const void* pc, std::uint32_t other_pc,
            const std::string& before, const std::string& after);
  std::uint32_t offset(const void* pc) const;
  std::string place(std::uint32_t offset) const;

  Worker& worker_;
  std::uintptr_t bias_ = 0;
  Cells static_, dynamic_;
  std::uint32_t epoch_ = 1, first_epoch_ = 1;  // first_epoch_: of this block
  std::vector<std::uint32_t> clock_;           // by thread
  std::vector<std::uint32_t> seen_;            // by thread and lane: that lane's clock, as known
  // A write over another thread's unordered one is a race if it changes the value.
  struct {
    const void* address = nullptr;
    std::size_t bytes = 0;
    unsigned char old[16];
    const void* pc = nullptr;
    unsigned thread = 0;
    unsigned other = 0;
    std::uint32_t other_pc = 0;
  } doubtful_;
  std::set<std::tuple<Defect, const void*, std::uint32_t>> told_;
};

}  // namespace simt::detail
