// Settings of the front end: presets, and their form as text.
#include <charconv>
#include <functional>
#include <utility>

#include "data/mel.h"

namespace etude::data {
namespace {

template <class E>
using Names = std::vector<std::pair<const char*, E>>;

const Names<ShortClip> short_clips = {
    {"keep", ShortClip::keep}, {"pad", ShortClip::pad}, {"tile", ShortClip::tile}};
const Names<PadMode> pad_modes = {{"zero", PadMode::zero}, {"reflect", PadMode::reflect}};
const Names<MelScale> mel_scales = {{"htk", MelScale::htk}, {"slaney", MelScale::slaney}};
const Names<MelNorm> mel_norms = {{"none", MelNorm::none}, {"slaney", MelNorm::slaney}};
const Names<LogScale> log_scales = {
    {"none", LogScale::none}, {"db", LogScale::db}, {"db_offset", LogScale::db_offset}};
const Names<Standardize> standardizations = {
    {"none", Standardize::none}, {"clip", Standardize::clip}, {"band", Standardize::band}};
const Names<bool> switches = {{"false", false}, {"true", true}};

// How a field is written and read.
struct Field {
  const char* name;
  std::function<std::string(const MelSettings&)> get;
  std::function<void(MelSettings&, const std::string&)> set;
};

template <class T>
Field number(const char* name, T MelSettings::*member) {
  return {name, [=](const MelSettings& s) { return fmt::format("{}", s.*member); },
          [=](MelSettings& s, const std::string& text) {
            T value{};
            const char* end = text.data() + text.size();
            const auto [rest, error] = std::from_chars(text.data(), end, value);
            check(error == std::errc() && rest == end, "mel: {} = \"{}\": expected {}", name, text,
                  std::is_integral_v<T> ? "a whole number" : "a number");
            s.*member = value;
          }};
}

template <class E>
Field choice(const char* name, E MelSettings::*member, const Names<E>& names) {
  return {name,
          [=, &names](const MelSettings& s) -> std::string {
            for (const auto& [text, value] : names)
              if (value == s.*member) return text;
            fail("mel: {} has no name for its value", name);
          },
          [=, &names](MelSettings& s, const std::string& text) {
            std::string known;
            for (const auto& [each, value] : names) {
              if (text == each) {
                s.*member = value;
                return;
              }
              known += std::string(known.empty() ? "" : ", ") + each;
            }
            fail("mel: {} = \"{}\": expected one of {}", name, text, known);
          }};
}

const std::vector<Field>& fields() {
  static const std::vector<Field> all = {
      {"preset", [](const MelSettings& s) { return s.preset; },
       [](MelSettings& s, const std::string& text) { s.preset = text; }},
      number("sample_rate", &MelSettings::sample_rate),
      number("clip_seconds", &MelSettings::clip_seconds),
      number("fill_seconds", &MelSettings::fill_seconds),
      choice("short_clip", &MelSettings::short_clip, short_clips),
      choice("pad_in_statistics", &MelSettings::pad_in_statistics, switches),
      number("n_fft", &MelSettings::n_fft),
      number("win_length", &MelSettings::win_length),
      number("hop", &MelSettings::hop),
      choice("centred", &MelSettings::centred, switches),
      choice("pad_mode", &MelSettings::pad_mode, pad_modes),
      number("n_mels", &MelSettings::n_mels),
      number("f_min", &MelSettings::f_min),
      number("f_max", &MelSettings::f_max),
      choice("mel_scale", &MelSettings::mel_scale, mel_scales),
      choice("mel_norm", &MelSettings::mel_norm, mel_norms),
      choice("log_scale", &MelSettings::log_scale, log_scales),
      number("log_floor", &MelSettings::log_floor),
      number("top_db", &MelSettings::top_db),
      choice("standardize", &MelSettings::standardize, standardizations),
      number("max_frames", &MelSettings::max_frames),
  };
  return all;
}

MelSettings librosa() { return {}; }  // the defaults of MelSettings

MelSettings librosa_legacy() {
  MelSettings s = librosa();
  s.pad_mode = PadMode::reflect;
  return s;
}

MelSettings torchaudio() {
  MelSettings s;
  s.sample_rate = 16000;
  s.n_fft = 400;
  s.hop = 200;
  s.pad_mode = PadMode::reflect;
  s.mel_scale = MelScale::htk;
  s.mel_norm = MelNorm::none;
  s.top_db = 0;
  return s;
}

MelSettings original() {
  MelSettings s = librosa();
  s.clip_seconds = 45;
  s.short_clip = ShortClip::pad;
  s.n_mels = 64;
  s.standardize = Standardize::clip;
  s.max_frames = 1200;
  return s;
}

MelSettings mer() {
  MelSettings s;
  s.fill_seconds = 3;  // the crop that the networks of the recipe see
  s.short_clip = ShortClip::tile;
  s.hop = 1024;
  s.pad_mode = PadMode::reflect;
  s.n_mels = 64;
  s.f_min = 30;
  s.f_max = 11000;
  s.mel_scale = MelScale::htk;
  s.mel_norm = MelNorm::none;
  s.log_scale = LogScale::db_offset;
  s.log_floor = 1e-6;
  s.top_db = 0;
  s.standardize = Standardize::band;
  return s;
}

const std::vector<std::pair<std::string, MelSettings (*)()>>& presets() {
  static const std::vector<std::pair<std::string, MelSettings (*)()>> all = {
      {"librosa", librosa},
      {"librosa-legacy", librosa_legacy},
      {"torchaudio", torchaudio},
      {"original", original},
      {"mer", mer},
  };
  return all;
}

}  // namespace

std::map<std::string, std::string> MelSettings::to_map() const {
  std::map<std::string, std::string> map;
  for (const Field& field : fields()) map[field.name] = field.get(*this);
  return map;
}

void MelSettings::set(const std::string& name, const std::string& value) {
  std::string known;
  for (const Field& field : fields()) {
    if (name == field.name) return field.set(*this, value);
    known += std::string(known.empty() ? "" : ", ") + field.name;
  }
  fail("mel: unknown setting \"{}\"; expected one of {}", name, known);
}

void MelSettings::check_valid() const {
  // The comparisons are false for NaN.
  const auto in_range = [](const char* name, double value, double low, double high) {
    check(value >= low && value <= high, "mel: {} = {}: expected {} to {}", name, value, low, high);
  };
  constexpr double day = 24 * 3600;
  in_range("sample_rate", sample_rate, 1000, 768000);
  in_range("clip_seconds", clip_seconds, 0, day);
  in_range("fill_seconds", fill_seconds, 0, clip_seconds > 0 ? clip_seconds : day);
  in_range("n_fft", static_cast<double>(n_fft), 128, 8192);
  check(n_fft % 2 == 0, "mel: n_fft = {}: expected an even number", n_fft);
  in_range("win_length", static_cast<double>(win_length), 0, static_cast<double>(n_fft));
  in_range("hop", static_cast<double>(hop), 1, 1 << 20);
  in_range("n_mels", static_cast<double>(n_mels), 1, 4096);
  const double nyquist = sample_rate / 2.0;
  in_range("f_max", f_max, 0, nyquist);
  check(
      f_min >= 0 &&
              f_min<(f_max > 0 ? f_max : nyquist),
                    "mel: f_min = {}: expected 0 or more and less than f_max = {}", f_min, f_max> 0
          ? f_max
          : nyquist);
  if (log_scale != LogScale::none) in_range("log_floor", log_floor, 1e-37, 1e37);
  in_range("top_db", top_db, 0, 1e6);
  in_range("max_frames", static_cast<double>(max_frames), 0, 1e9);
}

MelSettings mel_preset(const std::string& name) {
  std::string known;
  for (const auto& [each, make] : presets()) {
    if (each == name) {
      MelSettings settings = make();
      settings.preset = name;
      return settings;
    }
    known += (known.empty() ? "" : ", ") + each;
  }
  fail("mel: unknown preset \"{}\"; expected one of {}", name, known);
}

std::vector<std::string> mel_preset_names() {
  std::vector<std::string> names;
  for (const auto& preset : presets()) names.push_back(preset.first);
  return names;
}

}  // namespace etude::data
