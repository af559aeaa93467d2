// Device memory: one reserved range of addresses, so that an address tells at once whether it is a
// device's, and whose.
//
//   ... | inaccessible page | red zone | the allocation | red zone | inaccessible page | ...
//
// An allocation starts at a multiple of 256 bytes, as cudaMalloc promises, and ends as close to an
// inaccessible page as that allows: an access beyond it faults at once, or hits a red zone of less
// than 256 bytes, whose bytes are looked at after every kernel. Freed memory is inaccessible, and
// its addresses are used again only when all others have been.
//
// With Options::guard_host an allocation is inaccessible between the lives of DeviceAccess objects.
// While one lives, the first access of a kernel faults and opens the allocation; a copy opens what
// it needs. So the cost is that of what is touched, not of all there is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace simt::detail {

struct Allocation {
  std::uintptr_t begin, end;          // what the program asked for
  std::uintptr_t region, region_end;  // the pages
  bool live;
  bool managed;  // the host may touch it, too
  bool closed;   // inaccessible for the moment
};

class Arena {
 public:
  static Arena& get();

  // Null if the device's memory is used up. Zero bytes get an address that may not be touched.
  void* allocate(std::size_t bytes, bool poison, bool managed = false);
  enum class Freed { Ok, Unknown, Overwritten };
  Freed release(void* pointer);
  void release_all();

  std::size_t total_bytes() const { return total_; }
  std::size_t used_bytes() const;

  bool contains(std::uintptr_t address) const { return address - base_ < bytes_; }
  // The allocation whose pages hold the address, live or freed last; null if there never was one.
  const Allocation* find(std::uintptr_t address) const;
  // True if all bytes lie in a live allocation.
  bool valid(std::uintptr_t address, std::size_t bytes) const {
    const Allocation* a = find(address);
    return a && a->live && address >= a->begin && bytes <= a->end - a->begin &&
           address <= a->end - bytes;
  }
  // "12 bytes behind an allocation of 400 bytes at 0x..."
  std::string describe(std::uintptr_t address) const;

  // The first red zone that was written to, described, or "". Mends it, so that it is told once.
  std::string check_red_zones();

  // Calls of enter() and leave() pair up; any thread may make them (DeviceAccess does). The last
  // leave() closes what was opened since.
  void enter();
  void leave(bool guard);
  // Makes the live allocation that holds the address accessible; false if there is none.
  bool open(std::uintptr_t address);

 private:
  Arena();
  std::uintptr_t take_range(std::size_t bytes);
  void free_pages(Allocation& allocation);
  bool set_closed(Allocation& allocation, bool closed);
  std::uintptr_t overwritten(const Allocation& allocation) const;

  std::uintptr_t base_ = 0;
  std::size_t bytes_ = 0, total_ = 0, used_ = 0;
  std::uintptr_t next_ = 0;              // never handed out from here on
  std::uint32_t* page_owner_ = nullptr;  // by page: index into allocations_
  Allocation* allocations_ = nullptr;    // index 0 is unused
  std::uint32_t count_ = 1;
  std::map<std::uintptr_t, std::uintptr_t> free_ranges_;  // begin -> end
  std::map<std::uintptr_t, std::uint32_t> live_;          // begin of allocation -> index
  int inside_ = 0;
  bool guarding_ = false;
  std::vector<std::uint32_t> opened_;  // allocations, since the first enter()
  mutable std::mutex mutex_;
};

// While one lives, device memory may be touched: what `pointers` (of a copy, say) point to at once,
// all other when a kernel asks for it.
class DeviceAccess {
 public:
  DeviceAccess(std::initializer_list<const void*> pointers = {});
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

// NaN as float, double, half, bfloat16 and tf32, and as an integer an index far out of bounds.
inline constexpr std::uint16_t kPoison = 0x7FFE;
void fill_poison(void* to, std::size_t bytes);

}  // namespace simt::detail
