// Mel filters, window, and the front end built from them.
#include "data/mel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace etude::data {
namespace {

// Slaney's scale (Auditory Toolbox, 1998) is linear below 1 kHz and logarithmic above it: 27 steps
// for a factor of 6.4. HTK's (O'Shaughnessy, 1987) is one logarithm.
constexpr double kLinearStep = 200.0 / 3, kLogStart = 1000;
const double kLogStep = std::log(6.4) / 27;

double hz_to_mel(MelScale scale, double hz) {
  if (scale == MelScale::htk) return 2595 * std::log10(1 + hz / 700);
  return hz < kLogStart ? hz / kLinearStep
                        : kLogStart / kLinearStep + std::log(hz / kLogStart) / kLogStep;
}

double mel_to_hz(MelScale scale, double mel) {
  if (scale == MelScale::htk) return 700 * (std::pow(10, mel / 2595) - 1);
  constexpr double knee = kLogStart / kLinearStep;
  return mel < knee ? mel * kLinearStep : kLogStart * std::exp(kLogStep * (mel - knee));
}

// n_mels + 2 frequencies, equally spaced in mel: filter m rises from [m] to [m + 1] and falls to
// [m + 2].
std::vector<double> corner_frequencies(const MelSettings& s) {
  const double low = hz_to_mel(s.mel_scale, s.f_min);
  const double high = hz_to_mel(s.mel_scale, s.f_max > 0 ? s.f_max : s.sample_rate / 2.0);
  std::vector<double> hz;
  for (Index i = 0; i < s.n_mels + 2; ++i)
    hz.push_back(mel_to_hz(s.mel_scale, low + (high - low) * static_cast<double>(i) /
                                                  static_cast<double>(s.n_mels + 1)));
  return hz;
}

// One line for all of them: "4 of 128 filters are empty (0, 3, 6, 13)".
void warn_of_empty_filters(const MelSettings& s, const MelFilterBank& bank,
                           std::vector<std::string>& warnings) {
  const auto empty = [&](std::size_t m) { return m < bank.count.size() && bank.count[m] == 0; };
  constexpr int most_ranges = 8;
  int ranges = 0;
  std::string which;
  for (std::size_t m = 0; m < bank.count.size(); ++m) {
    if (!empty(m)) continue;
    std::size_t last = m;
    while (empty(last + 1)) ++last;
    if (++ranges <= most_ranges) {
      which += fmt::format("{}{}", ranges > 1 ? ", " : "", m);
      if (last > m) which += fmt::format("-{}", last);
    }
    m = last;
  }
  if (ranges == 0) return;
  warnings.push_back(fmt::format(
      "mel: {} of {} filters are empty ({}{}): no frequency of n_fft {} lies in them; fewer bands, "
      "a larger n_fft or a higher f_min would fill them",
      std::count(bank.count.begin(), bank.count.end(), 0), s.n_mels, which,
      ranges > most_ranges ? ", ..." : "", s.n_fft));
}

Index to_samples(const MelSettings& s, double seconds) {
  return static_cast<Index>(std::llround(seconds * s.sample_rate));
}

}  // namespace

MelFilterBank make_mel_filters(const MelSettings& settings, Device device,
                               std::vector<std::string>* warnings) {
  settings.check_valid();
  const std::vector<double> hz = corner_frequencies(settings);
  const double bin_hz =
      static_cast<double>(settings.sample_rate) / static_cast<double>(settings.n_fft);
  MelFilterBank bank;
  bank.n_mels = settings.n_mels;
  std::vector<float> weights;
  for (std::size_t m = 0; m + 2 < hz.size(); ++m) {
    const double left = hz[m], centre = hz[m + 1], right = hz[m + 2];
    const double norm = settings.mel_norm == MelNorm::slaney ? 2 / (right - left) : 1;
    bank.offset.push_back(static_cast<std::int32_t>(weights.size()));
    bank.first.push_back(0);
    bank.count.push_back(0);
    for (Index k = 0; k <= settings.n_fft / 2; ++k) {
      const double f = static_cast<double>(k) * bin_hz;
      const double height = std::min((f - left) / (centre - left), (right - f) / (right - centre));
      if (height <= 0) continue;
      if (bank.count.back()++ == 0) bank.first.back() = static_cast<std::int32_t>(k);
      weights.push_back(static_cast<float>(norm * height));
    }
  }
  if (warnings) warn_of_empty_filters(settings, bank, *warnings);

  bank.weights = Tensor::from(weights, {static_cast<Index>(weights.size())}, device);
  std::vector<std::uint8_t> bytes;
  for (const auto* column : {&bank.first, &bank.count, &bank.offset}) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(column->data());
    bytes.insert(bytes.end(), begin, begin + column->size() * sizeof(std::int32_t));
  }
  bank.indices = Tensor::from(bytes, {static_cast<Index>(bytes.size())}, device);
  return bank;
}

std::vector<double> mel_centres(const MelSettings& settings) {
  const std::vector<double> corners = corner_frequencies(settings);
  return {corners.begin() + 1, corners.end() - 1};
}

Tensor make_window(const MelSettings& settings, Device device) {
  settings.check_valid();
  const Index length = settings.win_length ? settings.win_length : settings.n_fft;
  std::vector<float> window(static_cast<std::size_t>(settings.n_fft), 0.0f);
  const Index start = (settings.n_fft - length) / 2;
  for (Index i = 0; i < length; ++i) {
    const double turn = static_cast<double>(i) / static_cast<double>(length);
    window[static_cast<std::size_t>(start + i)] =
        static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi * turn));
  }
  return Tensor::from(window, {settings.n_fft}, device);
}

MelFrontEnd::MelFrontEnd(MelSettings settings, Device device)
    : settings_(std::move(settings)),
      device_(device),
      filters_(make_mel_filters(settings_, device, &warnings_)),
      window_(make_window(settings_, device)) {}

Tensor MelFrontEnd::operator()(const std::vector<float>& samples) const {
  const MelSettings& s = settings_;
  check(!samples.empty(), "mel: expected audio, got no samples");
  auto own = static_cast<Index>(samples.size());
  if (s.clip_seconds > 0) own = std::min(own, std::max<Index>(1, to_samples(s, s.clip_seconds)));
  const Index wanted = to_samples(s, s.fill_seconds > 0 ? s.fill_seconds : s.clip_seconds);
  const Index length = s.short_clip == ShortClip::keep ? own : std::max(own, wanted);
  check(s.centred || length >= s.n_fft,
        "mel: {} samples are fewer than the {} of an uncentred frame; pad, or centre the frames",
        length, s.n_fft);

  std::vector<float> filled;  // where the samples do not do as they are
  if (length > own) {
    filled.assign(samples.begin(), samples.begin() + own);
    filled.resize(static_cast<std::size_t>(length), 0.0f);
    if (s.short_clip == ShortClip::tile)
      for (Index i = own; i < length; ++i)
        filled[static_cast<std::size_t>(i)] = filled[static_cast<std::size_t>(i - own)];
  }
  const float* const clip = length > own ? filled.data() : samples.data();
  // Without a copy where the device reads the host's memory: a minute has 5 MB, the whole front end
  // 2 ms.
  const Tensor audio = device_ == cpu_device ? Tensor::borrow(clip, {1, length})
                                             : Tensor::from(clip, {1, length}, device_);
  Tensor y = mel_spectrogram(audio, window_, {s.n_fft, s.hop, s.centred, s.pad_mode}, filters_,
                             s.log_scale, s.log_floor);
  const Index frames = y.dim(2);
  if (s.log_scale != LogScale::none && s.top_db > 0) top_db(y, s.top_db);
  if (s.standardize == Standardize::clip) {
    // Frames centred on the clip's own samples; those after them are padding (mel.h).
    Index valid = frames;
    if (s.short_clip == ShortClip::pad && own < length && !s.pad_in_statistics)
      valid = std::min(frames,
                       s.centred ? 1 + own / s.hop : 1 + std::max<Index>(0, own - s.n_fft) / s.hop);
    standardize_clip(y, Tensor::from(std::vector<std::int64_t>{valid}, {1}, device_));
  }
  const Index kept = s.max_frames > 0 ? std::min(frames, s.max_frames) : frames;
  if (kept == frames) return y.view({s.n_mels, frames});
  const std::vector<float> all = y.to_vector<float>();
  std::vector<float> cropped;
  for (Index m = 0; m < s.n_mels; ++m)
    cropped.insert(cropped.end(), all.begin() + m * frames, all.begin() + m * frames + kept);
  return Tensor::from(cropped, {s.n_mels, kept}, device_);
}

}  // namespace etude::data
