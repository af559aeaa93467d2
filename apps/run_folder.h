// The files of a run folder: names, the record of epochs, and run.json.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/json.h"
#include "apps/model_spec.h"
#include "apps/recipes.h"
#include "apps/train_config.h"
#include "data/split.h"

namespace etude::apps {

class RunFolder {
 public:
  using Path = std::filesystem::path;
  explicit RunFolder(Path path) : path_(std::move(path)) {}
  const Path& path() const { return path_; }
  Path run_json() const { return path_ / "run.json"; }
  Path metrics() const { return path_ / "metrics.jsonl"; }
  Path best() const { return path_ / "best.safetensors"; }
  Path last() const { return path_ / "last.safetensors"; }
  Path snapshot(int cycle) const {
    return path_ / ("snapshot-" + std::to_string(cycle) + ".safetensors");
  }
  Path state() const { return path_ / "state.safetensors"; }
  Path linear() const { return path_ / "linear.safetensors"; }
  Path split() const { return path_ / "split.csv"; }
  Path report() const { return path_ / "report.html"; }
  Path evaluation(const std::string& split) const { return path_ / ("eval-" + split + ".json"); }
  Path predictions(const std::string& split) const {
    return path_ / ("predictions-" + split + ".csv");
  }

 private:
  Path path_;
};

// Error where no run folder can be made at `path`: before the work, not after it.
void check_place(const std::filesystem::path& path);
// Makes it, with what is missing above it.
void make_folder(const std::filesystem::path& path);

// One line of metrics.jsonl.
struct EpochRecord {
  int epoch = 0;                   // 1-based
  double loss = 0;                 // mean over the training samples as they were seen
  std::optional<double> val_loss;  // over songs; no value without a validation part
  std::optional<double> accuracy, val_accuracy;
  double lr = 0;       // of the epoch's last step
  double seconds = 0;  // training and validation
  bool best = false;   // the best so far
};
void append_metrics(const std::filesystem::path& path, const EpochRecord& record);
std::vector<EpochRecord> read_metrics(const std::filesystem::path& path);
// Drops the records after `epochs`.
void truncate_metrics(const std::filesystem::path& path, int epochs);
// "epoch 3/20: loss 0.4123, val loss 0.4321, ..." for people.
std::string to_line(const EpochRecord& record, int epochs);

// What run.json says: how to repeat the run, and on what it was made.
Json run_json(const TrainConfig& config, const Recipe& recipe, const ModelSpec& spec,
              const data::Dataset& dataset, const data::Split& split, Device device);
// Reads it back. Error where it is no run.json. A folder of folds has `config` alone.
Json read_run(const RunFolder& folder);
// Versions, device, instruction set, threads.
Json environment_json(Device device);

}  // namespace etude::apps
