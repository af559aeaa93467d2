// Cooperative groups: the thread block, tiles of a warp, and the lanes that are active together.
// Not here: grid and cluster groups, which need blocks that wait for each other.
#pragma once

#include <type_traits>

#include "cuda_runtime.h"

namespace simt::cuda::cooperative_groups {

class thread_block {
 public:
  static constexpr bool is_block = true;

  void sync(SIMT_SITE) const { __syncthreads(site); }
  static unsigned thread_rank() {
    return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  }
  static unsigned num_threads() { return blockDim.x * blockDim.y * blockDim.z; }
  static unsigned size() { return num_threads(); }
  static dim3 group_index() { return blockIdx; }
  static dim3 thread_index() { return threadIdx; }
  static dim3 group_dim() { return blockDim; }
  static dim3 dim_threads() { return blockDim; }
};

inline thread_block this_thread_block() { return {}; }

// Lanes of one warp, in the order of their numbers.
class lanes_base {
 public:
  unsigned thread_rank() const { return rank_; }
  unsigned num_threads() const { return size_; }
  unsigned size() const { return size_; }
  void sync(SIMT_SITE) const { __syncwarp(mask_, site); }

  int any(int predicate, SIMT_SITE) const { return __any_sync(mask_, predicate, site); }
  int all(int predicate, SIMT_SITE) const { return __all_sync(mask_, predicate, site); }
  // Bits are ranks.
  unsigned ballot(int predicate, SIMT_SITE) const {
    return pack(__ballot_sync(mask_, predicate, site));
  }
  template <class T>
  unsigned match_any(T value, SIMT_SITE) const {
    return pack(__match_any_sync(mask_, value, site));
  }
  template <class T>
  unsigned match_all(T value, int& all_equal, SIMT_SITE) const {
    return pack(__match_all_sync(mask_, value, &all_equal, site));
  }

 protected:
  lanes_base(unsigned mask, unsigned rank, unsigned size) : mask_(mask), rank_(rank), size_(size) {}

  unsigned pack(unsigned lanes) const { return detail::pack_lanes(mask_, lanes); }

  unsigned mask_, rank_, size_;
};

template <unsigned Size, class Parent = void>
class thread_block_tile : public lanes_base {
 public:
  static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0,
                "tiles of up to a warp, of a size that is a power of two");

  explicit thread_block_tile(unsigned parent_rank, unsigned parent_size)
      : lanes_base(mask_of(detail::lane_id()), detail::lane_id() % Size, Size),
        meta_rank_(parent_rank / Size),
        meta_size_((parent_size + Size - 1) / Size) {}

  static constexpr unsigned size() { return Size; }
  static constexpr unsigned num_threads() { return Size; }
  unsigned meta_group_rank() const { return meta_rank_; }
  unsigned meta_group_size() const { return meta_size_; }

  template <class T>
  T shfl(T value, int rank, SIMT_SITE) const {
    return __shfl_sync(mask_, value, rank, kSize, site);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, SIMT_SITE) const {
    return __shfl_up_sync(mask_, value, delta, kSize, site);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, SIMT_SITE) const {
    return __shfl_down_sync(mask_, value, delta, kSize, site);
  }
  template <class T>
  T shfl_xor(T value, unsigned lane_mask, SIMT_SITE) const {
    return __shfl_xor_sync(mask_, value, static_cast<int>(lane_mask), kSize, site);
  }

 private:
  static constexpr int kSize = static_cast<int>(Size);
  static unsigned mask_of(unsigned lane) {
    return Size == 32 ? ~0u : ((1u << Size % 32) - 1) << (lane & ~(Size - 1));
  }
  unsigned meta_rank_, meta_size_;
};

template <unsigned Size>
thread_block_tile<Size, thread_block> tiled_partition(const thread_block& block) {
  return thread_block_tile<Size, thread_block>(block.thread_rank(), block.num_threads());
}
template <unsigned Size, unsigned Outer, class Parent>
thread_block_tile<Size, thread_block_tile<Outer, Parent>> tiled_partition(
    const thread_block_tile<Outer, Parent>& tile) {
  static_assert(Size <= Outer);
  return thread_block_tile<Size, thread_block_tile<Outer, Parent>>(tile.thread_rank(), Outer);
}

class coalesced_group : public lanes_base {
 public:
  explicit coalesced_group(unsigned mask)
      : lanes_base(mask, static_cast<unsigned>(__popc(mask & ((1u << detail::lane_id()) - 1))),
                   static_cast<unsigned>(__popc(mask))) {}

  template <class T>
  T shfl(T value, int rank, SIMT_SITE) const {
    return from(value, static_cast<unsigned>(rank) % size_, site);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, SIMT_SITE) const {
    return from(value, rank_ >= delta ? rank_ - delta : rank_, site);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, SIMT_SITE) const {
    return from(value, rank_ + delta < size_ ? rank_ + delta : rank_, site);
  }

 private:
  template <class T>
  T from(T value, unsigned rank, detail::Site site) const {
    return __shfl_sync(mask_, value, detail::nth_lane(mask_, rank), 32, site);
  }
};

inline coalesced_group coalesced_threads(SIMT_SITE) { return coalesced_group(__activemask(site)); }

template <class Group>
void sync(const Group& group, SIMT_SITE) {
  group.sync(site);
}

}  // namespace simt::cuda::cooperative_groups
