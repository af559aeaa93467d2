// What kernels that are composed of the back end's own share: parts of `work`. Everything here is
// in the back end's namespace.
#pragma once

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND::composed {

// Bytes of `elements` numbers, in whole cache lines.
inline std::size_t aligned_bytes(Index elements) {
  return (static_cast<std::size_t>(elements) * sizeof(T) + 63) / 64 * 64;
}
inline void* after(void* work, std::size_t bytes) { return static_cast<char*>(work) + bytes; }

}  // namespace etude::ETUDE_BACKEND::composed
