// Of the toolkit's mma.h, the conversion only: warp matrix fragments (wmma) are not emulated. See
// tensor_core.h for mma.sync and ldmatrix.
#pragma once

#include "cuda_runtime.h"

namespace simt::cuda::nvcuda::wmma {
using simt::cuda::__float_to_tf32;
}
