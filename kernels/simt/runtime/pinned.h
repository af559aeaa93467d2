#pragma once

#include <cstdint>

namespace simt::detail {

// Whether the address lies in memory of cudaHostAlloc() or cudaHostRegister(), which kernels may
// touch as they may touch device memory.
bool is_pinned(std::uintptr_t address);

}  // namespace simt::detail
