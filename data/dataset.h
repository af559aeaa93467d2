// What every data set becomes: a list of items with a file, labels and groups.
//
// An importer (deam.h, pmemo.h, folder.h, idx.h) reads one layout and knows its quirks; nothing
// beyond it does. Valence always comes before arousal.
#pragma once

#include <array>
#include <cstdint>
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

// 2 Hz annotations of one song, on 0-1.
struct DynamicAnnotation {
  std::vector<double> seconds, valence, arousal;
};

struct Item {
  std::string id;                // unique within the data set: "deam/2", "fsdd/0/0_george_0.wav"
  std::filesystem::path file;    // audio; empty where there is none (idx, or missing)
  int root = 0;                  // which --data root it came from
  std::optional<Affect> affect;  // static annotation on 0-1
  std::optional<Affect> score;   // the same as distributed (mended)
  DynamicAnnotation dynamic;     // on 0-1
  int label = -1;                // class, for `folder` and `idx`
  int image = -1;                // index into Dataset::images
  std::string split;             // "train", "val", "test" where a file or the layout says so
  // artist, speaker, fold, ... of metadata or --groups; names as the file spells them, trimmed.
  std::map<std::string, std::string> columns;
};

// 8-bit images of an IDX file.
struct Images {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [count, height, width]
};

// How one range of DEAM's song ids answers the question whether the static columns "valence" and
// "arousal" are exchanged there: Pearson correlations of the songs' mean dynamic annotation with
// their static one, as distributed (deam.h).
struct SwapEvidence {
  enum class Verdict { straight, swapped, unclear };
  int first_id = 0, last_id = 0;  // inclusive
  int songs = 0;                  // with both annotations, here
  double arousal_arousal = 0;     // r(dynamic arousal, static "arousal")
  double arousal_valence = 0;     // r(dynamic arousal, static "valence")
  double valence_valence = 0;     // r(dynamic valence, static "valence")
  double valence_arousal = 0;     // r(dynamic valence, static "arousal")
  Verdict verdict = Verdict::unclear;
  int mended = 0;  // songs whose columns were exchanged back
};

// One data set that was found: a --data root, or one of two below the same root.
struct Root {
  std::filesystem::path path;
  std::string kind;                // deam, pmemo, folder, idx
  Scale scale{0, 1};               // of Item::score of its items
  std::vector<SwapEvidence> swap;  // deam only
  Scale dynamic_scale{0, 1};       // of the annotations over time, as distributed
};

struct Dataset {
  std::string kind;  // "deam", "deam+pmemo"
  std::vector<Item> items;
  std::vector<std::string> classes;  // of `folder` and `idx`; empty where a task makes them
  Scale scale{0, 1};                 // of Item::score; 0-1 where roots differ: see Root::scale
  Scale dynamic_scale{0, 1};         // of the annotations over time, likewise
  Images images;
  std::vector<std::string> notes;     // one line each: what was mended or left out
  std::vector<std::string> warnings;  // one line each: missing or damaged files
  std::vector<Root> roots;            // Item::root is an index into it

  bool has_affect() const;  // some item has a valence/arousal annotation
};

// "6 songs", "1 image", "30 files": what the items of a data set of this kind are called.
std::string counted_items(const std::string& kind, int count);

enum class DeamLabels { mended, as_distributed };

struct DatasetOptions {
  DeamLabels deam_labels = DeamLabels::mended;
  std::filesystem::path groups;  // --groups FILE, `folder` only
  bool need_audio = true;        // drop items without audio (with a warning); `verify` keeps them
  bool keep_unannotated =
      false;  // keep clips without annotation (with `affect` unset), as `verify`
};

// kind: deam, pmemo, folder, idx. Several roots of one kind combine; `deam` and `pmemo` may be
// mixed by giving the kind "deam+pmemo" (each root is recognised by its files and may hold both).
// "auto" recognises each root among all four. Error names the root and what was expected below it.
//
// Ids are "<name>/<song>", <name> being the kind (of `folder`: the root's name); a second root of
// the same name gets "<name>-2". Folder classes with the same name are one class.
Dataset load_dataset(const std::string& kind, const std::vector<std::filesystem::path>& roots,
                     const DatasetOptions& options = {});

// The kinds load_dataset() takes, for help texts.
const std::vector<std::string>& dataset_kinds();

}  // namespace etude::data
