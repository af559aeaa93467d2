// Included first by every source of a back end. The build compiles such a source once per table,
// with ETUDE_BACKEND (the namespace, e.g. cpu_avx2) and ETUDE_REAL (its T) defined, so that two
// tables never share a symbol.
//
//   #include "kernels/backend.h"
//   namespace etude::ETUDE_BACKEND {
//   void relu_forward(Stream, Index n, const T* x, T* y) { ... }
//   }
//
// Rule: inside a back end, no inline function or template from a shared header that is more than
// constexpr arithmetic on plain data: the linker keeps one copy, perhaps the one with the wrong
// instructions. Helpers go into the back end's own namespace. (<cmath> scalars and <algorithm> on
// pointers are inlined at -O2, but use them outside hot baseline code with that in mind.)
#pragma once

#if !defined(ETUDE_BACKEND) || !defined(ETUDE_REAL)
#error "compile kernel sources through etude_add_backend() in kernels/CMakeLists.txt"
#endif

#include "kernels/kernels.h"

namespace etude::ETUDE_BACKEND {

using T = ETUDE_REAL;

#define ETUDE_KERNEL(result, name, parameters) result name parameters;
#include "kernels/kernels.def"
#undef ETUDE_KERNEL

}  // namespace etude::ETUDE_BACKEND
