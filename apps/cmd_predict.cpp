// etude predict: what a trained model hears in audio files.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "apps/commands.h"
#include "apps/device_choice.h"
#include "apps/ensemble.h"
#include "apps/json.h"
#include "apps/model_spec.h"
#include "apps/option_check.h"
#include "apps/over_time.h"
#include "apps/predict_page.h"
#include "apps/progress.h"
#include "apps/run_folder.h"
#include "data/audio.h"
#include "data/loader.h"

namespace etude::apps {

namespace {

struct Options {
  std::string run, html, device = "auto";
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
  item.dynamic = {{0.0}, {0.5}, {0.5}};
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

// The task `quadrants` cut at the middle of the scale, which is low.
const data::Task& quadrants() {
  static const data::Task task = [] {
    data::Task t;
    t.kind = data::TaskKind::quadrants;
    t.classes.assign(data::quadrant_names().begin(), data::quadrant_names().end());
    t.thresholds = {{0.5}, {0.5}};
    return t;
  }();
  return task;
}

// How far the model errs on each axis, on 0-1, on songs that it did not train on: by the evaluation
// of its test part, where that is at hand and enough of it to tell.
std::optional<data::Affect> error_of(const std::string& run, const ModelSpec& spec) {
  constexpr std::size_t enough = 5;
  const RunFolder folder(run);
  if (!spec.task.regression() || !std::filesystem::exists(folder.evaluation("test"))) return {};
  const Json evaluation = read_json(folder.evaluation("test"));
  if (!evaluation.contains("list") || evaluation.at("list").size() < enough) return {};
  const Json& songs = evaluation.at("list");  // [id, valence, arousal, both predicted]
  double squares[2] = {0, 0};
  for (const Json& song : songs)
    for (int axis = 0; axis < 2; ++axis)
      squares[axis] += std::pow(song[3 + axis].get<double>() - song[1 + axis].get<double>(), 2) /
                       static_cast<double>(songs.size());
  const double range = spec.scale.high - spec.scale.low;
  return data::Affect{std::sqrt(squares[0]) / range, std::sqrt(squares[1]) / range};
}

// Where the song lies on both axes, on the scale, and how far from there it may be.
void put_place(Json& json, const data::Affect& place, const std::optional<data::Affect>& error,
               const data::Scale& scale) {
  json["valence"] = scale.score(place.valence);
  json["arousal"] = scale.score(place.arousal);
  json["scale"] = {scale.low, scale.high};
  json["order"] = {"valence", "arousal"};
  if (!error) return;
  const double range = scale.high - scale.low;
  json["error"] = {{"valence", error->valence * range}, {"arousal", error->arousal * range}};
}

// The members of an ensemble of classes that answer valence and arousal: their mean, and how far
// they err. Nothing where there is none.
Json place_of(const std::vector<Answers>& members, const std::vector<Vote>& votes,
              const data::Scale& scale) {
  double total = 0;
  data::Affect place{0, 0}, squares{0, 0};
  for (std::size_t m = 0; m < members.size(); ++m) {
    if (!votes[m].deviation) continue;
    const double weight = votes[m].weight;
    const double* song = members[m].songs.song(0);
    total += weight;
    place.valence += weight * song[0], place.arousal += weight * song[1];
    squares.valence += weight * std::pow(votes[m].deviation->valence, 2);
    squares.arousal += weight * std::pow(votes[m].deviation->arousal, 2);
  }
  Json json;
  if (total > 0)
    put_place(json, {place.valence / total, place.arousal / total},
              data::Affect{std::sqrt(squares.valence / total), std::sqrt(squares.arousal / total)},
              scale);
  return json;
}

// {"low": p, "high": p}, or with "middle" between them.
Json level_names(const std::vector<double>& probabilities) {
  Json json;
  const std::size_t last = probabilities.size() - 1;
  for (std::size_t i = 0; i < probabilities.size(); ++i)
    json[i == 0 ? "low" : i == last ? "high" : "middle"] = probabilities[i];
  return json;
}

// Class and probabilities, or the two axes, of one row of outputs. With an error, the quadrant has
// a probability, too: that of a normal distribution about the answer.
Json answer(const ModelSpec& spec, const double* outputs,
            const std::optional<data::Affect>& error = {}) {
  Json json;
  if (spec.task.regression()) {
    data::Item song;
    song.affect = data::Affect{outputs[0], outputs[1]};
    put_place(json, *song.affect, error, spec.scale);
    const int q = quadrants().label(song);
    json["emotion"] = quadrants().classes[q];
    if (error && error->valence > 0 && error->arousal > 0)
      json["confidence"] = quadrants().probabilities(*song.affect, *error)[q];
    return json;
  }
  const int classes = spec.task.outputs();
  const std::vector<double> p = softmax_row(outputs, classes);
  json["class"] = spec.task.classes[argmax(outputs, classes)];
  for (int c = 0; c < classes; ++c) json["probabilities"][spec.task.classes[c]] = p[c];
  const data::LevelProbabilities levels = spec.task.levels(p);
  if (!levels.valence.empty()) json["levels"]["valence"] = level_names(levels.valence);
  if (!levels.arousal.empty()) json["levels"]["arousal"] = level_names(levels.arousal);
  return json;
}

// What one model says of the file: of its windows, or of every half second.
struct FileAnswer {
  Answers answers;
  std::vector<double> starts, ends;  // of the windows, in seconds
  double seconds = 0;                // of the file
};

FileAnswer ask(const LoadedModel& loaded, const data::Dataset& dataset,
               const data::FeatureSet& features, Device device) {
  const ModelSpec& spec = loaded.spec;
  FileAnswer result;
  data::Loader loader(dataset, features, spec.statistics, spec.task, {0},
                      evaluation_loader(spec, device));
  if (spec.task.dynamic()) {
    result.answers.curves = run_over_time(*loaded.module, loader);
    return result;
  }
  result.answers.songs = run_model(*loaded.module, loader);
  const double frame = seconds_per_frame(*spec.mel);
  result.seconds = features.items[0].frames() * frame;
  const int last = std::max(0, features.items[0].frames() - spec.width);
  for (int w = 0; w < result.answers.songs.windows(); ++w) {
    const int start = std::min(w * spec.window_step, last);
    result.starts.push_back(start * frame);
    result.ends.push_back((start + spec.width) * frame);
  }
  return result;
}

// A piece of the song: its time and the answer for it.
Json piece(const ModelSpec& spec, double start, double end, const double* outputs) {
  Json json = {{"start", start}, {"end", end}};
  json.update(answer(spec, outputs));
  json.erase("scale");
  json.erase("order");
  return json;
}

Json curve_pieces(const ModelSpec& spec, const Curve& curve) {
  Json list = Json::array();
  for (std::size_t k = 0; k < curve.valence.size(); ++k) {
    const double values[2] = {curve.valence[k], curve.arousal[k]};
    const double start = data::step_seconds * static_cast<double>(k);
    list.push_back(piece(spec, start, start + data::step_seconds, values));
  }
  return list;
}

// The members of an ensemble cut songs differently: for each half second, the mean of those of a
// member's windows that hold its middle, and then of the members.
Json ensemble_pieces(const std::vector<MemberModel>& models, const std::vector<FileAnswer>& files) {
  double length = files.front().seconds;
  for (const FileAnswer& file : files) length = std::min({length, file.seconds, file.ends.back()});
  const ModelSpec& spec = models.front().model.spec;
  std::vector<Vote> votes;
  for (const MemberModel& model : models) votes.push_back(model.member.vote);
  Json list = Json::array();
  for (double start = 0; start + data::step_seconds <= length + 1e-6; start += data::step_seconds) {
    const double middle = start + data::step_seconds / 2;
    std::vector<Answers> members;
    for (const FileAnswer& file : files) {
      const Predictions& p = file.answers.songs;
      Answers member;
      member.songs.outputs = p.outputs;
      member.songs.items = {0};
      member.songs.song_outputs.assign(p.outputs, 0.0);
      int windows = 0;
      for (int w = 0; w < p.windows(); ++w) {
        if (middle < file.starts[w] || middle > file.ends[w]) continue;
        ++windows;
        for (int k = 0; k < p.outputs; ++k) member.songs.song_outputs[k] += p.window(w)[k];
      }
      for (double& value : member.songs.song_outputs) value /= std::max(1, windows);
      members.push_back(std::move(member));
    }
    const Answers whole = combine(members, votes, spec.task);
    list.push_back(piece(spec, start, start + data::step_seconds, whole.songs.song(0)));
  }
  return list;
}

Json window_pieces(const ModelSpec& spec, const FileAnswer& file) {
  Json list = Json::array();
  for (int w = 0; w < file.answers.songs.windows(); ++w)
    list.push_back(piece(spec, file.starts[w], file.ends[w], file.answers.songs.window(w)));
  return list;
}

// How far the parts of the song lie from each other: the deviation of each axis over them.
Json deviations(const Json& pieces) {
  Json result;
  for (const char* axis : {"valence", "arousal"}) {
    double sum = 0, squares = 0;
    for (const Json& piece : pieces) sum += piece.at(axis).get<double>();
    const double n = static_cast<double>(pieces.size()), mean = n > 0 ? sum / n : 0;
    for (const Json& piece : pieces) squares += std::pow(piece.at(axis).get<double>() - mean, 2);
    result[axis] = n > 0 ? std::sqrt(squares / n) : 0;
  }
  return result;
}

Json predict_file(const std::vector<MemberModel>& models, const std::string& file,
                  const std::optional<data::Affect>& error, Device device, const Options& options) {
  const ModelSpec& spec = models.front().model.spec;
  const data::Dataset dataset = single_item(file, spec);
  data::FeatureSet features;
  std::vector<FileAnswer> files;
  std::vector<Answers> answers;
  std::vector<Vote> votes;
  for (std::size_t m = 0; m < models.size(); ++m) {
    const ModelSpec& own = models[m].model.spec;
    if (m == 0 || !same_front_end(own, models[m - 1].model.spec))
      features = features_of(dataset, *own.mel, options.strict);
    files.push_back(ask(models[m].model, dataset, features, device));
    answers.push_back(files.back().answers);
    votes.push_back(models[m].member.vote);
  }
  const bool one = models.size() == 1;
  const Answers whole = one ? answers.front() : combine(answers, votes, spec.task);

  Json json = {{"file", file}}, pieces;
  if (spec.task.dynamic()) {
    const Curve& curve = whole.curves.at(0);
    const auto steps = static_cast<double>(curve.valence.size());
    double mean[2] = {0, 0};
    for (const double v : curve.valence) mean[0] += v / steps;
    for (const double a : curve.arousal) mean[1] += a / steps;
    json.update(answer(spec, mean, error));
    json["steps"] = curve.valence.size();
    pieces = curve_pieces(spec, curve);
  } else {
    json.update(answer(spec, whole.songs.song(0), error));
    if (one) {
      json["windows"] = whole.songs.windows();
      pieces = window_pieces(spec, files.front());
    } else {
      json["members"] = models.size();
      if (const Json place = place_of(answers, votes, spec.scale); !place.is_null())
        json["place"] = place;
      pieces = ensemble_pieces(models, files);
    }
  }
  if (spec.task.regression()) json["deviation"] = deviations(pieces);
  if (options.over_time || !options.html.empty()) json["over_time"] = std::move(pieces);
  return json;
}

// "valence 5.81 \xC2\xB1 1.8, arousal 4.25 \xC2\xB1 2", with the errors where they are known.
std::string both_axes(const Json& json) {
  const auto axis = [&](const char* name) {
    std::string text = fmt::format("{} {:.3g}", name, json[name].get<double>());
    if (json.contains("error"))
      text += fmt::format(" \xC2\xB1 {:.2g}", json["error"][name].get<double>());
    return text;
  };
  return axis("valence") + ", " + axis("arousal");
}

// "valence high 0.81, arousal low 0.66": the likeliest level of each axis.
std::string likely_levels(const Json& levels) {
  std::string text;
  for (const auto& [axis, probabilities] : levels.items()) {
    const Json::const_iterator best = largest(probabilities);
    text += fmt::format("{}{} {} {:.2f}", text.empty() ? "" : ", ", axis, best.key(),
                        best->get<double>());
  }
  return text;
}

std::string short_answer(const Json& json) {
  if (json.contains("valence")) {
    std::string text = json["emotion"];
    if (json.contains("confidence"))
      text += fmt::format(" ({:.2f})", json["confidence"].get<double>());
    return text + ", " + both_axes(json);
  }
  std::vector<std::pair<double, std::string>> ranked;
  for (const auto& [name, p] : json["probabilities"].items())
    ranked.emplace_back(-p.get<double>(), name);
  std::sort(ranked.begin(), ranked.end());
  std::string text = fmt::format("{} ({:.2f})", ranked[0].second, -ranked[0].first);
  for (std::size_t i = 1; i < std::min<std::size_t>(ranked.size(), 4); ++i)
    text += fmt::format(", {} {:.2f}", ranked[i].second, -ranked[i].first);
  if (json.contains("place"))
    text += "; " + both_axes(json["place"]);
  else if (json.contains("levels"))
    text += "; " + likely_levels(json["levels"]);
  return text;
}

void print_answer(const Json& json, bool over_time) {
  std::string scale;
  const Json& place = json.contains("place") ? json["place"] : json;
  if (place.contains("scale"))
    scale = fmt::format(" (scale {:g} to {:g})", place["scale"][0].get<double>(),
                        place["scale"][1].get<double>());
  fmt::print("{}: {}{}\n", json["file"].get<std::string>(), short_answer(json), scale);
  if (!over_time) return;
  for (const Json& window : json["over_time"])
    fmt::print("  {:>7.1f} s to {:>7.1f} s  {}\n", window["start"].get<double>(),
               window["end"].get<double>(), short_answer(window));
}

int predict(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  const Device device = choose_device(options.device);
  const std::vector<MemberModel> models = load_models(options.run, device);
  check(models.front().model.spec.mel.has_value(),
        "predict: {} was trained on images; predict takes audio files (use `etude eval --data`)",
        options.run);
  const auto error = error_of(options.run, models.front().model.spec);
  Json all = Json::array();
  std::vector<PredictedSong> songs;
  int failed = 0;
  for (const std::string& file : options.files) {
    try {
      Json json = predict_file(models, file, error, device, options);
      if (!options.html.empty()) {
        const data::Audio audio = data::load_audio(file);
        songs.push_back({json, outline(audio.samples, audio.sample_rate)});
        if (!options.over_time) json.erase("over_time");
      }
      if (options.json)
        all.push_back(std::move(json));
      else
        print_answer(json, options.over_time);
    } catch (const Error& e) {
      ++failed;
      note(fmt::format("etude: {}", e.what()));
      if (options.json) all.push_back({{"file", file}, {"error", e.what()}});
    }
  }
  if (options.json) fmt::print("{}\n", all.dump(2, ' ', false, Json::error_handler_t::replace));
  if (!options.html.empty()) {
    const ModelSpec& spec = models.front().model.spec;
    write_text(options.html, predict_page(songs, fmt::format("{}, {} on {}", options.run,
                                                             spec.model, spec.dataset)));
    note("page: " + options.html);
  }
  return failed > 0 ? exit_failed : exit_done;
}

}  // namespace

Command predict_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("predict", "Emotion, or valence and arousal, of audio files");
  sub->add_option("run", options->run, "Run folder, of one model or an ensemble, or a checkpoint")
      ->required();
  sub->add_option("files", options->files, "Audio files: mp3, wav, flac, ogg, opus, aiff")
      ->required();
  sub->add_flag("--json", options->json, "A JSON array on stdout, an object a file");
  sub->add_flag(
      "--over-time", options->over_time,
      "Every window (half second, of va-dynamic and of ensembles) beside the answer for the "
      "whole");
  sub->add_option("--html", options->html,
                  "Write a page: the answers, and over time under the waveform");
  sub->add_flag("--strict", options->strict, "A damaged file is an error, not a warning");
  sub->add_option("--device", options->device, "auto, cpu, reference, cuda[:n] or simt")
      ->capture_default_str();
  sub->add_option("--threads", options->threads, "CPU threads; 0: all")->check(number_in(0, 4096));
  sub->footer(
      "The answer is the average over windows of the whole song. Valence comes before arousal, on\n"
      "the scale of the training data, which is printed beside it. \xC2\xB1 is the root mean\n"
      "square error on songs the model did not train on: the run's test part, or what an ensemble\n"
      "of classes kept from its members for valence and arousal. The number behind the quadrant\n"
      "is its probability with such errors. Classes made of valence and arousal say how probable\n"
      "the likeliest level of each axis is, summed over the classes. A file that cannot be read is "
      "reported and the others\n"
      "go on; the exit code is then 1.\n"
      "\n"
      "Examples:\n"
      "  etude predict run1 song.mp3\n"
      "  etude predict run1 *.mp3 --json\n"
      "  etude predict run1/best.safetensors song.flac --over-time\n"
      "  etude predict run1 song.mp3 --html song.html");
  return {sub, [options] { return predict(*options); }};
}

}  // namespace etude::apps
