// cp.async. A copy is done when it is waited for and not before, so that a missing wait shows;
// SIMT_CP_ASYNC=eager does it at once, which is the other thing that a device may do.
#pragma once

#include "cuda_runtime.h"

namespace simt::cuda {

// Copies `bytes` (4, 8 or 16) from global to shared memory, the last `zero_fill` of them as zeros.
inline __attribute__((always_inline)) void __pipeline_memcpy_async(void* shared, const void* global,
                                                                   std::size_t bytes,
                                                                   std::size_t zero_fill = 0,
                                                                   SIMT_SITE) {
  detail::copy_async(shared, global, bytes, zero_fill, site);
}
// Ends a group of copies.
inline void __pipeline_commit() { detail::copy_commit(); }
// Waits for all but the latest `groups` groups of the calling thread.
inline void __pipeline_wait_prior(unsigned groups) { detail::copy_wait_prior(groups); }

}  // namespace simt::cuda
