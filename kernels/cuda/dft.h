// The Fourier transform of windowed frames of any even n_fft, as a product of matrices (dft.cu).
#pragma once

#include "kernels/cuda/frames.h"

namespace etude::ETUDE_BACKEND {

// exp(-2 pi i j / n_fft) for all j, which both functions below read.
std::size_t dft_table_bytes(Index n_fft);
void make_dft_table(Stream s, const FrameRows& p, float2* table);

// spectrum[row, k], k <= n_fft / 2.
void dft_spectrum(Stream s, const FrameRows& p, const float* x, const float* window,
                  const float2* table, float2* spectrum);

// power[k, row - first] = |X|^2 of `count` rows, a multiple of kDftRows; rows beyond the last one
// hold anything.
constexpr int kDftRows = 64;
void dft_power(Stream s, const FrameRows& p, int first, int count, const float* x,
               const float* window, const float2* table, float* power);

}  // namespace etude::ETUDE_BACKEND
