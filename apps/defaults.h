// The defaults of `etude train` that depend on the data: one readable table.
#pragma once

#include <string>

#include "apps/train_config.h"
#include "data/dataset.h"
#include "data/mel.h"

namespace etude::apps {

// What the defaults are chosen by.
struct DataProfile {
  enum class Kind {
    images,       // idx
    short_clips,  // median below 2 s: words, single sounds
    sounds,       // median below 10 s
    songs         // longer: music
  } kind = Kind::images;
  int sample_rate = 0;  // the most common one of the files
  double median_seconds = 0;
  double long_seconds = 0;  // 95 % of the files are shorter
};
std::string to_string(DataProfile::Kind kind);

// Looks at up to 48 files, evenly spread over the data set. Error when none of them can be decoded.
DataProfile profile_dataset(const data::Dataset& dataset);

// The front end that fits: a preset, or one adapted to the sample rate and length of short clips.
data::MelSettings default_mel(const DataProfile& profile);

// Fills the fields of `config` that are still empty, by the recipe's name (recipes.h).
// `train_items`: songs in the training part.
void fill_defaults(TrainConfig& config, const std::string& recipe, const DataProfile& profile,
                   int train_items);

// The front end that `config` asks for: preset or default, then the --mel overrides.
data::MelSettings resolve_mel(const TrainConfig& config, const DataProfile& profile);

}  // namespace etude::apps
