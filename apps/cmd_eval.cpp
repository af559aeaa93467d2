// etude eval: how good a trained model is on a part of the data.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/cross_validation.h"
#include "apps/device_choice.h"
#include "apps/ensemble.h"
#include "apps/experiment.h"
#include "apps/linear_floor.h"
#include "apps/option_check.h"
#include "apps/progress.h"
#include "apps/report.h"
#include "apps/usage.h"
#include "data/files.h"

namespace etude::apps {

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string run, split = "test", device = "auto", cache;
  std::vector<std::string> data;
  int threads = 0;
  bool json = false;
};

// Which items to judge, and which trained the model (for the baselines).
struct Parts {
  std::vector<int> judged, train;
  std::string name;
};

// With other data than the run's, split.csv knows none of its ids: then all of it is judged.
Parts choose_parts(const data::Dataset& dataset, const RunFolder& folder, const Options& options) {
  Parts parts;
  parts.name = options.split;
  data::Split split;
  bool known = true;
  try {
    split = data::read_split(folder.split(), dataset);
  } catch (const Error&) {
    if (options.data.empty()) throw;
    const auto moved = data::read_moved_split(folder.split(), dataset);
    known = moved.has_value();
    if (known) {
      split = *moved;
      note("the data has another name than in training: the recorded parts hold, by file name");
    }
  }
  if (!known || options.split == "all") {
    if (!known) {
      note("the data is not what the run was trained on: all of it is judged");
      parts.name = "all";
    }
    for (std::size_t i = 0; i < dataset.items.size(); ++i)
      parts.judged.push_back(static_cast<int>(i));
  } else {
    parts.judged = options.split == "train" ? split.train
                   : options.split == "val" ? split.val
                                            : split.test;
  }
  parts.train = split.train;
  return parts;
}

// From run.json, since the training part need not be at hand: the majority class by its counts, the
// mean of a regression by the items that are.
Baseline baseline_of(const Json& run, const ModelSpec& spec, const data::Dataset& dataset,
                     const std::vector<int>& train) {
  if (spec.task.regression())
    return train.empty() ? Baseline{} : fit_baseline(dataset, spec.task, train);
  Baseline baseline;
  int most = 0;
  const Json& counts = run.at("data").at("train").at("classes");
  for (std::size_t c = 0; c < spec.task.classes.size(); ++c) {
    const int count = counts.value(spec.task.classes[c], 0);
    if (count > most) {
      most = count;
      baseline.majority = static_cast<int>(c);
    }
  }
  return baseline;
}

// Weights that were copied in from another run would be judged by this one's data and baselines.
void check_same_run(const Json& run, const ModelSpec& spec, const RunFolder& folder) {
  const Json loaded = to_json(spec);
  check(run.contains("spec"), "{}: `spec` is missing; expected what `etude train` writes",
        folder.run_json().string());
  for (const char* key : {"model", "task", "options"})
    check(loaded.at(key) == run.at("spec").value(key, Json()),
          "{}: the weights are of another run: their `{}` is not that of run.json",
          folder.path().string(), key);
}

// The groups file of the run may say nothing about other data.
data::Dataset load_for_eval(TrainConfig config, bool other_data) {
  try {
    return load_labelled(config);
  } catch (const Error&) {
    if (!other_data || config.groups.empty()) throw;
  }
  config.groups.clear();
  return load_labelled(config);
}

int eval(const Options& options) {
  const RunFolder folder(options.run);
  if (fs::exists(folder.path() / "cv.json")) {
    check_usage(options.split == "test" && options.data.empty(),
                "eval: {} is a cross-validation, of which the held-out parts have been judged; for "
                "more name one of its folds, e.g. {}",
                options.run, (folder.path() / "fold-1").string());
    const Json summary = read_json(folder.path() / "cv.json");
    fmt::print("{}", options.json ? summary.dump(2) + "\n" : cv_text(summary));
    return exit_done;
  }
  if (options.threads > 0) set_num_threads(options.threads);
  const Device device = choose_device(options.device);
  const std::vector<MemberModel> models = load_models(options.run, device);
  check(fs::is_directory(options.run), "eval: {} is not a run folder", options.run);
  const ModelSpec& spec = models.front().model.spec;
  const Json run = read_run(folder);
  check_same_run(run, spec, folder);
  TrainConfig config = train_config_from_json(run.at("config"));
  if (!options.data.empty()) config.data = options.data;
  if (!options.cache.empty()) config.cache = options.cache;
  config.threads = options.threads;

  for (const std::string& root : config.data)
    check(fs::exists(root), "eval: {}: no such folder; say where the data is now with --data",
          root);
  Corpus corpus;
  corpus.dataset = load_for_eval(config, !options.data.empty());
  const data::Dataset& dataset = corpus.dataset;
  // The classes of images are numbers, whatever they are called.
  if (spec.task.kind == data::TaskKind::classes)
    check(dataset.kind == "idx" ? dataset.classes.size() == spec.task.classes.size()
                                : dataset.classes == spec.task.classes,
          "eval: the run knows the classes {}, the data has {}",
          data::some_of(spec.task.classes, 12), data::some_of(dataset.classes, 12));
  Parts parts = choose_parts(dataset, folder, options);
  check(!parts.judged.empty(), "eval: the run has no {} part; try --split val", options.split);
  const Baseline baseline = baseline_of(run, spec, dataset, parts.train);

  std::vector<Answers> answers;
  std::vector<Vote> votes;
  std::optional<Answers> linear;
  std::vector<Evaluation::Member> worth;
  for (std::size_t m = 0; m < models.size(); ++m) {
    const ModelSpec& own = models[m].model.spec;
    if (m == 0 || !same_front_end(own, models[m - 1].model.spec)) {
      corpus.features = prepare_with_progress(dataset, parts.judged,
                                              own.mel.value_or(data::MelSettings{}), config);
      std::erase_if(parts.judged, [&](int i) { return corpus.features.items[i].values.empty(); });
    }
    if (m == 0 && fs::exists(folder.linear()))
      linear = answers_of(LinearFloor::load(folder.linear()), spec, corpus, parts.judged);
    answers.push_back(
        answers_of(*models[m].model.module, own, corpus, parts.judged, device, parts.name));
    const Ensemble::Member& member = models[m].member;
    votes.push_back(member.vote);
    if (models.size() == 1) continue;
    const Answers alone = combine({answers.back()}, {member.vote}, spec.task);
    worth.push_back({member.path, member.what,
                     worth_of(judge(parts.name, alone, dataset, spec, baseline, {}))});
  }
  const Answers whole =
      models.size() == 1 ? std::move(answers.front()) : combine(answers, votes, spec.task);
  Evaluation result = judge(parts.name, whole, dataset, spec, baseline, linear);
  result.members = std::move(worth);
  write_json(folder.evaluation(parts.name), to_json(result, true));
  write_text(folder.predictions(parts.name), predictions_csv(result));
  write_report(folder);
  if (options.json)
    fmt::print("{}\n", to_json(result).dump(2));
  else
    fmt::print("{}\nreport: {}\n", to_text(result), folder.report().string());
  return exit_done;
}

}  // namespace

Command eval_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("eval", "Evaluate a trained model on data it has not seen");
  sub->add_option("run", options->run, "Run folder of `etude train`")->required();
  sub->add_option("--split", options->split, "Which part: train, val, test or all")
      ->check(CLI::IsMember({"train", "val", "test", "all"}))
      ->capture_default_str();
  sub->add_option("--data", options->data, "Where the data is now, or other data of the same kind")
      ->allow_extra_args(false);
  sub->add_flag("--json", options->json, "One JSON object on stdout");
  sub->add_option("--device", options->device, "auto, cpu, reference, cuda[:n] or simt")
      ->capture_default_str();
  sub->add_option("--threads", options->threads, "CPU threads; 0: all")->check(number_in(0, 4096));
  sub->add_option("--cache", options->cache, "Folder of the feature cache; `none`: off");
  sub->footer(
      "Writes eval-PART.json, predictions-PART.csv and report.html into the run folder.\n"
      "\n"
      "Examples:\n"
      "  etude eval run1\n"
      "  etude eval run1 --split val --json\n"
      "  etude eval run1 --data /elsewhere/DEAM");
  return {sub, [options] { return eval(*options); }};
}

}  // namespace etude::apps
