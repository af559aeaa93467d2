// The training loop: epochs, validation, early stopping, checkpoints, resume.
//
// Deterministic: the batches of an epoch follow from seed and epoch number, so a run that stops
// after any step and is resumed passes through the same numbers as one that does not stop.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/model_spec.h"
#include "apps/progress.h"
#include "apps/tensorboard.h"
#include "apps/train_config.h"
#include "apps/training_state.h"
#include "data/loader.h"
#include "data/split.h"
#include "engine/schedule.h"

namespace etude::apps {

// What is trained, on what, and where it goes. References must outlive the trainer.
struct TrainJob {
  const TrainConfig& config;  // complete: every default filled in
  const data::Dataset& dataset;
  const data::FeatureSet& features;
  const data::Split& split;
  const ModelSpec& spec;
  std::filesystem::path folder;  // exists
  Device device;
  std::string label;  // before "epoch 3/20", e.g. "fold 2/10: "
  std::filesystem::path
      resume;  // what `train --resume --out` names: the folder, or that of all folds
  std::vector<double> weights{};  // of the songs of split.train; empty: equal (data/loader.h)
};

class Trainer {
 public:
  // A fresh model (or that of --init). Error when the model does not fit the data.
  explicit Trainer(const TrainJob& job);

  // Goes back to state.safetensors in the run folder; warns when back end or instruction set are
  // others than those the state was made with, since then the bits will differ.
  void restore();

  enum class Outcome { finished, step_limit };
  // Trains until the last epoch, early stopping or --max-steps. Throws Interrupted after saving on
  // Ctrl-C, and Error when the loss is no longer finite (what was saved before stays).
  Outcome run();

  Module& model() { return *model_; }
  const Progress& progress() const { return progress_; }

 private:
  struct StepResult;
  bool train_epoch();  // false: stopped within it, by signal or step limit
  void account_for(const StepResult& result);
  Tensor loss(const data::Batch& batch, const Tensor& outputs) const;
  double rate(Index step) const;
  void optimizer_step();
  void finish_epoch();  // validation, records, checkpoints
  void save_weights(const std::filesystem::path& path);
  void save_state_file();
  bool must_stop() const;
  TrainingState state();

  TrainJob job_;
  std::unique_ptr<Module> model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<Ema> ema_;
  std::unique_ptr<data::Loader> train_, val_;
  Schedule schedule_;
  CrossEntropyOptions cross_entropy_;
  Progress progress_;
  std::optional<Clock::time_point> saved_;  // the state, last
  std::optional<EventFile> events_;         // --tensorboard
};

}  // namespace etude::apps
