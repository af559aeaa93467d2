#include "apps/experiment.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <set>

#include "apps/answers.h"
#include "apps/augment.h"
#include "apps/device_choice.h"
#include "apps/interrupt.h"
#include "apps/linear_floor.h"
#include "apps/progress.h"
#include "apps/report.h"
#include "apps/trainer.h"
#include "apps/usage.h"
#include "data/files.h"
#include "engine/checkpoint.h"

namespace etude::apps {

namespace fs = std::filesystem;

namespace {

bool all_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

std::vector<int> all_items(const data::Dataset& dataset) {
  std::vector<int> items(dataset.items.size());
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<int>(i);
  return items;
}

// Labels that a split is stratified by: the classes, or quadrants for a regression. Their cuts are
// those of the scale, so that nothing of the test part is learned from. -1: no answer for the task.
std::vector<int> strata(const data::Dataset& dataset, data::TaskKind kind) {
  const bool over_time = kind == data::TaskKind::va_dynamic;
  if (data::is_regression(kind)) kind = data::TaskKind::quadrants;
  const data::Task task = data::make_task(kind, data::Cuts::scale, dataset, all_items(dataset));
  std::vector<int> labels;
  for (const data::Item& item : dataset.items)
    labels.push_back(over_time && item.dynamic.seconds.empty() ? -1 : task.label(item));
  return labels;
}

// The run must be found again from another working directory. Empty stays empty.
std::string absolute(const std::string& path) {
  return path.empty() ? path : fs::absolute(path).lexically_normal().string();
}

// --holdout COLUMN=VALUE: marks the items, which then are the test part. Where marks decide, an
// item without one is trained on.
void hold_out(data::Dataset& dataset, const std::vector<std::string>& holdout) {
  if (holdout.empty()) return;
  for (data::Item& item : dataset.items) item.split = item.split == "val" ? "val" : "train";
  for (const std::string& text : holdout) {
    const auto equals = text.find('=');
    check_usage(equals != std::string::npos && equals > 0,
                "--holdout {}: expected COLUMN=VALUE, e.g. --holdout speaker=theo", text);
    const std::string column = text.substr(0, equals), value = text.substr(equals + 1);
    std::set<std::string> columns, values;
    int held_out = 0;
    for (data::Item& item : dataset.items) {
      for (const auto& [name, each] : item.columns)
        if (!each.empty()) columns.insert(name);
      const auto found = item.columns.find(column);
      if (found == item.columns.end() || found->second.empty()) continue;
      values.insert(found->second);
      if (found->second != value) continue;
      item.split = "test";
      ++held_out;
    }
    check(!values.empty(), "--holdout {}: no item has a column \"{}\"; there are: {}", text, column,
          columns.empty()
              ? "none"
              : data::some_of(std::vector<std::string>(columns.begin(), columns.end())));
    check(held_out > 0, "--holdout {}: no item has this value; there are: {}", text,
          data::some_of(std::vector<std::string>(values.begin(), values.end())));
  }
}

void note_recipe(const Recipe& recipe) {
  note(fmt::format("recipe {}: {}", recipe.name, recipe.reason));
  for (const auto& text : recipe.flaws) note("flaw repeated: " + text);
  for (const auto& text : recipe.assumed) note("assumed: " + text);
}

template <class Keep>
int erase_items(Corpus& corpus, Keep keep) {
  std::vector<data::Item> items;
  std::vector<data::Features> features;
  for (std::size_t i = 0; i < corpus.dataset.items.size(); ++i) {
    if (!keep(i)) continue;
    items.push_back(std::move(corpus.dataset.items[i]));
    if (!corpus.features.items.empty()) features.push_back(std::move(corpus.features.items[i]));
  }
  const auto erased = corpus.dataset.items.size() - items.size();
  corpus.dataset.items = std::move(items);
  corpus.features.items = std::move(features);
  return static_cast<int>(erased);
}

data::SplitOptions split_options(const TrainConfig& config) {
  data::SplitOptions options;
  options.seed = static_cast<std::uint64_t>(config.seed);
  options.val_fraction = *config.val_fraction;
  options.test_fraction = config.test_fraction;
  options.group_by = config.group_by;
  options.file = config.split_file;
  return options;
}

// One mean and deviation for the whole image: pixel rows are not bands, and the rows at the edge
// of most images have hardly any deviation to divide by.
data::BandStatistics pooled(data::BandStatistics rows) {
  double mean = 0, square = 0;
  const auto n = static_cast<double>(rows.mean.size());
  for (std::size_t i = 0; i < rows.mean.size(); ++i) {
    mean += rows.mean[i] / n;
    square +=
        (double(rows.mean[i]) * rows.mean[i] + double(rows.deviation[i]) * rows.deviation[i]) / n;
  }
  const double deviation = std::sqrt(std::max(0.0, square - mean * mean));
  std::fill(rows.mean.begin(), rows.mean.end(), static_cast<float>(mean));
  std::fill(rows.deviation.begin(), rows.deviation.end(), static_cast<float>(deviation));
  return rows;
}

int longest(const data::FeatureSet& features) {
  int width = 0;
  for (const auto& item : features.items) width = std::max(width, item.width);
  return width;
}

}  // namespace

fs::path cache_folder(const std::string& asked) {
  if (asked == "none") return {};
  if (!asked.empty()) return asked;
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg && *xdg) return fs::path(xdg) / "etude";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".cache" / "etude" : fs::path();
}

data::DatasetOptions dataset_options(const TrainConfig& config) {
  data::DatasetOptions options;
  options.deam_labels = config.labels.value_or("mended") == "as-distributed"
                            ? data::DeamLabels::as_distributed
                            : data::DeamLabels::mended;
  options.groups = config.groups;
  return options;
}

data::Dataset load_labelled(const TrainConfig& config) {
  std::vector<fs::path> roots(config.data.begin(), config.data.end());
  Corpus corpus;
  corpus.dataset = data::load_dataset(config.dataset, roots, dataset_options(config));
  for (const auto& text : corpus.dataset.notes) note(text);
  for (const auto& text : corpus.dataset.warnings) note("warning: " + text);
  const data::TaskKind kind =
      config.task ? data::parse_task(*config.task) : data::default_task(corpus.dataset);
  check_usage((kind == data::TaskKind::classes) != corpus.dataset.has_affect(),
              "--task {}: not possible here: a data set of kind {} has {}", data::to_string(kind),
              corpus.dataset.kind,
              corpus.dataset.has_affect() ? "valence and arousal (quadrants, emotion9, va ...)"
                                          : "classes (task `classes`)");
  const std::vector<int> labels = strata(corpus.dataset, kind);
  const int dropped = erase_items(corpus, [&](std::size_t i) { return labels[i] >= 0; });
  if (dropped > 0) note(fmt::format("{} items have no annotation and are left out", dropped));
  check(!corpus.dataset.items.empty(), "{} data set in {}: no item has an annotation and audio",
        config.dataset, config.data.front());
  return std::move(corpus.dataset);
}

data::FeatureSet prepare_with_progress(const data::Dataset& dataset, const std::vector<int>& which,
                                       const data::MelSettings& mel, const TrainConfig& config) {
  ProgressBar bar("features", static_cast<long>(which.size()), "files");
  const auto start = Clock::now();
  data::PrepareOptions options;
  options.cache = cache_folder(config.cache);
  options.threads = config.threads;
  options.strict = config.strict;
  options.progress = [&](int done, int) {
    bar.update(done);
    return !interrupted();
  };
  data::FeatureSet features = data::prepare_features(dataset, which, mel, options);
  check_interrupted();
  if (dataset.kind != "idx")
    bar.finish(fmt::format("features: {} files, {} from the cache, {:.1f} s", which.size(),
                           features.from_cache, seconds_since(start)));
  for (const auto& text : features.warnings) note("warning: " + text);
  return features;
}

Experiment open_experiment(TrainConfig config) {
  Experiment e;
  if (config.threads > 0) set_num_threads(config.threads);
  if (!config.resume && config.given.count("linear-provider") == 0)
    config.linear_provider = default_linear_provider();
  e.device = choose_device(config.device, config.linear_provider);
  for (std::string& root : config.data) root = absolute(root);
  for (std::string* path : {&config.groups, &config.split_file, &config.init})
    *path = absolute(*path);
  if (config.cache != "none") config.cache = absolute(config.cache);
  begin_recipe(config);
  e.corpus.dataset = load_labelled(config);
  hold_out(e.corpus.dataset, config.holdout);
  if (!config.task) config.task = data::to_string(data::default_task(e.corpus.dataset));
  e.profile = profile_dataset(e.corpus.dataset);
  e.recipe = choose_recipe(config, e.profile, static_cast<int>(e.corpus.dataset.items.size()));
  note_recipe(e.recipe);
  const data::TaskKind task = data::parse_task(*config.task);
  check_usage(task != data::TaskKind::va_dynamic || models::has_temporal_head(*config.model),
              "--model {}: has no answers over time; --task va-dynamic goes with vgg4, a resnet or "
              "a wrn",
              *config.model);
  check_usage(!config.loss || *config.loss == "mse" || data::is_regression(task),
              "--loss {}: goes with --task va or va-dynamic, not {}", *config.loss, *config.task);
  check_usage(*config.monitor == "loss" || !data::is_regression(task),
              "--monitor accuracy: a regression has no accuracy; use --monitor loss");
  if (e.profile.kind != DataProfile::Kind::images)
    e.mel = resolve_mel(config, e.profile);
  else
    check_usage(!config.preset && config.mel.empty(),
                "--{}: this data set has images, which have no spectrogram",
                config.preset ? "preset" : "mel");
  if (config.augment) {
    const Augmenter augmenter(parse_augment(*config.augment), e.mel);
    check_usage(*config.task != "va-dynamic" || !(augmenter.has("tempo") || augmenter.has("mixup")),
                "--augment {}: tempo and mixup would move the answers of --task va-dynamic in time",
                *config.augment);
  }
  e.config = config;
  // What is wrong with the split of a new run shows before the features of a large data set are
  // made, not after.
  if (!config.out.empty() && !config.resume) {
    if (config.cv.empty())
      make_experiment_split(e);
    else
      make_experiment_folds(e);
  }
  prepare_corpus(e);
  return e;
}

void prepare_corpus(Experiment& e) {
  e.corpus.features = prepare_with_progress(e.corpus.dataset, all_items(e.corpus.dataset),
                                            e.mel.value_or(data::MelSettings{}), e.config);
  const auto& features = e.corpus.features.items;
  const int broken =
      erase_items(e.corpus, [&](std::size_t i) { return !features[i].values.empty(); });
  if (broken > 0) note(fmt::format("warning: {} files gave no features and are left out", broken));
}

data::Split make_experiment_split(const Experiment& e) {
  return data::make_split(e.corpus.dataset,
                          strata(e.corpus.dataset, data::parse_task(*e.config.task)),
                          split_options(e.config));
}

std::vector<data::Split> make_experiment_folds(const Experiment& e) {
  const bool by_number = all_digits(e.config.cv);
  int k = 0;
  if (by_number) {
    const char* end = e.config.cv.data() + e.config.cv.size();
    const auto [rest, error] = std::from_chars(e.config.cv.data(), end, k);
    if (error != std::errc()) k = std::numeric_limits<int>::max();
    check_usage(k >= 2, "--cv {}: at least 2 folds are needed", e.config.cv);
  }
  const std::vector<int> labels = strata(e.corpus.dataset, data::parse_task(*e.config.task));
  const data::SplitOptions options = split_options(e.config);
  std::vector<data::Split> splits;
  for (const auto& fold :
       data::make_folds(e.corpus.dataset, labels, k, by_number ? "" : e.config.cv, options)) {
    // Marked parts are kept by make_split(), which then carves validation from the rest, by group.
    data::Dataset marked;
    marked.kind = e.corpus.dataset.kind;
    marked.items = e.corpus.dataset.items;
    for (data::Item& item : marked.items) item.split = "train";
    for (int i : fold) marked.items[i].split = "test";
    splits.push_back(data::make_split(marked, labels, options));
  }
  return splits;
}

ModelSpec make_spec(const Experiment& e, const TrainConfig& config, const data::Split& split) {
  ModelSpec spec;
  spec.model = *config.model;
  spec.dataset = e.corpus.dataset.kind;
  spec.task = data::make_task(
      data::parse_task(*config.task), data::parse_cuts(*config.cuts), e.corpus.dataset,
      *config.cuts_from == "all" ? all_items(e.corpus.dataset) : split.train);
  spec.scale = spec.task.dynamic() ? e.corpus.dataset.dynamic_scale : e.corpus.dataset.scale;
  spec.mel = e.mel;
  if (!e.mel)
    spec.statistics = pooled(data::fit_band_statistics(e.corpus.features, split.train));
  else if (e.mel->standardize == data::Standardize::band)
    spec.statistics = data::fit_band_statistics(e.corpus.features, split.train);
  spec.width = *config.width;
  spec.window_step = *config.window_step;
  spec.options.height = e.corpus.features.items.front().height;
  spec.options.width = spec.width > 0 ? spec.width : longest(e.corpus.features);
  if (spec.width == 0) spec.width = static_cast<int>(spec.options.width);
  if (spec.task.dynamic()) {
    const data::StepGrid grid = spec.grid();
    spec.options.steps =
        grid.steps_of_width(spec.width > 0 ? spec.width : longest(e.corpus.features));
    spec.width = grid.frames(static_cast<int>(spec.options.steps));
    spec.window_step = grid.steps_of_width(*config.window_step);
    spec.options.width = spec.width;
  }
  spec.options.channels = 1;
  spec.options.outputs = spec.task.outputs();
  spec.options.hidden = config.hidden;
  spec.options.blocks = *config.blocks;
  spec.options.padding = config.padding;
  spec.options.dropout = config.dropout;
  spec.options.seed = static_cast<std::uint64_t>(config.seed);
  return spec;
}

std::optional<Outcome> train_one(const Experiment& e, const Training& training) {
  const fs::path& path = training.folder;
  const std::string& label = training.label;
  const RunFolder folder(path);
  TrainConfig config = training.config;
  const bool going_on = config.resume && fs::exists(folder.state());
  // The recorded split holds, even if the data set has changed since.
  const bool recorded = config.resume && fs::exists(folder.split());
  const data::Split split =
      recorded ? data::read_split(folder.split(), e.corpus.dataset) : training.split;
  config.cv.clear();  // a fold is a run like any other, and can be taken up by itself
  fill_defaults(config, e.recipe.name, e.profile, static_cast<int>(split.train.size()));
  const ModelSpec spec = make_spec(e, config, split);
  config.width = spec.width;
  const TrainJob job{config, e.corpus.dataset, e.corpus.features, split, spec, path, e.device,
                     label,  training.resume,  training.weights};
  Trainer trainer(job);
  note(fmt::format("{}{} ({} parameters) on {}, {}; {} train, {} val, {} test", label, spec.model,
                   trainer.model().parameter_count(), where_it_runs(e.device),
                   spec.task.dynamic()      ? std::string("valence and arousal every half second")
                   : spec.task.regression() ? std::string("valence and arousal")
                                            : fmt::format("{} classes", spec.task.outputs()),
                   split.train.size(), split.val.size(), split.test.size()));
  if (going_on) {
    trainer.restore();
  } else {
    make_folder(path);
    data::write_split(folder.split(), e.corpus.dataset, split);
    write_json(folder.run_json(),
               run_json(config, e.recipe, spec, e.corpus.dataset, split, e.device));
    for (const auto& old : {folder.metrics(), folder.best(), folder.last(), folder.state()})
      fs::remove(old);
  }
  if (trainer.run() == Trainer::Outcome::step_limit) {
    note(fmt::format("{}stopped after {} steps (--max-steps); saved. Go on with --resume", label,
                     trainer.progress().step));
    return std::nullopt;
  }

  const std::string part = split.test.empty() ? "val" : "test";
  if (split.test.empty() && split.val.empty()) {
    note("no test and no validation part: nothing to evaluate on");
    write_report(folder);
    return std::nullopt;
  }
  const LinearFloor floor =
      LinearFloor::fit(e.corpus.dataset, e.corpus.features, spec.task, split, spec.grid());
  floor.save(folder.linear());
  load_state(folder.best(), trainer.model().state());
  Outcome outcome;
  const auto judge_part = [&](const std::string& name, const std::vector<int>& items) {
    outcome.answers = answers_of(trainer.model(), spec, e.corpus, items, e.device, label + name);
    Evaluation result = judge(name, outcome.answers, e.corpus.dataset, spec,
                              fit_baseline(e.corpus.dataset, spec.task, split.train),
                              answers_of(floor, spec, e.corpus, items));
    write_json(folder.evaluation(name), to_json(result, true));
    write_text(folder.predictions(name), predictions_csv(result));
    return result;
  };
  if (e.recipe.name == "original" && part == "test")
    outcome.validation = judge_part("val", split.val);
  outcome.result = judge_part(part, split.test.empty() ? split.val : split.test);
  outcome.spec = spec;
  write_report(folder);
  return outcome;
}

}  // namespace etude::apps
