// What the last lane to arrive computes for all of them.
#include <algorithm>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/worker.h"
#include "simt_shim/warp.h"

namespace simt::detail {

namespace {

template <class Visit>
void each(std::uint32_t lanes, Visit&& visit) {
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1)
    visit(static_cast<unsigned>(__builtin_ctz(rest)));
}

template <class Operation>
void fold(std::uint32_t lanes, void* const* payload, Operation operation) {
  const auto at = [&](unsigned lane) -> VotePayload& {
    return *static_cast<VotePayload*>(payload[lane]);
  };
  const auto first = static_cast<unsigned>(__builtin_ctz(lanes));
  std::uint64_t result = at(first).value;
  each(lanes & (lanes - 1), [&](unsigned l) { result = operation(result, at(l).value); });
  each(lanes, [&](unsigned l) { at(l).result = result; });
}

}  // namespace

int nth_lane(std::uint32_t lanes, unsigned rank) {
  while (rank-- && lanes) lanes &= lanes - 1;
  return lanes ? __builtin_ctz(lanes) : 0;
}

std::uint32_t pack_lanes(std::uint32_t mask, std::uint32_t lanes) {
  std::uint32_t packed = 0, bit = 1;
  each(mask, [&](unsigned lane) {
    if (lanes >> lane & 1) packed |= bit;
    bit <<= 1;
  });
  return packed;
}

// A segment is the `width` lanes, a power of two, that begin at a multiple of it.
unsigned source_index(unsigned lane, unsigned argument, unsigned width) {
  return (lane & ~(width - 1)) | (argument & (width - 1));
}
unsigned source_up(unsigned lane, unsigned argument, unsigned width) {
  return (lane & (width - 1)) >= argument ? lane - argument : lane;
}
unsigned source_down(unsigned lane, unsigned argument, unsigned width) {
  return (lane & (width - 1)) + std::uint64_t{argument} < width ? lane + argument : lane;
}
// May read from earlier segments, not from later ones.
unsigned source_xor(unsigned lane, unsigned argument, unsigned width) {
  const unsigned source = lane ^ argument;
  return source <= (lane | (width - 1)) ? source : lane;
}

void combine_shuffle(std::uint32_t lanes, void* const* payload) {
  constexpr std::uint64_t kPoison64 = 0x0001000100010001u * std::uint64_t{kPoison};
  each(lanes, [&](unsigned lane) {
    auto& own = *static_cast<ShufflePayload*>(payload[lane]);
    const unsigned source = own.source(lane, own.argument, own.width);
    own.result = source < kWarp && (lanes >> source & 1)
                     ? static_cast<const ShufflePayload*>(payload[source])->value
                     : kPoison64;
  });
}

void combine_ballot(std::uint32_t lanes, void* const* payload) {
  std::uint64_t ballot = 0;
  each(lanes,
       [&](unsigned l) { ballot |= static_cast<const VotePayload*>(payload[l])->value << l; });
  each(lanes, [&](unsigned l) { static_cast<VotePayload*>(payload[l])->result = ballot; });
}

void combine_match(std::uint32_t lanes, void* const* payload) {
  each(lanes, [&](unsigned l) {
    auto& own = *static_cast<VotePayload*>(payload[l]);
    own.result = 0;
    each(lanes, [&](unsigned other) {
      if (static_cast<const VotePayload*>(payload[other])->value == own.value)
        own.result |= std::uint64_t{1} << other;
    });
    own.all_equal = own.result == lanes;
  });
}

void combine_add(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) { return a + b; });
}
void combine_min(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) { return std::min(a, b); });
}
void combine_max(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) { return std::max(a, b); });
}
// Signed values come sign-extended.
void combine_signed_min(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>(a) < static_cast<std::int64_t>(b) ? a : b;
  });
}
void combine_signed_max(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>(a) > static_cast<std::int64_t>(b) ? a : b;
  });
}
void combine_and(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) { return a & b; });
}
void combine_or(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) { return a | b; });
}
void combine_xor(std::uint32_t lanes, void* const* payload) {
  fold(lanes, payload, [](std::uint64_t a, std::uint64_t b) { return a ^ b; });
}

}  // namespace simt::detail
