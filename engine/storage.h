// Memory: a reference-counted block from a caching allocator, one allocator a device.
#pragma once

#include <cstddef>
#include <memory>

#include "engine/device.h"

namespace etude {

class CachingAllocator;

// Bytes handed out now, the most handed out at once since the last reset, and bytes kept for
// reuse.
struct MemoryStats {
  std::size_t current = 0;
  std::size_t peak = 0;
  std::size_t cached = 0;
};

MemoryStats memory_stats(Device device);
MemoryStats host_memory_stats(Device device);  // of Storage::HostFor
void reset_peak_memory(Device device);
// Returns the cached blocks, of the device and of the host for it, to the system.
void release_cached_memory(Device device);

// For tests. While one is alive, every new block of the device is an allocation of its own, filled
// with 0xFF bytes (NaN, so that reading what was never written shows) and fenced on both sides of
// exactly the bytes asked for.
class GuardedMemory {
 public:
  explicit GuardedMemory(Device device);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  // How many of the blocks freed since have had their fences overwritten.
  std::size_t damaged_blocks() const;

 private:
  Device device_;
};

// A block of device memory. Freed blocks go to a cache: page faults on fresh memory cost large
// activations up to half of their time, and cudaMalloc and cudaFree synchronise.
//
// A block may be freed while kernels that use it have yet to run, and be given out again at once:
// the next user's work comes later on the same stream. Work on another stream must wait for an
// event of the current one first, and end before the block is freed (transfer.h).
class Storage {
 public:
  Storage(Device device, std::size_t bytes);  // Error when the device has no memory left
  // Host memory of the cpu device that copies fastest to `device`: pinned on CUDA. It must not be
  // freed before copies from it are done.
  struct HostFor {
    Device device;
  };
  Storage(HostFor target, std::size_t bytes);
  // Memory of somebody else, of the cpu device, that outlives this.
  struct Borrowed {
    void* data;
  };
  Storage(Borrowed memory, std::size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  Device device_;
  CachingAllocator* allocator_;  // null: borrowed
  std::size_t bytes_ = 0;
  std::size_t block_bytes_ = 0;  // what the allocator really gave
  void* data_ = nullptr;
};

// Scratch for one kernel call; null when bytes is 0.
class Workspace {
 public:
  Workspace(Device device, std::size_t bytes);
  void* data() const { return storage_ ? storage_->data() : nullptr; }

 private:
  std::unique_ptr<Storage> storage_;
};

}  // namespace etude
