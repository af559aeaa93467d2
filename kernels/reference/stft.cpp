// Short-time Fourier transform, n_fft^2 multiply-adds a frame.
#include "kernels/reference/dft.h"

namespace etude::ETUDE_BACKEND {

std::size_t stft_workspace(const StftShape& p) {
  return static_cast<std::size_t>(dft_scratch(p)) * sizeof(double);
}

void stft(Stream, const StftShape& p, const T* x, const T* window, T* spectrum, void* work) {
  auto* scratch = static_cast<double*>(work);
  dft_tables(p, scratch);
  for (Index clip = 0; clip < p.clips; ++clip) {
    for (Index f = 0; f < p.frames(); ++f) {
      windowed_frame(p, x + clip * p.samples, window, f, scratch);
      T* row = spectrum + (clip * p.frames() + f) * p.bins() * 2;
      for (Index k = 0; k < p.bins(); ++k) {
        const Bin bin = dft_bin(p, scratch, k);
        row[2 * k] = static_cast<T>(bin.re);
        // Zero by symmetry at both ends: not a sum of x sin(0), which a NaN would enter.
        row[2 * k + 1] = k == 0 || k == p.n_fft / 2 ? T(0) : static_cast<T>(bin.im);
      }
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
