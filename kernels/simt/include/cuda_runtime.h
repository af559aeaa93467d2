// Found before the toolkit's header of the same name in host builds of kernels.
#pragma once

#include "simt_shim/qualifiers.h"

#include "simt_shim/vector_types.h"

#include "simt_shim/atomic.h"
#include "simt_shim/builtins.h"
#include "simt_shim/math.h"
#include "simt_shim/runtime_api.h"
#include "simt_shim/warp.h"

using namespace simt::cuda;
