// What the shim headers ask of the runtime. Nothing here is for kernels to call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simt_shim/vector_types.h"

// The last parameter of every collective.
#define SIMT_SITE ::simt::detail::Site site = ::simt::detail::Site::here()

namespace simt::detail {

// Where in the source a call stands.
struct Site {
  const char* file;
  int line;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// ---- the block ----

void block_barrier(Site);
enum class Reduce { Count, And, Or };
int block_barrier_reduce(Reduce, int predicate, Site);

// The running block's dynamic shared memory, 128-byte aligned; a page that faults lies behind it.
void* dynamic_shared();

// ---- the warp ----

// Runs once all lanes of `mask` have arrived, on the lane that came last; payload[l] is what lane
// l passed (null for lanes outside `lanes`). The lanes' stacks stay put until it returns.
using Combine = void (*)(std::uint32_t lanes, void* const* payload);
void collective(std::uint32_t mask, void* payload, Combine, const char* what, Site);

// The lanes of this warp that stand at `site` when every other lane waits elsewhere or is done.
std::uint32_t active_mask(Site);

// The position of the rank-th set bit.
int nth_lane(std::uint32_t lanes, unsigned rank);
// Bit r is set if the r-th lane of `mask` is among `lanes`.
std::uint32_t pack_lanes(std::uint32_t mask, std::uint32_t lanes);

unsigned lane_id();
unsigned warp_id();

// ---- tensor cores (see tensor_core.h) ----

void mma_m16n8k8_tf32(float* c, const float* a, const float* b, Site);
void mma_m16n8k16_f16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site);
void mma_m16n8k16_bf16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site);
void mma_m16n8k8_f16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site);
void ldmatrix(std::uint32_t* registers, int count, bool transposed, const void* row, Site);

// ---- cp.async ----

void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t zero_fill, Site);
void copy_commit();
void copy_wait_prior(unsigned groups);

// ---- the counting build ----

// Atomics announce themselves (plain accesses are announced by the compiler).
void on_atomic(const void* address, std::size_t bytes, const void* pc);

}  // namespace simt::detail
