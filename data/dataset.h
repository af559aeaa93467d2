// What every data set becomes: a list of items with a file, labels and groups.
//
// An importer (deam.h, pmemo.h, folder.h, idx.h) reads one layout and knows its quirks; nothing
// beyond it does. Valence always comes before arousal.
#pragma once

#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/error.h"

namespace etude::data {

struct Affect {
  double valence = 0, arousal = 0;
};

// A rating scale; scores are kept as distributed and rescaled to 0-1 by the ends of the scale.
struct Scale {
  double low = 0, high = 1;
  double unit(double score) const { return (score - low) / (high - low); }
  double score(double unit) const { return low + unit * (high - low); }
};

// 2 Hz annotations of one song, on the data set's dynamic scale.
struct DynamicAnnotation {
  std::vector<double> seconds, valence, arousal;
};

struct Item {
  std::string id;                  // unique within the data set: "deam/2", "fsdd/0/0_george_0.wav"
  std::filesystem::path file;      // audio; empty where there is none (idx, or missing)
  int root = 0;                    // which --data root it came from
  std::optional<Affect> affect;    // static annotation on 0-1
  std::optional<Affect> score;     // the same as distributed (mended)
  DynamicAnnotation dynamic;       // on 0-1
  int label = -1;                  // class, for `folder` and `idx`
  int image = -1;                  // index into Dataset::images
  std::string split;               // "train", "val", "test" where a file or the layout says so
  std::map<std::string, std::string> columns;  // artist, speaker, fold, ... of metadata or --groups
};

// 8-bit images of an IDX file.
struct Images {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [count, height, width]
};

struct Dataset {
  std::string kind;                      // "deam"
  std::vector<Item> items;
  std::vector<std::string> classes;      // of `folder` and `idx`; empty where a task makes them
  Scale scale{0, 1};                     // of Item::score
  Images images;
  std::vector<std::string> notes;        // one line each: what was mended or left out
  std::vector<std::string> warnings;     // one line each: missing or damaged files
};

enum class DeamLabels { mended, as_distributed };

struct DatasetOptions {
  DeamLabels deam_labels = DeamLabels::mended;
  std::filesystem::path groups;  // --groups FILE, `folder` only
  bool need_audio = true;        // drop items without audio (with a warning); `verify` keeps them
};

// kind: deam, pmemo, folder, idx. Several roots of one kind combine; `deam` and `pmemo` roots may be
// mixed by giving the kind "deam+pmemo" (each root is recognised by its files). Error names the
// root and what was expected below it.
Dataset load_dataset(const std::string& kind, const std::vector<std::filesystem::path>& roots,
                     const DatasetOptions& options = {});

}  // namespace etude::data
