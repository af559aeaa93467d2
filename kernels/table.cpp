// The table of one back end, compiled once per back end.
#include "kernels/backend.h"

#define ETUDE_STRING_(x) #x
#define ETUDE_STRING(x) ETUDE_STRING_(x)

namespace etude::ETUDE_BACKEND {

const Kernels<T>& table() {
  static constexpr Kernels<T> kernels = {
      ETUDE_STRING(ETUDE_BACKEND),
#define ETUDE_KERNEL(result, name, parameters) &name,
#include "kernels/kernels.def"
#undef ETUDE_KERNEL
  };
  return kernels;
}

}  // namespace etude::ETUDE_BACKEND
