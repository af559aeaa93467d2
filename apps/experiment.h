// From a configuration to something trainable: data loaded, defaults chosen, features prepared.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/defaults.h"
#include "apps/linear_floor.h"
#include "apps/model_spec.h"
#include "apps/recipes.h"
#include "apps/run_folder.h"
#include "apps/train_config.h"
#include "data/split.h"

namespace etude::apps {

// A data set with a class or an annotation, and features, for every item.
struct Corpus {
  data::Dataset dataset;
  data::FeatureSet features;
};

// Where features are cached: `asked`, or ~/.cache/etude (XDG_CACHE_HOME); empty for "none".
std::filesystem::path cache_folder(const std::string& asked);

data::DatasetOptions dataset_options(const TrainConfig& config);

// Loads the data set of the configuration, prints what was mended or missing, and drops the items
// that the task has no answer for.
data::Dataset load_labelled(const TrainConfig& config);

// Features of the items in `which`, with a progress bar; warnings go to stderr. Stops with
// Interrupted on Ctrl-C.
data::FeatureSet prepare_with_progress(const data::Dataset& dataset, const std::vector<int>& which,
                                       const data::MelSettings& mel, const TrainConfig& config);

// Everything of a run that does not depend on the split. `config` comes back complete except for
// what depends on the size of the training part (complete_config()).
struct Experiment {
  TrainConfig config;
  Corpus corpus;
  DataProfile profile;
  Recipe recipe;
  std::optional<data::MelSettings> mel;  // none for images
  Device device;
};
Experiment open_experiment(TrainConfig config);

// The split of the configuration: from the file, the data set, or the seed.
data::Split make_experiment_split(const Experiment& experiment);
// One split a fold of --cv; the held-out fold is the test part, and validation comes from the rest.
std::vector<data::Split> make_experiment_folds(const Experiment& experiment);

// Task thresholds and band statistics, fitted on the training part; the network's shape.
ModelSpec make_spec(const Experiment& experiment, const TrainConfig& config,
                    const data::Split& split);

// What a trained model, or an ensemble, is worth.
struct Outcome {
  Evaluation result;                     // on the test part (validation where there is none)
  std::optional<Evaluation> validation;  // with the recipe `original`: what it would have reported
  ModelSpec spec;
  Answers answers;  // that `result` judges
};

// One training.
struct Training {
  TrainConfig config;  // the experiment's, or a member's of an ensemble
  const data::Split& split;
  std::filesystem::path folder;
  std::string label;             // before its progress
  std::filesystem::path resume;  // the folder that --resume names: `folder`, or that of all of them
  std::vector<double> weights{};  // of the songs of split.train; empty: equal (data/loader.h)
};

// Trains one model (with --resume: goes on), evaluates its best weights and writes the report.
// Empty when --max-steps stopped it.
std::optional<Outcome> train_one(const Experiment& experiment, const Training& training);

// Makes the features of the experiment's items under its front end; leaves out those without.
void prepare_corpus(Experiment& experiment);

}  // namespace etude::apps
