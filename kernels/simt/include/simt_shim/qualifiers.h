// The CUDA language's qualifiers, for the host compiler.
#pragma once

// A block runs on one host thread, so "one copy per block" is "one copy per host thread". The tag
// shows in the symbol's name: it is how the runtime finds these arrays to poison and to check them.
#define __shared__ static thread_local __attribute__((abi_tag("simt_shared")))

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))
// __noinline__ stays undefined: libstdc++ spells an attribute that way, and g++ knows it too.

// Code may ask where it is compiled. The emulated device has the features of sm_80.
#define SIMT_EMULATED 1
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 800
#endif
