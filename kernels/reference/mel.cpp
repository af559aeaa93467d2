// Log-mel spectrograms by the definition, and the operations on them; sums in double.
#include <algorithm>
#include <limits>

#include "kernels/reference/dft.h"

namespace etude::ETUDE_BACKEND {
namespace {

// y = log( sum over k of filter[m, k] |X[k]|^2 )
double log_of(double energy, LogScale scale, double floor) {
  switch (scale) {
    case LogScale::db:
      return 10 * std::log10(energy < floor ? floor : energy);  // a NaN stays
    case LogScale::db_offset:
      return 10 * std::log10(energy + floor);
    default:
      return energy;
  }
}

Index valid_frames(const StandardizeShape& p, const std::int64_t* frames_valid, Index clip) {
  return frames_valid ? std::clamp<Index>(frames_valid[clip], 0, p.frames) : p.frames;
}

}  // namespace

std::size_t mel_spectrogram_workspace(const StftShape& p, Index) {
  return static_cast<std::size_t>(dft_scratch(p) + p.bins()) * sizeof(double);
}

void mel_spectrogram(Stream, const StftShape& p, const MelFilters& filters, LogScale log_scale,
                     double floor, const T* x, const T* window, T* y, void* work) {
  auto* scratch = static_cast<double*>(work);
  double* power = scratch + dft_scratch(p);
  dft_tables(p, scratch);
  for (Index clip = 0; clip < p.clips; ++clip) {
    for (Index f = 0; f < p.frames(); ++f) {
      windowed_frame(p, x + clip * p.samples, window, f, scratch);
      for (Index k = 0; k < p.bins(); ++k) {
        const Bin bin = dft_bin(p, scratch, k);
        power[k] = bin.re * bin.re + bin.im * bin.im;
      }
      for (Index m = 0; m < filters.n_mels; ++m) {
        double energy = 0;
        for (Index i = 0; i < filters.count[m]; ++i)
          energy += static_cast<double>(filters.weights[filters.offset[m] + i]) *
                    power[filters.first[m] + i];
        y[(clip * filters.n_mels + m) * p.frames() + f] =
            static_cast<T>(log_of(energy, log_scale, floor));
      }
    }
  }
}

std::size_t top_db_workspace(Index, Index) { return 0; }
std::size_t standardize_clip_workspace(const StandardizeShape&) { return 0; }

// y = max(y, max over the clip - top_db); a NaN stays and does not enter the maximum.
void top_db(Stream, Index clips, Index size, double top_db, T* y, void*) {
  for (Index clip = 0; clip < clips; ++clip) {
    T* row = y + clip * size;
    T peak = -std::numeric_limits<T>::infinity();
    for (Index i = 0; i < size; ++i) peak = row[i] > peak ? row[i] : peak;
    const T least = peak - static_cast<T>(top_db);
    for (Index i = 0; i < size; ++i) row[i] = row[i] < least ? least : row[i];
  }
}

// Over all bands and valid frames: y = (y - mean) / (sqrt(mean of (y - mean)^2) + eps); padding =
// 0.
void standardize_clip(Stream, const StandardizeShape& p, const std::int64_t* frames_valid, T* y,
                      void*) {
  for (Index clip = 0; clip < p.clips; ++clip) {
    T* rows = y + clip * p.bands * p.frames;
    const Index valid = valid_frames(p, frames_valid, clip);
    const double count = std::max<double>(1, static_cast<double>(p.bands * valid));
    double sum = 0, squares = 0;
    for (Index b = 0; b < p.bands; ++b)
      for (Index f = 0; f < valid; ++f) sum += static_cast<double>(rows[b * p.frames + f]);
    const double mean = sum / count;
    for (Index b = 0; b < p.bands; ++b) {
      for (Index f = 0; f < valid; ++f) {
        const double d = static_cast<double>(rows[b * p.frames + f]) - mean;
        squares += d * d;
      }
    }
    const double deviation = std::sqrt(squares / count) + p.eps;
    for (Index b = 0; b < p.bands; ++b)
      for (Index f = 0; f < p.frames; ++f) {
        T& v = rows[b * p.frames + f];
        v = f < valid ? static_cast<T>((static_cast<double>(v) - mean) / deviation) : T{0};
      }
  }
}

// y = (y - mean[band]) inv_std[band]; padding = 0.
void standardize_band(Stream, const StandardizeShape& p, const std::int64_t* frames_valid,
                      const T* mean, const T* inv_std, T* y) {
  for (Index clip = 0; clip < p.clips; ++clip) {
    const Index valid = valid_frames(p, frames_valid, clip);
    for (Index b = 0; b < p.bands; ++b) {
      T* row = y + (clip * p.bands + b) * p.frames;
      for (Index f = 0; f < p.frames; ++f)
        row[f] = f < valid ? (row[f] - mean[b]) * inv_std[b] : T{0};
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
