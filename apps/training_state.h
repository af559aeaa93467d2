// All that a stopped run needs to go on bit for bit: one file, written atomically.
#pragma once

#include <filesystem>
#include <optional>

#include "engine/module.h"
#include "engine/optimizer.h"

namespace etude::apps {

// Where the run stands. Sums belong to the epoch in progress.
struct Progress {
  int epoch = 0;        // epochs finished
  int batch = 0;        // batches of the current epoch that have been used
  Index step = 0;       // optimiser steps in all
  double loss_sum = 0;  // of the loss over samples
  Index samples = 0;
  Index correct = 0;
  double seconds = 0;          // of the epoch in progress
  std::optional<double> best;  // the least monitored value so far
  double best_loss = 0;        // the loss with it, which decides among equals
  int best_epoch = 0;          // 1-based
  bool done = false;           // all epochs, or stopped early
};

struct TrainingState {
  Module& model;
  Optimizer& optimizer;
  Ema* ema = nullptr;  // optional
  Progress& progress;
};

// Saves weights, buffers, optimiser, moving average, the positions of the dropout streams, and the
// progress. `where`: back end and instruction set, to warn when a resume runs elsewhere.
void save_training_state(const std::filesystem::path& path, const TrainingState& state,
                         const std::string& where);
// Restores all of it and returns `where`. Error when the file belongs to another model, optimiser
// or kind of run.
std::string load_training_state(const std::filesystem::path& path, const TrainingState& state);

}  // namespace etude::apps
