#include "engine/storage.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace etude {

// Keeps freed blocks by size and gives out the smallest that is large enough. Three rules bound
// what it wastes:
//  - a block of which more than a quarter would be left over is cut, and joined again when both
//    parts are free: layers of one size then live in the memory that those of another have left;
//  - only for requests of a megabyte and more: a small block that lives long would keep a large one
//    from being used whole. Smaller requests find a block of about their size or a new one;
//  - on a miss, whole cached blocks go back to the system, largest first, until everything held is
//    within 5/4 of the most that was ever in use at once.
class CachingAllocator {
 public:
  CachingAllocator(Device device, bool on_host)
      : device_(device),
        on_host_(on_host),
        place_(on_host ? "the host, for device " + to_string(device)
                       : "device " + to_string(device)) {}

  void* allocate(std::size_t bytes, std::size_t& block_bytes) {
    constexpr std::size_t granule = 256;
    const std::size_t wanted = (std::max<std::size_t>(bytes, 1) + granule - 1) / granule * granule;
    const std::lock_guard lock(mutex_);
    void* block = nullptr;
    if (guarded_) {
      block_bytes = wanted;
      block = allocate_fenced(bytes);
    } else if (const auto hit = free_.lower_bound({wanted, nullptr});
               hit != free_.end() && (fits(hit->first, wanted) || wanted >= least_cut)) {
      block = hit->second;
      block_bytes = use_cached(hit->second, wanted);
    } else {
      block_bytes = wanted;
      const std::size_t most = std::max(stats_.peak, high_water_);
      release_until(stats_.current + wanted, most + most / 4);
      block = take(wanted);
      if (!block) {
        release_until(0, 0);
        block = take(wanted);
      }
      check(block != nullptr, "memory: {} cannot give {} bytes ({} in use); try a smaller batch",
            place_, bytes, stats_.current);
      blocks_[static_cast<std::byte*>(block)] = {wanted, true, false};
    }
    stats_.current += block_bytes;
    stats_.peak = std::max(stats_.peak, stats_.current);
    high_water_ = std::max(high_water_, stats_.current);
    return block;
  }

  void free(void* block, std::size_t block_bytes) {
    const std::lock_guard lock(mutex_);
    stats_.current -= block_bytes;
    if (const auto fenced = fenced_.find(block); fenced != fenced_.end()) {
      free_fenced(block, fenced->second);
      fenced_.erase(fenced);
      return;
    }
    stats_.cached += block_bytes;
    auto at = blocks_.find(static_cast<std::byte*>(block));
    if (const auto next = std::next(at); next != blocks_.end() && joins(next)) {
      free_.erase({next->second.bytes, next->first});
      at->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    if (!at->second.first && std::prev(at)->second.free) {
      const auto before = std::prev(at);
      free_.erase({before->second.bytes, before->first});
      before->second.bytes += at->second.bytes;
      blocks_.erase(at);
      at = before;
    }
    at->second.free = true;
    free_.emplace(at->second.bytes, at->first);
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.current;
  }

  void release_all() {
    const std::lock_guard lock(mutex_);
    release_until(0, 0);
  }

  void set_guarded(bool on) {
    const std::lock_guard lock(mutex_);
    guarded_ = on;
    damaged_blocks_ = 0;
  }

  std::size_t damaged_blocks() {
    const std::lock_guard lock(mutex_);
    return damaged_blocks_;
  }

 private:
  // A part of what the system gave in one piece; the parts lie behind one another.
  struct Block {
    std::size_t bytes = 0;
    bool first = false;  // of its piece
    bool free = false;
  };
  using Blocks = std::map<std::byte*, Block>;

  static constexpr std::size_t least_cut = std::size_t{1} << 20;
  static bool fits(std::size_t block, std::size_t wanted) { return block <= wanted + wanted / 4; }
  static bool joins(Blocks::const_iterator with_the_one_before) {
    return with_the_one_before->second.free && !with_the_one_before->second.first;
  }

  // Takes a free block, or as much of it as is wanted; returns the bytes taken.
  std::size_t use_cached(std::byte* block, std::size_t wanted) {
    Block& taken = blocks_.at(block);
    free_.erase({taken.bytes, block});
    taken.free = false;
    if (!fits(taken.bytes, wanted)) {
      const std::size_t rest = taken.bytes - wanted;
      taken.bytes = wanted;
      blocks_[block + wanted] = {rest, false, true};
      free_.emplace(rest, block + wanted);
    }
    stats_.cached -= taken.bytes;
    return taken.bytes;
  }

  static constexpr std::size_t fence = 256;
  static constexpr std::byte fence_byte{0xA5};

  void* allocate_fenced(std::size_t bytes) {
    const auto& kernels = kernels_for<float>(device_);
    void* block = kernels.memory_alloc(fence + bytes + fence);
    check(block != nullptr, "memory: device {} cannot give {} guarded bytes", to_string(device_),
          bytes);
    std::vector<std::byte> content(fence + bytes + fence, fence_byte);
    std::fill_n(content.begin() + fence, bytes, std::byte{0xFF});
    kernels.memory_copy(current_stream(device_), block, content.data(), content.size(),
                        CopyKind::host_to_device);
    synchronize(device_);
    void* data = static_cast<std::byte*>(block) + fence;
    fenced_.emplace(data, bytes);
    return data;
  }

  void free_fenced(void* data, std::size_t bytes) {
    const auto& kernels = kernels_for<float>(device_);
    void* block = static_cast<std::byte*>(data) - fence;
    std::vector<std::byte> content(fence + bytes + fence);
    kernels.memory_copy(current_stream(device_), content.data(), block, content.size(),
                        CopyKind::device_to_host);
    synchronize(device_);
    const auto whole = [&](auto first) {
      return std::all_of(first, first + fence, [](std::byte b) { return b == fence_byte; });
    };
    if (!whole(content.begin()) || !whole(content.end() - fence)) ++damaged_blocks_;
    kernels.memory_free(block);
  }

  void* take(std::size_t bytes) {
    const auto& kernels = kernels_for<float>(device_);
    return on_host_ ? kernels.host_alloc(bytes) : kernels.memory_alloc(bytes);
  }
  void give_back(void* block) {
    const auto& kernels = kernels_for<float>(device_);
    on_host_ ? kernels.host_free(block) : kernels.memory_free(block);
  }

  // Gives whole cached blocks back, largest first, while in_use + cached > limit. On CUDA this
  // waits for the device, so no work is left that uses them.
  void release_until(std::size_t in_use, std::size_t limit) {
    for (auto at = free_.end(); at != free_.begin() && in_use + stats_.cached > limit;) {
      --at;
      const auto block = blocks_.find(at->second);
      const auto next = std::next(block);
      if (!block->second.first || (next != blocks_.end() && !next->second.first)) continue;
      give_back(block->first);
      stats_.cached -= block->second.bytes;
      blocks_.erase(block);
      at = free_.erase(at);
    }
  }

  Device device_;
  bool on_host_;
  std::string place_;
  std::mutex mutex_;
  Blocks blocks_;                                      // by address, those in use, too
  std::set<std::pair<std::size_t, std::byte*>> free_;  // the cached ones by size
  MemoryStats stats_;
  std::size_t high_water_ = 0;  // of `current`, never reset
  bool guarded_ = false;
  std::map<void*, std::size_t> fenced_;  // data -> bytes
  std::size_t damaged_blocks_ = 0;
};

namespace {

// Never destroyed: tensors in static objects may outlive any order of destruction.
CachingAllocator& allocator_for(Device device, bool on_host = false) {
  static std::mutex mutex;
  static auto& allocators = *new std::map<std::tuple<DeviceKind, int, bool>, CachingAllocator*>;
  const std::lock_guard lock(mutex);
  auto& slot = allocators[{device.kind, device.index, on_host}];
  if (!slot) slot = new CachingAllocator(device, on_host);
  return *slot;
}

}  // namespace

MemoryStats memory_stats(Device device) { return allocator_for(device).stats(); }
MemoryStats host_memory_stats(Device device) { return allocator_for(device, true).stats(); }
void reset_peak_memory(Device device) { allocator_for(device).reset_peak(); }
void release_cached_memory(Device device) {
  allocator_for(device).release_all();
  allocator_for(device, true).release_all();
}

GuardedMemory::GuardedMemory(Device device) : device_(device) {
  allocator_for(device).set_guarded(true);
}
GuardedMemory::~GuardedMemory() { allocator_for(device_).set_guarded(false); }
std::size_t GuardedMemory::damaged_blocks() const {
  return allocator_for(device_).damaged_blocks();
}

Storage::Storage(Device device, std::size_t bytes)
    : device_(device),
      allocator_(&allocator_for(device)),
      bytes_(bytes),
      data_(allocator_->allocate(bytes, block_bytes_)) {}

// Where the device works on the host's memory, any of it will do.
Storage::Storage(HostFor target, std::size_t bytes)
    : device_(cpu_device),
      allocator_(shares_host_memory(target.device) ? &allocator_for(cpu_device)
                                                   : &allocator_for(target.device, true)),
      bytes_(bytes),
      data_(allocator_->allocate(bytes, block_bytes_)) {}

Storage::Storage(Borrowed memory, std::size_t bytes)
    : device_(cpu_device), allocator_(nullptr), bytes_(bytes), data_(memory.data) {}

Storage::~Storage() {
  if (allocator_) allocator_->free(data_, block_bytes_);
}

Workspace::Workspace(Device device, std::size_t bytes)
    : storage_(bytes ? std::make_unique<Storage>(device, bytes) : nullptr) {}

}  // namespace etude
