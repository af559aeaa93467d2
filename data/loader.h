// Features and batches: from items to tensors [N, bands, frames, 1] that a model is fed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/augmentation.h"
#include "data/dataset.h"
#include "data/mel.h"
#include "data/split.h"
#include "data/steps.h"
#include "data/task.h"
#include "engine/random.h"
#include "engine/tensor.h"

namespace etude::data {

// One item's features on the host: [height, width] float, width varies between songs. Images are
// scaled to 0-1.
struct Features {
  int height = 0, width = 0;
  std::vector<float> values;
  int valid = 0;  // leading frames that hold sound, the rest being the front end's padding; 0: all
  int frames() const { return valid > 0 ? valid : width; }
};

struct PrepareOptions {
  std::filesystem::path cache;  // folder; empty: no cache on disk
  int threads = 0;              // files at a time; 0: as many as the processor runs
  bool strict = false;          // a damaged file is an Error rather than a warning
  // Called from the calling thread as files are done; false stops.
  std::function<bool(int done, int total)> progress;
};

// The features of every item in `which` (others stay empty): decoded, resampled, transformed; from
// the cache where the file's content and the settings are unchanged (feature_cache.h). Damaged
// files go to `warnings`, and so do files that give nothing at all: their features stay empty.
// Error where no file gives anything. The result does not depend on the number of threads.
//
// All features are held in memory: 4 bytes x bands x frames, e.g. 0.45 GB for 1802 clips of 45 s at
// 64 bands and hop 1024.
struct FeatureSet {
  std::vector<Features> items;  // parallel to Dataset::items
  std::vector<std::string> warnings;
  int from_cache = 0;
  bool stopped = false;  // `progress` said so: some items are missing
};
FeatureSet prepare_features(const Dataset& dataset, const std::vector<int>& which,
                            const MelSettings& settings, const PrepareOptions& options);

// Mean and (population) deviation of every band over the training part, padding left out; applied
// by the loader as (x - mean) / deviation and kept with the weights. A band without deviation is
// only centred. Of images a row is a band; give every row the same pair for one over all pixels.
struct BandStatistics {
  std::vector<float> mean, deviation;  // [height]; empty: none
};
BandStatistics fit_band_statistics(const FeatureSet& features, const std::vector<int>& train);

// Tensors on the loader's device.
struct Batch {
  Tensor x;       // [N, height, width, 1]
  Tensor labels;  // int64 [N], for classification
  // float, for regression: valence and arousal on 0-1, [N, 2]; over time [N, 2 steps], the two of
  // each step together, 0 where nobody annotated.
  Tensor targets;
  Tensor mask;  // over time, like targets: 1 where there is an annotation, else 0
  // With mixup: x and targets are mix times the sample's own and 1 - mix times another's of the
  // batch, whose labels are here. mix is 0.5 to 1.
  Tensor other_labels;
  double mix = 1;
  int annotated = 0;        // how many of the mask are 1
  std::vector<int> items;   // the item of each sample
  std::vector<int> starts;  // over time: the step each sample begins with
};

// What is done to one training sample, but its tempo and its partner, which are the loader's
// business. Drawn from `random`, which is the sample's own (seed, epoch, item).
using Augment = std::function<SampleAugmentation(int height, int width, Generator& random)>;

struct LoaderOptions {
  int batch_size = 32;
  int width = 0;           // frames a sample; 0: the longest of all features
  bool training = false;   // shuffled, random crops; else windows in order
  int window_step = 0;     // evaluation windows over a song: their step; 0: width (at least one)
  bool drop_last = false;  // training only: leave out a last batch that is not full
  std::uint64_t seed = 0;
  double pad_value = 0;  // in standardised units
  // Training only. Without random_crop a sample is the middle of its song. tempo: a sample is
  // stretched or squeezed by 2^u, u uniform in +-tempo, by linear interpolation. mixup: the alpha
  // of Beta(alpha, alpha), from which a batch draws how samples are mixed in pairs; 0: not.
  // weights, one an item: an epoch then has as many samples as there are items, item i w_i times
  // (its share of the sum), rounded up or down by chance; each sample is drawn by itself.
  std::vector<double> weights{};
  bool random_crop = true;
  double tempo = 0, mixup = 0;
  Augment augment;  // after the crop; empty: none
  // Over time (Task::dynamic()): how many half seconds a sample has, which replaces `width`, and
  // where they lie. window_step is then in steps; 0: half of `steps`.
  int steps = 0;
  StepGrid grid{};
  Device device;  // where the batches go
};

// Batches for one epoch; the same seed, epoch and options give the same batches, whatever came
// before: a run resumes exactly at the start of an epoch. One batch is made ahead in a thread, in
// pinned memory, and copied to the device while the batch before is worked on. Samples are
// cut on the host, and augmented, stretched and mixed there where the device is the CPU, else on
// the device, behind the copy; what is done to them is drawn on the host, the same for all.
//
// training: every item once an epoch, in an order drawn from (seed, epoch), one crop of `width`
// frames each at a start drawn from (seed, epoch, item) and uniform over its valid frames.
// Else: every item in the order given, windows at 0, step, 2 step ... that lie within it, and one
// more at its end where at least half a step of frames would be left uncovered. Batch::items tells
// the item of each window: a song's answer is the mean of its windows' logits.
//
// Over time, a sample begins with a step. In training at least half of its steps lie between the
// first and the last annotation, where the song is long enough; evaluation covers the whole song,
// annotated or not, and ends with a window at its last step.
//
// Items shorter than `width` are padded at the end with pad_value, after standardisation, as are
// frames beyond Features::frames(): padding is the training mean, whatever the front end put there.
//
// Data set and features are referred to and must outlive the loader. Error for an item without
// features or (where the task needs one) without a label, and for features of several heights.
class Loader {
 public:
  Loader(const Dataset& dataset, const FeatureSet& features, const BandStatistics& statistics,
         const Task& task, std::vector<int> items, LoaderOptions options);
  ~Loader();
  void start_epoch(int epoch);  // without it, next() begins epoch 0
  bool next(Batch& batch);      // false at the end of the epoch
  int batches() const;          // an epoch
  int samples() const;          // an epoch: items, or windows in evaluation
  int width() const;
  int song_steps(int item) const;  // over time: whole half seconds of an item's audio

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace etude::data
