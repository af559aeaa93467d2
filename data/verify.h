// What is in a data set, what is damaged, and what its labels look like: `etude data verify`.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace etude::data {

// How many items each class of a task gets.
struct ClassShares {
  std::string task, cuts;  // as in task.h; "classes" has no cuts
  std::string part;        // "train", "test" where a data set says; empty: all items
  std::vector<std::string> classes;
  std::vector<int> counts;  // parallel to classes
  int total() const;
  double share(int label) const;
  double largest() const;  // the accuracy of always answering the most frequent class
};

// Spread of one axis over the annotated items, on the scale as distributed.
struct AxisRange {
  double min = 0, max = 0, mean = 0;
  double deviation = 0;  // population; the error (RMSE) of always answering the mean
};

struct RootReport {
  Root root;
  int items = 0;                           // clips, songs or images that the root knows of
  int annotated = 0;                       // with a class, or valence and arousal
  int dynamic = 0;                         // with annotations over time
  int with_audio = 0;                      // whose file is there
  std::vector<std::string> no_audio;       // annotated, without an audio file
  std::vector<std::string> no_annotation;  // without annotation
  int mended = 0;                          // valence and arousal exchanged back
  AxisRange valence, arousal;              // where annotated > 0 and the labels are affect
};

struct VerifyReport {
  std::string kind;
  std::vector<RootReport> roots;
  std::vector<ClassShares> shares;  // pooled over the roots
  std::vector<std::string> notes, warnings;

  bool decoded = false;  // the rest is filled
  bool stopped = false;  // progress said so: the rest is incomplete
  struct Problem {
    std::string id, message;
  };
  std::vector<Problem> damaged;                      // decoded in part
  std::vector<Problem> unreadable;                   // gave nothing
  std::vector<std::vector<std::string>> duplicates;  // ids whose files are byte for byte the same
  double seconds_total = 0, seconds_min = 0, seconds_median = 0, seconds_max = 0;
  std::vector<std::pair<int, int>> sample_rates;  // rate, files; by rate

  // Files that are damaged or cannot be read.
  int problems() const { return static_cast<int>(damaged.size() + unreadable.size()); }
};

struct VerifyOptions {
  DatasetOptions dataset;  // need_audio and keep_unannotated are set as verification needs them
  bool fast = false;       // do not open the audio files
  int threads = 0;
  std::function<bool(int done, int total)> progress;  // false stops
};

// Error as load_dataset(): a data set that cannot be read at all has no report.
VerifyReport verify_dataset(const std::string& kind,
                            const std::vector<std::filesystem::path>& roots,
                            const VerifyOptions& options = {});

// For people, several lines; for programs, one JSON object.
std::string to_text(const VerifyReport& report);
std::string to_json(const VerifyReport& report);
// What DEAM's exchanged columns are, how they were found in these files, what the numbers say and
// what is done about it: for `etude data verify --explain`. Without DEAM, that there is nothing to
// explain.
std::string explain(const VerifyReport& report);

}  // namespace etude::data
