#include "apps/augment.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "apps/usage.h"

namespace etude::apps {

namespace {

constexpr double level_deviation = 0.15, tilt_deviation = 0.15, most_noise = 0.2;
constexpr double most_semitones = 2, most_tempo = 0.25, mixup_alpha = 0.2;
constexpr double band_share = 0.16, frame_share = 0.19;

// A stretch of 0 to `share` of `length`, anywhere.
AugmentDraw::Span random_span(int length, double share, Generator& random) {
  const int longest = static_cast<int>(share * length);
  const int n = static_cast<int>(random.below(longest + 1));
  const int begin = static_cast<int>(random.below(length - n + 1));
  return {begin, begin + n};
}

// Between which bands each band's numbers lay before its frequency was moved by `semitones`; beyond
// the ends, the end itself.
std::vector<float> shifted_bands(double semitones, const std::vector<double>& hz) {
  const double ratio = std::exp2(semitones / 12);
  const auto height = static_cast<int>(hz.size());
  std::vector<float> at(hz.size(), 0.0f);
  if (height < 2) return at;
  for (int band = 0; band < height; ++band) {
    const double from = hz[band] / ratio;
    const auto above = std::upper_bound(hz.begin(), hz.end(), from);
    const int high = std::clamp(static_cast<int>(above - hz.begin()), 1, height - 1);
    const double share = (from - hz[high - 1]) / (hz[high] - hz[high - 1]);
    at[band] = static_cast<float>(high - 1 + std::clamp(share, 0.0, 1.0));
  }
  return at;
}

// Two masks at most.
void set_masks(const std::vector<AugmentDraw::Span>& drawn, AugmentSample::Span (&masks)[2]) {
  for (std::size_t i = 0; i < drawn.size(); ++i) masks[i] = {drawn[i].begin, drawn[i].end};
}

}  // namespace

const std::vector<std::string>& augmentation_names() {
  static const std::vector<std::string> names = {
      "crop", "gain", "tilt", "noise", "frequency-mask", "time-mask", "pitch", "tempo", "mixup"};
  return names;
}

std::set<std::string> parse_augment(const std::string& text) {
  const auto& all = augmentation_names();
  if (text == "none") return {};
  if (text == "mel") return {"crop", "gain", "tilt", "frequency-mask", "time-mask"};
  if (text == "all") return {all.begin(), all.end()};
  std::set<std::string> names;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string name = text.substr(at, end - at);
    check_usage(std::find(all.begin(), all.end(), name) != all.end(),
                "--augment {}: \"{}\" is none of none, mel, all, {}", text, name,
                fmt::join(all, ", "));
    names.insert(name);
    at = end + 1;
  }
  return names;
}

Augmenter::Augmenter(std::set<std::string> names, const std::optional<data::MelSettings>& mel)
    : names_(std::move(names)) {
  if (mel) {
    band_hz_ = data::mel_centres(*mel);
    return;
  }
  for (const std::string& name : names_)
    check_usage(name == "crop" || name == "noise" || name == "mixup",
                "--augment {}: goes with spectrograms; the data are images", name);
}

AugmentDraw Augmenter::draw(int height, int width, const Generator& random) const {
  AugmentDraw d;
  const auto stream = [&](std::uint64_t number) { return random.fork(number); };
  if (has("gain")) d.gain = level_deviation * stream(0).normal();
  if (has("tilt")) d.tilt = tilt_deviation * stream(1).normal();
  if (has("frequency-mask")) {
    Generator own = stream(2);
    for (int i = 0; i < 2; ++i) d.bands.push_back(random_span(height, band_share, own));
  }
  if (has("time-mask")) {
    Generator own = stream(3);
    for (int i = 0; i < 2; ++i) d.frames.push_back(random_span(width, frame_share, own));
  }
  if (has("noise")) {
    d.noise_stream = stream(4);
    d.noise = d.noise_stream.uniform(0, most_noise);
  }
  if (has("pitch")) d.semitones = stream(5).uniform(-most_semitones, most_semitones);
  return d;
}

data::SampleAugmentation Augmenter::parameters(const AugmentDraw& d) const {
  data::SampleAugmentation p;
  p.values.gain = static_cast<float>(d.gain);
  p.values.tilt = static_cast<float>(d.tilt);
  p.values.noise = static_cast<float>(d.noise);
  p.values.noise_stream = d.noise_stream.state();
  set_masks(d.bands, p.values.bands);
  set_masks(d.frames, p.values.frames);
  if (d.semitones != 0) p.band_at = shifted_bands(d.semitones, band_hz_);
  return p;
}

void Augmenter::install(data::LoaderOptions& options) const {
  options.random_crop = has("crop");
  options.tempo = has("tempo") ? most_tempo : 0;
  options.mixup = has("mixup") ? mixup_alpha : 0;
  const bool any = std::any_of(names_.begin(), names_.end(), [](const std::string& name) {
    return name != "crop" && name != "tempo" && name != "mixup";
  });
  options.augment = nullptr;
  if (any)
    options.augment = [self = *this](int height, int width, Generator& random) {
      return self.parameters(self.draw(height, width, random));
    };
}

std::string describe(const AugmentDraw& d) {
  std::vector<std::string> parts;
  if (d.gain != 0) parts.push_back(fmt::format("gain {:+.2f}", d.gain));
  if (d.tilt != 0) parts.push_back(fmt::format("tilt {:+.2f}", d.tilt));
  if (d.noise != 0) parts.push_back(fmt::format("noise {:.2f}", d.noise));
  if (d.semitones != 0) parts.push_back(fmt::format("pitch {:+.2f} semitones", d.semitones));
  for (const auto& [what, spans] : {std::pair{"bands", &d.bands}, {"frames", &d.frames}})
    for (const auto& span : *spans)
      if (span.end > span.begin)
        parts.push_back(fmt::format("{} {}-{} masked", what, span.begin, span.end - 1));
  return parts.empty() ? "nothing" : fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace etude::apps
