// The audio front end on one 45-second clip at 22,050 Hz: 1,938 frames of 2,048, 128 mel bands.
#include <cmath>

#include "bench/rows.h"
#include "data/mel.h"

namespace etude::bench {
namespace {

constexpr Index samples = 45 * 22050;
constexpr Index hop = 512;

data::MelSettings settings(Index n_fft) {
  data::MelSettings s = data::mel_preset("librosa");
  s.n_fft = n_fft;
  return s;
}

// The usual count for real transforms: half of 5 N log2 N each.
double transform_flops(Index n_fft) {
  const double n = static_cast<double>(n_fft);
  return static_cast<double>(1 + samples / hop) * 2.5 * n * std::log2(n);
}

std::function<void()> transform(Index n_fft) {
  return [n_fft, x = random_tensor({1, samples}),
          window = data::make_window(settings(n_fft), cpu_device)] {
    stft(x, window, {n_fft, hop});
  };
}

std::function<void()> mel(Index n_fft) {
  return [n_fft, x = random_tensor({1, samples}),
          window = data::make_window(settings(n_fft), cpu_device),
          filters = data::make_mel_filters(settings(n_fft), cpu_device)] {
    mel_spectrogram(x, window, {n_fft, hop}, filters, LogScale::db, 1e-10);
  };
}

}  // namespace

void register_front_end_rows(const Machine& machine) {
  for (const Index n_fft : {512, 2048, 400})
    register_row(machine, {"stft/" + std::to_string(n_fft), transform_flops(n_fft), 0,
                           [n_fft] { return transform(n_fft); }});
  register_row(machine,
               {"mel_spectrogram/2048", transform_flops(2048), 0, [] { return mel(2048); }});
}

}  // namespace etude::bench
