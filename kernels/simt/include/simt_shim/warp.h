// Shuffles, votes, matches and reductions over the lanes of a warp, and __syncwarp.
//
// `mask` names the lanes that take part: the caller among them, and every one of them (but those
// that ended) has to come to the same call with the same mask. A lane that reads from a lane
// outside the mask gets a value that is NaN as a float, where a device gives anything.
#pragma once

#include <cstring>
#include <type_traits>

#include "simt_shim/detail.h"

namespace simt::detail {

// The lane that `lane` reads from; its own where a segment of `width` lanes ends.
using ShuffleSource = unsigned (*)(unsigned lane, unsigned argument, unsigned width);

struct ShufflePayload {
  std::uint64_t value, result;
  unsigned argument, width;
  ShuffleSource source;
};
void combine_shuffle(std::uint32_t lanes, void* const* payload);

unsigned source_index(unsigned lane, unsigned argument, unsigned width);
unsigned source_up(unsigned lane, unsigned argument, unsigned width);
unsigned source_down(unsigned lane, unsigned argument, unsigned width);
unsigned source_xor(unsigned lane, unsigned argument, unsigned width);

template <class T>
T shuffle(std::uint32_t mask, T value, unsigned argument, int width, ShuffleSource source,
          const char* what, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 8 || sizeof(T) <= 4),
                "shuffles move values of up to 4 bytes, or of 8");
  ShufflePayload payload{0, 0, argument, static_cast<unsigned>(width), source};
  std::memcpy(&payload.value, &value, sizeof(T));
  collective(mask, &payload, combine_shuffle, what, site);
  std::memcpy(&value, &payload.result, sizeof(T));
  return value;
}

struct VotePayload {
  std::uint64_t value;  // the lane's own
  std::uint64_t result;
  int all_equal;
};
// One function for each operation: calls of different kinds never meet.
void combine_ballot(std::uint32_t lanes, void* const* payload);
void combine_match(std::uint32_t lanes, void* const* payload);
void combine_add(std::uint32_t lanes, void* const* payload);
void combine_min(std::uint32_t lanes, void* const* payload);
void combine_max(std::uint32_t lanes, void* const* payload);
void combine_signed_min(std::uint32_t lanes, void* const* payload);
void combine_signed_max(std::uint32_t lanes, void* const* payload);
void combine_and(std::uint32_t lanes, void* const* payload);
void combine_or(std::uint32_t lanes, void* const* payload);
void combine_xor(std::uint32_t lanes, void* const* payload);

inline VotePayload vote(std::uint32_t mask, std::uint64_t value, Combine combine, const char* what,
                        Site site) {
  VotePayload payload{value, 0, 0};
  collective(mask, &payload, combine, what, site);
  return payload;
}

template <class T>
std::uint64_t bits_of(T value) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

}  // namespace simt::detail

namespace simt::cuda {

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIMT_SITE) {
  return detail::shuffle(mask, value, static_cast<unsigned>(lane), width, detail::source_index,
                         "__shfl_sync", site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
  return detail::shuffle(mask, value, delta, width, detail::source_up, "__shfl_up_sync", site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
  return detail::shuffle(mask, value, delta, width, detail::source_down, "__shfl_down_sync", site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, SIMT_SITE) {
  return detail::shuffle(mask, value, static_cast<unsigned>(lane_mask), width, detail::source_xor,
                         "__shfl_xor_sync", site);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
  detail::collective(mask, nullptr, nullptr, "__syncwarp", site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_SITE) {
  return static_cast<unsigned>(
      detail::vote(mask, predicate != 0, detail::combine_ballot, "__ballot_sync", site).result);
}
inline int __any_sync(unsigned mask, int predicate, SIMT_SITE) {
  return detail::vote(mask, predicate != 0, detail::combine_or, "__any_sync", site).result != 0;
}
inline int __all_sync(unsigned mask, int predicate, SIMT_SITE) {
  return detail::vote(mask, predicate != 0, detail::combine_and, "__all_sync", site).result != 0;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, SIMT_SITE) {
  return static_cast<unsigned>(
      detail::vote(mask, detail::bits_of(value), detail::combine_match, "__match_any_sync", site)
          .result);
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all_equal, SIMT_SITE) {
  const detail::VotePayload p =
      detail::vote(mask, detail::bits_of(value), detail::combine_match, "__match_all_sync", site);
  *all_equal = p.all_equal;
  return p.all_equal ? static_cast<unsigned>(p.result) : 0;
}

#define SIMT_REDUCE(name, T, combine)                                                       \
  inline T name(unsigned mask, T value, SIMT_SITE) {                                        \
    return static_cast<T>(                                                                  \
        detail::vote(mask, static_cast<std::uint64_t>(value), detail::combine, #name, site) \
            .result);                                                                       \
  }
SIMT_REDUCE(__reduce_add_sync, unsigned, combine_add)
SIMT_REDUCE(__reduce_min_sync, unsigned, combine_min)
SIMT_REDUCE(__reduce_max_sync, unsigned, combine_max)
SIMT_REDUCE(__reduce_and_sync, unsigned, combine_and)
SIMT_REDUCE(__reduce_or_sync, unsigned, combine_or)
SIMT_REDUCE(__reduce_xor_sync, unsigned, combine_xor)
SIMT_REDUCE(__reduce_add_sync, int, combine_add)
SIMT_REDUCE(__reduce_min_sync, int, combine_signed_min)
SIMT_REDUCE(__reduce_max_sync, int, combine_signed_max)
#undef SIMT_REDUCE

// The lanes that stand here while every other lane of the warp waits elsewhere or is done.
inline unsigned __activemask(SIMT_SITE) { return detail::active_mask(site); }

}  // namespace simt::cuda
