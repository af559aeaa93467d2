#include "apps/defaults.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/usage.h"
#include "data/audio.h"
#include "data/steps.h"

namespace etude::apps {

namespace {

using Kind = DataProfile::Kind;

template <class T>
void set_default(std::optional<T>& field, T value) {
  if (!field) field = std::move(value);
}

Index round_up(double value, Index multiple) {
  return static_cast<Index>(std::ceil(value / static_cast<double>(multiple))) * multiple;
}

Index next_power_of_two(double value) {
  Index n = 1;
  while (static_cast<double>(n) < value) n *= 2;
  return n;
}

}  // namespace

std::string to_string(Kind kind) {
  switch (kind) {
    case Kind::images:
      return "images";
    case Kind::short_clips:
      return "short clips";
    case Kind::sounds:
      return "sounds";
    case Kind::songs:
      return "songs";
  }
  return {};
}

DataProfile profile_dataset(const data::Dataset& dataset) {
  DataProfile profile;
  if (dataset.kind == "idx") return profile;
  std::vector<const data::Item*> with_audio;
  for (const data::Item& item : dataset.items)
    if (!item.file.empty()) with_audio.push_back(&item);

  constexpr std::size_t looks = 48;
  const std::size_t n = std::min(looks, with_audio.size());
  std::vector<double> seconds;
  std::map<int, int> rates;
  std::string problem = "none has audio";
  for (std::size_t i = 0; i < n; ++i) {
    const auto& file = with_audio[i * with_audio.size() / n]->file;
    try {
      const data::Audio audio = data::load_audio(file, {.max_seconds = 60});
      seconds.push_back(audio.seconds());
      ++rates[audio.sample_rate];
    } catch (const Error& e) {
      problem = e.what();
    }
  }
  check(!seconds.empty(), "{} data set: none of its {} files can be used ({})", dataset.kind,
        dataset.items.size(), problem);
  std::sort(seconds.begin(), seconds.end());
  profile.median_seconds = seconds[seconds.size() / 2];
  profile.long_seconds = seconds[(seconds.size() * 95 + 99) / 100 - 1];
  profile.sample_rate =
      std::max_element(rates.begin(), rates.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      })->first;
  profile.kind = profile.median_seconds < 2    ? Kind::short_clips
                 : profile.median_seconds < 10 ? Kind::sounds
                                               : Kind::songs;
  return profile;
}

// Short clips: speech-like settings at the files' own rate (32 ms windows, 10 ms hop, 64 bands).
// The transform is twice as long as the window, so that the lowest bands do not fall between bins.
// Each clip is standardised by itself: voices and microphones differ in level (Free Spoken Digit,
// one speaker held out: 0.88 becomes 0.94, of another 0.79 0.87).
// Songs: the preset `mer`, measured on music emotion data. Sounds: the same; half the window and
// hop, for their shorter events, was worse for the same work (two folds of ESC-10).
data::MelSettings default_mel(const DataProfile& profile) {
  data::MelSettings mel = data::mel_preset("mer");
  if (profile.kind == Kind::short_clips) {
    mel.preset = "short-clips";
    mel.sample_rate = std::min(profile.sample_rate, 16000);
    mel.win_length = mel.sample_rate * 32 / 1000;
    mel.n_fft = next_power_of_two(static_cast<double>(2 * mel.win_length));
    mel.hop = mel.sample_rate / 100;
    mel.n_mels = 64;
    mel.pad_mode = PadMode::zero;  // a clip may be shorter than half a window
    mel.f_min = 30;
    mel.f_max = 0;
    mel.short_clip = data::ShortClip::keep;
    mel.clip_seconds = 0;
    mel.standardize = data::Standardize::clip;
  }
  if (profile.kind != Kind::short_clips && profile.sample_rate < mel.sample_rate) {
    mel.sample_rate = profile.sample_rate;
    mel.f_max = 0;
  }
  return mel;
}

data::MelSettings resolve_mel(const TrainConfig& config, const DataProfile& profile) {
  data::MelSettings mel = config.preset ? data::mel_preset(*config.preset) : default_mel(profile);
  for (const std::string& text : config.mel) {
    const auto equals = text.find('=');
    check_usage(equals != std::string::npos && equals > 0,
                "--mel {}: expected NAME=VALUE, e.g. --mel n_mels=96", text);
    check_usage(text.substr(0, equals) != "preset",
                "--mel {}: this would change the name alone; use --preset {}", text,
                text.substr(equals + 1));
    try {
      mel.set(text.substr(0, equals), text.substr(equals + 1));
    } catch (const Error& e) {
      throw UsageError(fmt::format("--mel {}: {}", text, e.what()));
    }
  }
  try {
    mel.check_valid();
  } catch (const Error& e) {
    throw UsageError(fmt::format("--mel: {} (preset {})", e.what(), mel.preset));
  }
  return mel;
}

namespace {

// What a row of the table below sets. A rate of SGD is the same everywhere.
struct Row {
  int epochs;
  double lr, decay, smoothing;
  const char *augment, *schedule;
};

Row general_row(const DataProfile& profile, int train_items, int batch) {
  switch (profile.kind) {
    case Kind::images:
      return {10, 2e-3, 0.01, 0, "crop", "onecycle"};
    case Kind::short_clips:
      return {10, 2e-3, 0.05, 0, "crop", "onecycle"};
    default:
      // An epoch is one crop a song, so a small corpus needs more of them: about 1500 steps.
      return {std::clamp(1500 / std::max(1, train_items / batch), 40, 120),
              2e-3,
              0.05,
              0.1,
              "mel",
              "onecycle"};
  }
}

// As measured (recipes.h) from 640 clips on; with fewer, as many steps as those would take. Words
// are seen whole, and other voices need pitch and tempo (Free Spoken Digit: 0.80 without any
// augmentation, 0.88 with these, of one speaker held out; 0.70 and 0.79 of another).
Row small_row(const DataProfile& profile, int train_items, int batch) {
  const int steps = std::max(1, train_items / batch);
  if (profile.kind == Kind::short_clips)
    return {std::clamp(3400 / steps, 20, 120),
            3e-3,
            0.05,
            0,
            "crop,gain,tilt,frequency-mask,time-mask,pitch,tempo",
            "onecycle"};
  const int epochs = steps >= 20 ? 120 : std::min(400, 2400 / steps);
  return {epochs, 3e-3, 0.05, 0.1, "mel", "onecycle"};
}

// Frames that cover `seconds`, in steps of 16.
Index frames_of(double seconds, const data::MelSettings& mel) {
  const double per_second = static_cast<double>(mel.sample_rate) / static_cast<double>(mel.hop);
  return std::max<Index>(32, 16 * std::lround(seconds * per_second / 16));
}

int default_width(const TrainConfig& config, const std::string& recipe,
                  const DataProfile& profile) {
  if (profile.kind == Kind::images || recipe == "original") return 0;  // the whole item
  const data::MelSettings mel = resolve_mel(config, profile);
  if (config.task == "va-dynamic")  // twelve seconds: what comes before matters
    return data::StepGrid::of(mel.sample_rate, static_cast<double>(mel.hop)).frames(24);
  const bool words = profile.kind == Kind::short_clips;
  if ((recipe == "small" && !words) || profile.kind == Kind::songs)
    return static_cast<int>(frames_of(3, mel));
  const double frames_per_second =
      static_cast<double>(mel.sample_rate) / static_cast<double>(mel.hop);
  return static_cast<int>(
      std::clamp<Index>(round_up(profile.long_seconds * frames_per_second, 16), 32, 512));
}

}  // namespace

void fill_defaults(TrainConfig& config, const std::string& recipe, const DataProfile& profile,
                   int train_items) {
  const bool small = recipe == "small", original = recipe == "original";
  set_default<std::string>(config.optimizer, "adamw");
  const bool sgd = *config.optimizer == "sgd";
  set_default(config.batch, profile.kind == Kind::images ? 64 : 32);
  const Row row = original ? Row{20, 1e-3, 0, 0, "crop", "constant"}
                  : small  ? small_row(profile, train_items, *config.batch)
                           : general_row(profile, train_items, *config.batch);
  set_default(config.epochs, row.epochs);
  // Cycles are whole epochs, and none ends early.
  if (config.cycles > 1) {
    config.epochs = config.cycles * std::max(1, *config.epochs / config.cycles);
    set_default(config.patience, 0);
  }
  set_default<std::string>(config.loss, "mse");
  set_default(config.label_smoothing, row.smoothing);
  set_default<std::string>(config.augment, row.augment);
  set_default(config.lr, sgd ? 0.05 : row.lr);
  set_default(config.weight_decay, sgd ? 5e-4 : row.decay);
  set_default<std::string>(config.schedule, row.schedule);
  // One cycle: from a tenth of the highest rate, over a quarter of the steps, to a ten-thousandth.
  set_default(config.lr_start, *config.lr / (small ? 10 : 25));
  set_default(config.lr_end, *config.lr_start / (small ? 1e3 : 1e4));
  set_default(config.lr_peak, small ? 0.25 : 0.3);
  set_default(config.beta1, 0.9);
  set_default(config.beta2, small ? 0.99 : 0.999);
  // One-cycle is worst in its middle, so patience has to outlast that.
  set_default(config.patience, original ? 5 : small ? 0 : std::max(10, *config.epochs / 2));
  set_default(config.width, default_width(config, recipe, profile));
  set_default(config.window_step, *config.width / 2);
}

}  // namespace etude::apps
