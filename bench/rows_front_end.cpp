// The audio front end on one 45-second clip at 22,050 Hz: 1,938 frames of 2,048, 128 mel bands.
#include <cmath>

#include "bench/rows.h"
#include "data/mel.h"

namespace etude::bench {

void register_front_end_rows(const Machine& machine) {
  constexpr Index samples = 45 * 22050;
  const auto settings = [](Index n_fft) {
    data::MelSettings s = data::mel_preset("librosa");
    s.n_fft = n_fft;
    return s;
  };
  for (const Index n_fft : {512, 2048, 400}) {
    const StftShape p{1, samples, n_fft, 512};
    // The usual count for a real transform: half of 5 N log2 N.
    const double n = static_cast<double>(n_fft), frames = static_cast<double>(p.frames());
    const double flops = frames * 2.5 * n * std::log2(n);
    register_row(machine, {"stft/" + std::to_string(n_fft), flops, 0, [=] {
                             return [=, x = random_tensor({1, samples}),
                                     window = data::make_window(settings(n_fft), cpu_device)] {
                               stft(x, window, {n_fft, 512});
                             };
                           }});
  }
  const double mel_flops = 1938 * 2.5 * 2048 * 11;
  register_row(machine, {"mel_spectrogram/librosa", mel_flops, 0, [=] {
                           return [x = random_tensor({1, samples}),
                                   window = data::make_window(settings(2048), cpu_device),
                                   filters = data::make_mel_filters(settings(2048), cpu_device)] {
                             mel_spectrogram(x, window, {2048, 512}, filters, LogScale::db, 1e-10);
                           };
                         }});
}

}  // namespace etude::bench
