// Features and batches: from items to tensors [N, bands, frames, 1] that a model is fed.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/mel.h"
#include "data/split.h"
#include "data/task.h"
#include "engine/random.h"
#include "engine/tensor.h"

namespace etude::data {

// One item's features on the host: [height, width] float, width varies between songs.
struct Features {
  int height = 0, width = 0;
  std::vector<float> values;
};

struct PrepareOptions {
  std::filesystem::path cache;  // folder; empty: no cache on disk
  int threads = 0;
  bool strict = false;
  std::function<bool(int done, int total)> progress;  // false stops
};

// The features of every item in `which` (others stay empty): decoded, resampled, transformed; from
// the cache where the file's content and the settings are unchanged. Damaged files go to
// `warnings`; a file that gives nothing is an Error unless `skip_broken`.
struct FeatureSet {
  std::vector<Features> items;          // parallel to Dataset::items
  std::vector<std::string> warnings;
  int from_cache = 0;
};
FeatureSet prepare_features(const Dataset& dataset, const std::vector<int>& which,
                            const MelSettings& settings, const PrepareOptions& options);

// Per-band mean and deviation over the training part; applied by the loader and kept with the
// weights.
struct BandStatistics {
  std::vector<float> mean, deviation;  // [height]; empty: none
};
BandStatistics fit_band_statistics(const FeatureSet& features, const std::vector<int>& train);

struct Batch {
  Tensor x;                    // [N, height, width, 1]
  Tensor labels;               // int64 [N], for classification
  Tensor targets;              // float [N, 2] (valence, arousal on 0-1), for regression
  std::vector<int> items;      // the item of each sample
};

struct LoaderOptions {
  int batch_size = 32;
  int width = 0;               // frames a sample; 0: the longest item (shorter ones are padded)
  bool training = false;       // shuffled, random crops; else windows in order
  int window_step = 0;         // evaluation windows over a song: their step; 0: width (at least one)
  bool drop_last = false;
  std::uint64_t seed = 0;
  double pad_value = 0;        // in standardised units
};

// Batches for one epoch; the same seed, epoch and options give the same batches. Runs one batch
// ahead in a thread.
class Loader {
 public:
  Loader(const Dataset& dataset, const FeatureSet& features, const BandStatistics& statistics,
         const Task& task, std::vector<int> items, LoaderOptions options);
  ~Loader();
  void start_epoch(int epoch);
  bool next(Batch& batch);     // false at the end of the epoch
  int batches() const;         // an epoch
  int width() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace etude::data
