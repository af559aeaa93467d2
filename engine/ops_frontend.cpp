// The audio front end: from samples to features. Nothing here is recorded for backward().
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"

namespace etude {
namespace {

StftShape stft_shape(const char* op, const Tensor& audio, const Tensor& window,
                     const StftOptions& options) {
  check(audio.rank() == 2, "{}: expected audio [clips, samples], got {}", op,
        to_string(audio.shape()));
  check_same_place(op, audio, window);
  check(options.n_fft >= 128 && options.n_fft <= 8192 && options.n_fft % 2 == 0,
        "{}: expected an even n_fft from 128 to 8192, got {}", op, options.n_fft);
  check(options.hop > 0, "{}: expected a hop of at least 1 sample, got {}", op, options.hop);
  check(window.rank() == 1 && window.dim(0) == options.n_fft,
        "{}: expected a window of n_fft = {} values, got {}", op, options.n_fft,
        to_string(window.shape()));
  const StftShape p{audio.dim(0), audio.dim(1),    options.n_fft,
                    options.hop,  options.centred, options.pad_mode};
  const bool mirrored = p.centred && p.pad_mode == PadMode::reflect;
  check(!mirrored || p.samples > p.n_fft / 2,
        "{}: reflect padding needs more than n_fft / 2 = {} samples, got {}; use zero padding or a "
        "smaller n_fft",
        op, p.n_fft / 2, p.samples);
  return p;
}

// The host copy is what is checked; a kernel reads the indices on its device.
void check_filters(const StftShape& p, const MelFilterBank& filters) {
  const auto n = static_cast<std::size_t>(filters.n_mels);
  check(filters.n_mels > 0 && filters.first.size() == n && filters.count.size() == n &&
            filters.offset.size() == n,
        "mel_spectrogram: the filter bank has {} filters, but indices for {}, {} and {}",
        filters.n_mels, filters.first.size(), filters.count.size(), filters.offset.size());
  for (std::size_t m = 0; m < n; ++m) {
    check(filters.first[m] >= 0 && filters.count[m] >= 0 &&
              Index{filters.first[m]} + filters.count[m] <= p.bins(),
          "mel_spectrogram: filter {} covers bins {} to {}, but n_fft {} has {}: the filters were "
          "made for another n_fft",
          m, filters.first[m], filters.first[m] + filters.count[m] - 1, p.n_fft, p.bins());
    check(filters.offset[m] >= 0 &&
              Index{filters.offset[m]} + filters.count[m] <= filters.weights.size(),
          "mel_spectrogram: filter {} has weights {} to {} of {}", m, filters.offset[m],
          filters.offset[m] + filters.count[m] - 1, filters.weights.size());
  }
  check(filters.indices.defined() && filters.indices.bytes() == 3 * n * sizeof(std::int32_t),
        "mel_spectrogram: the filter bank has no indices on {}",
        to_string(filters.weights.device()));
}

StandardizeShape standardize_shape(const char* op, const Tensor& y, const Tensor& frames_valid,
                                   double eps) {
  check(y.rank() == 3, "{}: expected features [clips, bands, frames], got {}", op,
        to_string(y.shape()));
  if (frames_valid.defined()) {
    check(frames_valid.dtype() == DType::i64 && frames_valid.size() == y.dim(0) &&
              frames_valid.device() == y.device(),
          "{}: expected int64 frames_valid [{}] on {}, got {} {} on {}", op, y.dim(0),
          to_string(y.device()), to_string(frames_valid.dtype()), to_string(frames_valid.shape()),
          to_string(frames_valid.device()));
  }
  return {y.dim(0), y.dim(1), y.dim(2), eps};
}

void check_positions(const Tensor& x, const Tensor& at, const char* of, Index length) {
  if (!at.defined()) return;
  check(at.dtype() == DType::f32 && at.rank() == 2 && at.dim(0) == x.dim(0) &&
            (length < 0 || at.dim(1) == length) && at.device() == x.device(),
        "augment: expected positions of {} [{}, {}] on {}, got {} {} on {}", of, x.dim(0),
        length < 0 ? "frames" : std::to_string(length), to_string(x.device()),
        to_string(at.dtype()), to_string(at.shape()), to_string(at.device()));
}

}  // namespace

Tensor stft(const Tensor& audio, const Tensor& window, const StftOptions& options) {
  const StftShape p = stft_shape("stft", audio, window, options);
  const Tensor spectrum = empty_like(audio, {p.clips, p.frames(), p.bins(), 2});
  dispatch("stft", audio, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(audio.device(), k.stft_workspace(p));
    k.stft(current_stream(audio.device()), p, audio.data<T>(), window.data<T>(), spectrum.data<T>(),
           work.data());
  });
  return spectrum;
}

Tensor mel_spectrogram(const Tensor& audio, const Tensor& window, const StftOptions& options,
                       const MelFilterBank& filters, LogScale log_scale, double floor) {
  const StftShape p = stft_shape("mel_spectrogram", audio, window, options);
  check_filters(p, filters);
  check(filters.weights.device() == audio.device() && filters.indices.device() == audio.device(),
        "mel_spectrogram: audio on {}, filters on {}", to_string(audio.device()),
        to_string(filters.weights.device()));
  check(log_scale == LogScale::none || floor >= std::numeric_limits<float>::min(),
        "mel_spectrogram: the logarithm needs a floor or offset of at least {:.3g}, got {:.3g}",
        std::numeric_limits<float>::min(), floor);
  const auto* indices = reinterpret_cast<const std::int32_t*>(filters.indices.data<std::uint8_t>());
  const MelFilters on_device{filters.n_mels, indices, indices + filters.n_mels,
                             indices + 2 * filters.n_mels, filters.weights.data<float>()};
  const Tensor y = empty_like(audio, {p.clips, filters.n_mels, p.frames()});
  dispatch("mel_spectrogram", audio, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(audio.device(), k.mel_spectrogram_workspace(p, filters.n_mels));
    k.mel_spectrogram(current_stream(audio.device()), p, on_device, log_scale, floor,
                      audio.data<T>(), window.data<T>(), y.data<T>(), work.data());
  });
  return y;
}

void top_db(const Tensor& y, double top_db) {
  check(y.rank() >= 1, "top_db: expected [clips, ...], got a scalar");
  check(top_db >= 0, "top_db: expected a range of at least 0 dB, got {}", top_db);
  const Index clips = y.dim(0);
  dispatch("top_db", y, [&]<class T>(const Kernels<T>& k) {
    const Index size = clips ? y.size() / clips : 0;
    const Workspace work(y.device(), k.top_db_workspace(clips, size));
    k.top_db(current_stream(y.device()), clips, size, top_db, y.data<T>(), work.data());
  });
}

void standardize_clip(const Tensor& y, const Tensor& frames_valid, double eps) {
  const StandardizeShape p = standardize_shape("standardize_clip", y, frames_valid, eps);
  dispatch("standardize_clip", y, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(y.device(), k.standardize_clip_workspace(p));
    k.standardize_clip(current_stream(y.device()), p, data_or_null<std::int64_t>(frames_valid),
                       y.data<T>(), work.data());
  });
}

void standardize_band(const Tensor& y, const Tensor& mean, const Tensor& inv_std,
                      const Tensor& frames_valid) {
  const StandardizeShape p = standardize_shape("standardize_band", y, frames_valid, 0);
  for (const Tensor* statistic : {&mean, &inv_std}) {
    check_same_place("standardize_band", y, *statistic);
    check(statistic->size() == p.bands,
          "standardize_band: expected a mean and an inverse deviation of {} bands, got {}", p.bands,
          to_string(statistic->shape()));
  }
  dispatch("standardize_band", y, [&]<class T>(const Kernels<T>& k) {
    k.standardize_band(current_stream(y.device()), p, data_or_null<std::int64_t>(frames_valid),
                       mean.data<T>(), inv_std.data<T>(), y.data<T>());
  });
}

Tensor augment(const Tensor& x, const Augmentation& a) {
  check(x.rank() == 4 && x.dim(3) == 1,
        "augment: expected spectrograms [N, bands, frames, 1], got {}", to_string(x.shape()));
  check(a.samples.defined() && a.samples.dtype() == DType::u8 &&
            a.samples.bytes() == static_cast<std::size_t>(x.dim(0)) * sizeof(AugmentSample) &&
            a.samples.device() == x.device(),
        "augment: expected u8 samples [{}, {}] on {}, got {} {} on {}", x.dim(0),
        sizeof(AugmentSample), to_string(x.device()), to_string(a.samples.dtype()),
        to_string(a.samples.shape()), to_string(a.samples.device()));
  check_positions(x, a.band_at, "bands", x.dim(1));
  check_positions(x, a.frame_at, "frames", -1);
  const AugmentShape p{x.dim(0), x.dim(1), x.dim(2),
                       a.frame_at.defined() ? a.frame_at.dim(1) : x.dim(2), a.pad};
  check(p.source_frames > 0 || p.frames == 0, "augment: {} has no frames", to_string(x.shape()));
  const Tensor y = empty_like(x, {p.n, p.bands, p.frames, 1});
  dispatch("augment", x, [&]<class T>(const Kernels<T>& k) {
    k.augment(current_stream(x.device()), p,
              reinterpret_cast<const AugmentSample*>(a.samples.data<std::uint8_t>()),
              data_or_null<float>(a.band_at), data_or_null<float>(a.frame_at), x.data<T>(),
              y.data<T>());
  });
  return y;
}

}  // namespace etude
