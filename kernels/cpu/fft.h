// The complex FFT of kLanes signals at once, one in each lane of a vector.
//
// Point m of all signals is a pair of vectors: data[(2 m + 0) kLanes ...] are the real parts,
// data[(2 m + 1) kLanes ...] the imaginary ones. No step mixes lanes, so a signal's result does not
// depend on its neighbours, and every radix is as well vectorised as any other. A transform of 1024
// points is 128 KB with 16 lanes: the second-level cache holds it, the first the sub-transforms
// after the first pass.
#pragma once

#include "kernels/cpu/fft_plan.h"
#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

inline constexpr Index kPoint = 2 * kLanes;  // floats of a point of all signals

// Floats of scratch that fft() needs beside the data, and floats of the data itself (Bluestein
// works on longer blocks than it was given).
Index fft_scratch_size(const FftPlan& plan);
Index fft_data_size(const FftPlan& plan);

// In place; coefficient k is left at point plan.position[k]. Both pointers are aligned to a vector.
// 4 n log2 n multiply-adds and additions a signal or a little less for powers of two.
void fft(const FftPlan& plan, float* data, float* scratch);

}  // namespace etude::ETUDE_BACKEND
