// etude predict: what a trained model hears in audio files.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/commands.h"
#include "apps/evaluate.h"
#include "apps/json.h"
#include "apps/model_spec.h"
#include "apps/option_check.h"
#include "apps/progress.h"
#include "data/loader.h"

namespace etude::apps {

namespace {

struct Options {
  std::string run, device = "auto";
  std::vector<std::string> files;
  int threads = 0;
  bool json = false, over_time = false, strict = false;
};

// One file as a data set of its own. The loader wants an answer for every item; it is not used.
data::Dataset single_item(const std::string& file, const ModelSpec& spec) {
  data::Dataset dataset;
  dataset.kind = spec.dataset;
  data::Item item;
  item.id = file;
  item.file = file;
  item.label = 0;
  item.affect = data::Affect{0.5, 0.5};
  dataset.items.push_back(item);
  return dataset;
}

// Strictly first, for the reason as the decoder puts it; a damaged file is then used as far as it
// goes, with a warning.
data::FeatureSet features_of(const data::Dataset& dataset, const data::MelSettings& mel,
                             bool strict) {
  data::PrepareOptions options;
  options.strict = true;
  try {
    return data::prepare_features(dataset, {0}, mel, options);
  } catch (const Error& reason) {
    if (strict) throw;
    options.strict = false;
    data::FeatureSet features;
    try {
      features = data::prepare_features(dataset, {0}, mel, options);
    } catch (const Error&) {
      throw reason;
    }
    for (const auto& text : features.warnings) note("warning: " + text);
    return features;
  }
}

double seconds_per_frame(const data::MelSettings& mel) {
  return static_cast<double>(mel.hop) / mel.sample_rate;
}

// Class and probabilities, or the two axes, of one row of outputs.
Json answer(const ModelSpec& spec, const double* outputs) {
  Json json;
  if (spec.task.regression()) {
    json["valence"] = spec.scale.score(outputs[0]);
    json["arousal"] = spec.scale.score(outputs[1]);
    json["scale"] = {spec.scale.low, spec.scale.high};
    return json;
  }
  const int classes = spec.task.outputs();
  const std::vector<double> p = softmax_row(outputs, classes);
  json["class"] = spec.task.classes[argmax(outputs, classes)];
  for (int c = 0; c < classes; ++c) json["probabilities"][spec.task.classes[c]] = p[c];
  return json;
}

Json predict_file(const LoadedModel& loaded, const std::string& file, Device device,
                  const Options& options) {
  const ModelSpec& spec = loaded.spec;
  const data::Dataset dataset = single_item(file, spec);
  const data::FeatureSet features = features_of(dataset, *spec.mel, options.strict);
  data::LoaderOptions loader_options;
  loader_options.batch_size = 64;
  loader_options.width = spec.width;
  loader_options.window_step = spec.window_step;
  data::Loader loader(dataset, features, spec.statistics, spec.task, {0}, loader_options);
  const Predictions p = run_model(*loaded.module, loader, device);

  Json json = {{"file", file}};
  json.update(answer(spec, p.song(0)));
  json["windows"] = p.windows();
  if (options.over_time) {
    const double frame = seconds_per_frame(*spec.mel);
    const int last = std::max(0, features.items[0].valid - spec.width);
    json["over_time"] = Json::array();
    for (int w = 0; w < p.windows(); ++w) {
      const int start = std::min(w * spec.window_step, last);
      Json window = {{"start", start * frame}, {"end", (start + spec.width) * frame}};
      window.update(answer(spec, p.window(w)));
      window.erase("scale");
      json["over_time"].push_back(window);
    }
  }
  return json;
}

std::string short_answer(const Json& json) {
  if (json.contains("valence"))
    return fmt::format("valence {:.3g}, arousal {:.3g}", json["valence"].get<double>(),
                       json["arousal"].get<double>());
  std::vector<std::pair<double, std::string>> ranked;
  for (const auto& [name, p] : json["probabilities"].items())
    ranked.emplace_back(-p.get<double>(), name);
  std::sort(ranked.begin(), ranked.end());
  std::string text = fmt::format("{} ({:.2f})", ranked[0].second, -ranked[0].first);
  for (std::size_t i = 1; i < std::min<std::size_t>(ranked.size(), 4); ++i)
    text += fmt::format(", {} {:.2f}", ranked[i].second, -ranked[i].first);
  return text;
}

void print_answer(const Json& json) {
  std::string scale;
  if (json.contains("scale"))
    scale = fmt::format(" (scale {:g} to {:g})", json["scale"][0].get<double>(),
                        json["scale"][1].get<double>());
  fmt::print("{}: {}{}\n", json["file"].get<std::string>(), short_answer(json), scale);
  if (!json.contains("over_time")) return;
  for (const Json& window : json["over_time"])
    fmt::print("  {:>7.1f} s to {:>7.1f} s  {}\n", window["start"].get<double>(),
               window["end"].get<double>(), short_answer(window));
}

int predict(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  const Device device = parse_device(options.device);
  const LoadedModel loaded = load_model(options.run, device);
  check(loaded.spec.mel.has_value(),
        "predict: {} was trained on images; predict takes audio files (use `etude eval --data`)",
        options.run);
  Json all = Json::array();
  int failed = 0;
  for (const std::string& file : options.files) {
    try {
      Json json = predict_file(loaded, file, device, options);
      if (options.json)
        all.push_back(std::move(json));
      else
        print_answer(json);
    } catch (const Error& e) {
      ++failed;
      note(fmt::format("etude: {}", e.what()));
      if (options.json) all.push_back({{"file", file}, {"error", e.what()}});
    }
  }
  if (options.json) fmt::print("{}\n", all.dump(2, ' ', false, Json::error_handler_t::replace));
  return failed > 0 ? exit_failed : exit_done;
}

}  // namespace

Command predict_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("predict", "Emotion, or valence and arousal, of audio files");
  sub->add_option("run", options->run, "Run folder, or a checkpoint of one")->required();
  sub->add_option("files", options->files, "Audio files: mp3, wav, flac, ogg, opus, aiff")
      ->required();
  sub->add_flag("--json", options->json, "A JSON array on stdout, an object a file");
  sub->add_flag("--over-time", options->over_time, "Every window beside the answer for the whole");
  sub->add_flag("--strict", options->strict, "A damaged file is an error, not a warning");
  sub->add_option("--device", options->device, "auto, cpu, reference, cuda[:n] or simt")
      ->capture_default_str();
  sub->add_option("--threads", options->threads, "CPU threads; 0: all")->check(number_in(0, 4096));
  sub->footer(
      "The answer is the average over windows of the whole song. Valence comes before arousal, on\n"
      "the scale of the training data, which is printed beside it. A file that cannot be read is\n"
      "reported and the others go on; the exit code is then 1.\n"
      "\n"
      "Examples:\n"
      "  etude predict run1 song.mp3\n"
      "  etude predict run1 *.mp3 --json\n"
      "  etude predict run1/best.safetensors song.flac --over-time");
  return {sub, [options] { return predict(*options); }};
}

}  // namespace etude::apps
