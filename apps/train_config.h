// Everything that `etude train` can be told, in one struct with one list of fields.
//
// The list (visit_fields in train_config.cpp) makes the command line options, the keys of a config
// file and the keys of run.json, so that the three cannot drift apart. A field that is empty when
// parsing ends takes its value from the data (defaults.h).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/json.h"

namespace CLI {
class App;
}

namespace etude::apps {

struct TrainConfig {
  // Data
  std::string dataset;                   // deam, pmemo, deam+pmemo, folder, idx
  std::vector<std::string> data;         // roots
  std::optional<std::string> task;       // emotion9, quadrants, ..., va, va-dynamic, classes
  std::optional<std::string> cuts;       // where the levels of an axis meet
  std::optional<std::string> cuts_from;  // train, all: the items that learned cuts come from
  std::optional<std::string> labels;     // DEAM's swap
  std::string groups;                    // CSV of a `folder` data set
  std::string group_by;                  // column whose values never straddle two parts
  std::string split_file;                // a split.csv to take over
  std::string cv;                        // folds: a number, or a column
  std::vector<std::string> holdout;      // COLUMN=VALUE: such items are the test part
  std::optional<double> val_fraction;
  double test_fraction = 0.15;

  // Front end
  std::optional<std::string> preset;
  std::vector<std::string> mel;    // NAME=VALUE overrides
  std::optional<int> width;        // frames of a training crop; 0: the longest item
  std::optional<int> window_step;  // frames between evaluation windows; 0: the width
  std::string cache;               // folder of the feature cache; "none": no cache
  bool strict = false;             // a damaged audio file is an error

  // Model
  std::optional<std::string> model;
  int hidden = 10;  // TinyVGG
  std::optional<int> blocks;
  int padding = 1;
  double dropout = 0;
  std::string init;  // weights to start from
  bool reset_head = false;

  // Optimisation
  std::string recipe = "etude";          // recipes.h
  std::string ensemble;                  // bagging, boosting, snapshot, diverse; empty: one model
  int members = 0;                       // of the ensemble; 0: by default
  int cycles = 1;                        // of the schedule; a snapshot of the weights after each
  std::optional<std::string> optimizer;  // sgd, adamw
  std::optional<double> lr;
  std::optional<double> lr_start, lr_end, lr_peak;  // of `onecycle`: two rates, a share of steps
  double momentum = 0.9;
  std::optional<double> beta1, beta2;  // of AdamW
  bool nesterov = false;
  std::optional<double> weight_decay;
  std::optional<std::string> schedule;  // constant, step, cosine, onecycle
  double warmup = 0;                    // epochs
  double step_every = 10, gamma = 0.1;  // epochs, factor: of `step`
  std::optional<int> epochs;
  std::optional<int> batch;
  std::optional<std::string> loss;  // mse, ccc: of a regression
  std::optional<double> label_smoothing;
  std::optional<std::string> augment;  // augment.h
  std::string class_weights = "none";  // none, balanced
  double clip_grad = 0;                // 0: off
  double ema = 0;                      // decay of the averaged weights; 0: off
  int accumulate = 1;                  // batches an optimiser step
  std::optional<int> patience;         // epochs without improvement before stopping; 0: never
  std::optional<std::string> monitor;  // what validation is judged by: loss, accuracy

  // Run
  std::string out;
  bool resume = false;
  std::int64_t seed = 0;
  int threads = 0;  // 0: all
  std::string device = "auto";
  std::string linear_provider = "own";  // own, cublas
  bool tensorboard = false;             // an event file, too
  std::int64_t max_steps = 0;           // stop after so many optimiser steps, as if interrupted

  std::set<std::string> given;  // the keys set on the command line or in a config file
};

// Adds the options to a subcommand; they write into `config`, which must outlive the parse.
void add_train_options(CLI::App& app, TrainConfig& config);
// After the parse: fills `given`.
void note_given(const CLI::App& app, TrainConfig& config);

// Keys as on the command line, with '_' for '-'. `resume`, `max_steps` and `out` are not stored.
Json to_json(const TrainConfig& config);
TrainConfig train_config_from_json(const Json& json);

// The configuration of a resumed run: `saved`, with what may change without changing the result
// (device, threads, data, cache, strict, tensorboard) taken from `asked` where given. UsageError
// names a key that was given another value than the saved one.
TrainConfig resume_config(const TrainConfig& saved, const TrainConfig& asked);

}  // namespace etude::apps
