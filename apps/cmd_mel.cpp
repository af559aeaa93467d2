// etude mel: the audio front end alone.
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <numeric>

#include "apps/augment.h"
#include "apps/commands.h"
#include "apps/defaults.h"
#include "apps/device_choice.h"
#include "apps/json.h"
#include "apps/progress.h"
#include "apps/usage.h"
#include "data/audio.h"
#include "data/loader.h"
#include "data/mel.h"
#include "data/npy.h"
#include "data/png.h"

namespace etude::apps {

namespace {

struct Options {
  std::string file, out, device = "auto";
  TrainConfig config;  // preset and overrides
  std::string augment, mix;
  std::int64_t seed = 0;
  bool strict = false, json = false;
};

// A spectrogram [bands, frames] on the host.
struct Picture {
  int bands = 0, frames = 0;
  std::vector<float> values;
};

// --augment: what training does to a sample, in units of the file's own deviation by band (training
// takes the training part's), and back. Returns what was drawn.
std::string augment(const Options& options, const data::MelSettings& settings, Device device,
                    Picture& picture, const Picture& other) {
  const Augmenter augmenter(parse_augment(options.augment), settings);
  check_usage(!augmenter.has("mixup") || !options.mix.empty(),
              "mel --augment: mixup needs a second file: --mix FILE");
  data::Dataset dataset;
  data::FeatureSet features;
  for (const Picture* each : {&std::as_const(picture), &other}) {
    if (each->values.empty()) continue;
    data::Item item;
    item.id = std::to_string(dataset.items.size());
    item.label = 0;
    dataset.items.push_back(item);
    features.items.push_back({each->bands, each->frames, each->values, each->frames});
  }
  dataset.classes = {"any"};
  std::vector<int> items(dataset.items.size());
  std::iota(items.begin(), items.end(), 0);
  data::BandStatistics statistics = data::fit_band_statistics(features, {0});
  for (float& deviation : statistics.deviation) deviation = std::max(deviation, 1e-6f);
  data::LoaderOptions loader_options;
  loader_options.batch_size = static_cast<int>(items.size());
  loader_options.training = true;
  loader_options.seed = static_cast<std::uint64_t>(options.seed);
  loader_options.device = device;
  augmenter.install(loader_options);
  const double three_seconds = 3.0 * settings.sample_rate / static_cast<double>(settings.hop);
  loader_options.width =
      augmenter.has("crop") ? std::min(picture.frames, static_cast<int>(std::lround(three_seconds)))
                            : picture.frames;
  std::vector<std::string> draws;  // by row of the batch
  if (loader_options.augment) {
    loader_options.augment = [&](int height, int width, Generator& random) {
      const AugmentDraw draw = augmenter.draw(height, width, random);
      draws.push_back(describe(draw));
      return augmenter.parameters(draw);
    };
  }
  data::Loader loader(dataset, features, statistics,
                      data::make_task(data::TaskKind::classes, data::Cuts::scale, dataset, {}),
                      items, loader_options);
  data::Batch batch;
  loader.start_epoch(0);
  loader.next(batch);
  const std::vector<float> all = batch.x.to_vector<float>();
  const auto row = std::find(batch.items.begin(), batch.items.end(), 0) - batch.items.begin();
  picture.frames = loader_options.width;
  const std::size_t size = static_cast<std::size_t>(picture.bands) * picture.frames;
  picture.values.assign(all.begin() + static_cast<std::ptrdiff_t>(size) * row,
                        all.begin() + static_cast<std::ptrdiff_t>(size) * (row + 1));
  for (int band = 0; band < picture.bands; ++band)
    for (int frame = 0; frame < picture.frames; ++frame) {
      float& value = picture.values[static_cast<std::size_t>(band) * picture.frames + frame];
      value = value * statistics.deviation[band] + statistics.mean[band];
    }
  std::string drawn = draws.empty() ? "" : draws[static_cast<std::size_t>(row)];
  if (augmenter.has("crop") || augmenter.has("tempo"))
    drawn += fmt::format("{}{} frames", drawn.empty() ? "" : ", ", picture.frames);
  if (augmenter.has("mixup"))
    drawn += fmt::format("{}mixed {:.2f} to {:.2f}", drawn.empty() ? "" : ", ", batch.mix,
                         1 - batch.mix);
  return drawn.empty() ? "nothing" : drawn;
}

Picture picture_of(const std::string& file, const Options& options,
                   const data::MelFrontEnd& front_end, double* seconds = nullptr) {
  const data::Audio audio = data::load_audio(
      file, {.sample_rate = front_end.settings().sample_rate, .strict = options.strict});
  if (!audio.warning.empty()) note("warning: " + audio.warning);
  if (seconds) *seconds = audio.seconds();
  const Tensor y = front_end(audio.samples);
  return {static_cast<int>(y.dim(0)), static_cast<int>(y.dim(1)), y.to_vector<float>()};
}

int mel(const Options& options) {
  const std::filesystem::path out = options.out;
  check_usage(out.empty() || out.extension() == ".npy" || out.extension() == ".png",
              "mel --out {}: expected a name that ends in .npy or .png", options.out);
  const data::MelSettings settings = resolve_mel(options.config, {});
  const Device device = choose_device(options.device);
  const data::MelFrontEnd front_end(settings, device);
  for (const auto& text : front_end.warnings()) note("warning: " + text);
  double seconds = 0;
  Picture picture = picture_of(options.file, options, front_end, &seconds);
  std::string drawn;
  if (!options.augment.empty()) {
    Picture other;
    if (!options.mix.empty()) other = picture_of(options.mix, options, front_end);
    drawn = augment(options, settings, device, picture, other);
  }
  const std::vector<float>& values = picture.values;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (out.extension() == ".npy")
    data::write_npy(out, values, {picture.bands, picture.frames});
  else if (out.extension() == ".png")
    data::write_spectrogram_png(out, values, picture.bands, picture.frames);

  if (options.json) {
    Json json = {{"file", options.file},         {"seconds", seconds},  {"bands", picture.bands},
                 {"frames", picture.frames},     {"min", number(*low)}, {"max", number(*high)},
                 {"settings", settings.to_map()}};
    if (!drawn.empty()) json["augmentation"] = drawn;
    fmt::print("{}\n", json.dump(2));
    return exit_done;
  }
  fmt::print("{}: {:.2f} s at {} Hz -> {} bands x {} frames, {:.2f} to {:.2f}\n", options.file,
             seconds, settings.sample_rate, picture.bands, picture.frames, *low, *high);
  if (!drawn.empty()) fmt::print("  augmented: {}\n", drawn);
  for (const auto& [name, value] : settings.to_map()) fmt::print("  {:<18}{}\n", name, value);
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
  sub->add_option("--augment", options->augment,
                  "Show what training does to a sample: mel, all, or names with commas: " +
                      fmt::format("{}", fmt::join(augmentation_names(), ", ")));
  sub->add_option("--mix", options->mix, "The second song of --augment mixup");
  sub->add_option("--seed", options->seed, "Seed of --augment")->capture_default_str();
  sub->add_option("--device", options->device, "auto, cpu, reference, cuda[:n] or simt")
      ->capture_default_str();
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
      "  etude mel song.mp3 --preset mer --augment tilt,time-mask,pitch --seed 3 --out x.png\n"
      "  etude mel song.mp3 --preset torchaudio --mel n_mels=64 --mel hop=160 --out song.png");
  return {sub, [options] { return mel(*options); }};
}

}  // namespace etude::apps
