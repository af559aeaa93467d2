// etude mel: the audio front end alone.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/commands.h"
#include "apps/defaults.h"
#include "apps/json.h"
#include "apps/progress.h"
#include "apps/usage.h"
#include "data/audio.h"
#include "data/mel.h"
#include "data/npy.h"
#include "data/png.h"

namespace etude::apps {

namespace {

struct Options {
  std::string file, out;
  TrainConfig config;  // preset and overrides
  bool strict = false, json = false;
};

int mel(const Options& options) {
  const std::filesystem::path out = options.out;
  check_usage(out.empty() || out.extension() == ".npy" || out.extension() == ".png",
              "mel --out {}: expected a name that ends in .npy or .png", options.out);
  const data::MelSettings settings = resolve_mel(options.config, {});
  const data::MelFrontEnd front_end(settings);
  for (const auto& text : front_end.warnings()) note("warning: " + text);
  const data::Audio audio = data::load_audio(
      options.file, {.sample_rate = settings.sample_rate, .strict = options.strict});
  if (!audio.warning.empty()) note("warning: " + audio.warning);
  const Tensor spectrogram = front_end(audio.samples);
  const std::vector<float> values = spectrogram.to_vector<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (out.extension() == ".npy")
    data::write_npy(out, values, {spectrogram.dim(0), spectrogram.dim(1)});
  else if (out.extension() == ".png")
    data::write_spectrogram_png(out, values, static_cast<int>(spectrogram.dim(0)),
                                static_cast<int>(spectrogram.dim(1)));

  if (options.json) {
    Json json = {{"file", options.file},         {"seconds", audio.seconds()},
                 {"bands", spectrogram.dim(0)},  {"frames", spectrogram.dim(1)},
                 {"min", number(*low)},          {"max", number(*high)},
                 {"settings", settings.to_map()}};
    fmt::print("{}\n", json.dump(2));
    return exit_done;
  }
  fmt::print("{}: {:.2f} s at {} Hz -> {} bands x {} frames, {:.2f} to {:.2f}\n", options.file,
             audio.seconds(), audio.sample_rate, spectrogram.dim(0), spectrogram.dim(1), *low,
             *high);
  for (const auto& [name, value] : settings.to_map()) fmt::print("  {:<14}{}\n", name, value);
  if (settings.standardize == data::Standardize::band)
    fmt::print(
        "  (standardisation by band uses the training part's statistics: not applied here)\n");
  if (!out.empty()) fmt::print("written: {}\n", out.string());
  return exit_done;
}

}  // namespace

Command mel_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->config.preset = "librosa";
  CLI::App* sub = app.add_subcommand("mel", "The mel spectrogram of an audio file");
  sub->add_option("file", options->file, "Audio file")->required();
  sub->add_option("--preset", options->config.preset, "Settings to start from")
      ->check(CLI::IsMember(data::mel_preset_names()))
      ->default_str("librosa");
  sub->add_option("--mel", options->config.mel, "Override one setting, e.g. n_mels=96; repeatable")
      ->allow_extra_args(false);
  sub->add_option("--out", options->out, "Write [bands, frames] as .npy, or a picture as .png");
  sub->add_flag("--strict", options->strict, "A damaged file is an error, not a warning");
  sub->add_flag("--json", options->json, "One JSON object on stdout");
  std::string names, line = " ";
  for (const auto& [name, value] : data::MelSettings{}.to_map()) {
    if (name == "preset") continue;
    if (line.size() + name.size() > 78) {
      names += line + "\n";
      line = " ";
    }
    line += " " + name;
  }
  sub->footer(
      "Settings of --mel:\n" + names + line +
      "\n"
      "\n"
      "Examples:\n"
      "  etude mel song.mp3 --preset librosa --out song.npy\n"
      "  etude mel song.mp3 --preset torchaudio --mel n_mels=64 --mel hop=160 --out song.png");
  return {sub, [options] { return mel(*options); }};
}

}  // namespace etude::apps
