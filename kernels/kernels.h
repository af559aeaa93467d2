// The kernel table: a back end is a struct of function pointers, an instruction set is one too.
#pragma once

#include "kernels/shapes.h"

namespace etude {

template <class T_>
struct Kernels {
  using T = T_;
  const char* name;  // "cpu_avx512"
#define ETUDE_KERNEL(result, name, parameters) result(*name) parameters;
#include "kernels/kernels.def"
#undef ETUDE_KERNEL
};

// The tables of this build. Float64 exists on the reference back end only.
namespace reference_f32 {
const Kernels<float>& table();
}
namespace reference_f64 {
const Kernels<double>& table();
}
namespace cpu_baseline {
const Kernels<float>& table();
}
#if defined(__x86_64__)
namespace cpu_avx2 {
const Kernels<float>& table();
}
namespace cpu_avx512 {
const Kernels<float>& table();
}
#endif

// The CUDA kernels (kernels/cuda) under the emulator (kernels/simt), and on a GPU where the build
// has nvcc.
#if ETUDE_HAVE_SIMT
namespace simt {
const Kernels<float>& table();
}
#endif
namespace simt_counting {  // where the target etude_simt_counting is linked
const Kernels<float>& table();
}
#if ETUDE_HAVE_CUDA
namespace cuda {
const Kernels<float>& table();
}
#endif

}  // namespace etude
