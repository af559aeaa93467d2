// While the back end is being written: kernels that no source defines yet. Linked last, so that
// what exists wins; deleted when the list is complete.
#include <stdexcept>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {
#define ETUDE_KERNEL(result, name, parameters) \
  __attribute__((weak)) result name parameters { throw std::runtime_error("missing: " #name); }
#include "kernels/kernels.def"
#undef ETUDE_KERNEL
}  // namespace etude::ETUDE_BACKEND
