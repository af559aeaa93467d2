// Running a trained model over a part of a data set, and what the outcome is worth.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/json.h"
#include "apps/metrics.h"
#include "data/loader.h"
#include "engine/module.h"

namespace etude::apps {

// Raw outputs: logits of a classification; valence, arousal on 0-1 of a regression.
struct Predictions {
  int outputs = 0;
  std::vector<int> items;              // songs, as indices into Dataset::items, in loader order
  std::vector<double> song_outputs;    // [songs, outputs]: mean over the song's windows
  std::vector<int> window_song;        // index into `items` of every window
  std::vector<double> window_outputs;  // [windows, outputs]

  int songs() const { return static_cast<int>(items.size()); }
  int windows() const { return static_cast<int>(window_song.size()); }
  const double* song(int i) const { return song_outputs.data() + std::size_t(i) * outputs; }
  const double* window(int i) const { return window_outputs.data() + std::size_t(i) * outputs; }
};

// One batch's outputs [items, outputs] on the host.
struct BatchOutputs {
  std::vector<float> values;
  std::vector<int> items, starts;  // data::Batch
  int outputs = 0;
};
// Runs the model as below and hands over each batch.
void run_batches(Module& model, data::Loader& loader, const std::string& label,
                 const std::function<void(const BatchOutputs&)>& take);

// Runs the model in evaluation mode (and restores the mode it was in) on the loader's device. Stops
// with Interrupted on Ctrl-C. `label` names the progress bar; empty: none.
Predictions run_model(Module& model, data::Loader& loader, const std::string& label = {});

// Mean loss over songs: cross-entropy of the averaged logits (no smoothing, no class weights), or
// the mean squared error of valence and arousal on 0-1; with loss "ccc" 1 - the mean of both axes'
// CCC.
double mean_loss(const Predictions& predictions, const data::Dataset& dataset,
                 const data::Task& task, const std::string& loss = "mse");
// Share of songs whose largest averaged logit is their class.
double mean_accuracy(const Predictions& predictions, const data::Dataset& dataset,
                     const data::Task& task);

// What the training part says without hearing anything: the floor under every model.
struct Baseline {
  int majority = -1;                    // its most frequent class
  double valence = 0.5, arousal = 0.5;  // its means, on 0-1
};
Baseline fit_baseline(const data::Dataset& dataset, const data::Task& task,
                      const std::vector<int>& train);

// Over time: measures of each song by itself, averaged over songs.
struct PerSong {
  double rmse = 0, pearson = 0, ccc = 0;
};

// One axis of a regression; everything in units of the scale.
struct AxisEvaluation {
  Regression model;          // over songs; over time: over all annotated steps of all songs
  double baseline_rmse = 0;  // of the mean of the training part
  std::optional<Regression> linear;
  std::optional<PerSong> per_song, linear_per_song;  // over time only
  double baseline_per_song_rmse = 0;
};

struct Evaluation {
  std::string split;                 // "test"
  std::string kind;                  // of the data set: what its items are called
  std::vector<std::string> classes;  // empty for regression
  data::Scale scale;
  data::Cuts cuts = data::Cuts::scale;  // classes that are levels of valence and arousal:
  data::Thresholds thresholds;          // where they meet, in units of the scale
  int songs = 0, windows = 0;
  double loss = 0;
  // Classification
  Classification song, window;  // per song (averaged logits) and per window
  double majority = 0;          // accuracy of the training part's majority class
  std::string majority_class;
  std::optional<Classification> linear;
  bool over_time = false;  // a regression over time (over_time.h)
  int steps = 0;           // its annotated steps
  // Regression, valence first
  AxisEvaluation valence, arousal;
  // Every song, for the list of predictions and the scatter plot.
  struct Song {
    std::string id;
    int truth = -1, predicted = -1;
    std::vector<double> probabilities;
    data::Affect true_affect, predicted_affect;  // in units of the scale; over time: the means
    bool annotated = false;                      // a classified song that has a true_affect
    struct Step {
      double seconds = 0;
      data::Affect truth, predicted;
    };
    std::vector<Step> curve;  // over time
  };
  std::vector<Song> list;
  // Of an ensemble: each member's accuracy, or mean CCC of both axes, on the same songs.
  struct Member {
    std::string name, what;
    double worth = 0;
  };
  std::vector<Member> members;

  bool regression() const { return classes.empty(); }
  bool has_levels() const { return !thresholds.valence.empty() || !thresholds.arousal.empty(); }
};

// `linear`: predictions of the linear floor for the same songs, where there is one.
Evaluation evaluate(const std::string& split, const Predictions& predictions,
                    const data::Dataset& dataset, const data::Task& task, const data::Scale& scale,
                    const Baseline& baseline, const std::optional<Predictions>& linear);

// One object: accuracy, majority, macro_f1, loss, n ..., or r2, rmse, pearson, ccc per axis.
// `with_list` adds every song.
Json to_json(const Evaluation& evaluation, bool with_list = false);
// Tables for people, and the one line that says it all.
std::string to_text(const Evaluation& evaluation);
std::string headline(const Evaluation& evaluation);
// CSV: id, truth, prediction, probabilities (or the two axes).
std::string predictions_csv(const Evaluation& evaluation);

}  // namespace etude::apps
