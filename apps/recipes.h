// Recipes: choices that go together, under one name.
//
//   etude     the default: the one of the two below that fits the data
//   small     songs, sounds or words, up to a few thousand: a four-block VGG, trained long, on
//             crops of three seconds, or whole words (measured: 0.716 on 900 clips in four
//             quadrants, ten-fold by artist)
//   general   everything else: images, and many files
//   original  music emotion as first published with these networks, flaws included
//
// A recipe fills options that were not given; every one of them can be given another value.
#pragma once

#include <string>
#include <vector>

#include "apps/defaults.h"
#include "apps/json.h"
#include "apps/train_config.h"

namespace etude::apps {

struct Recipe {
  std::string name;                  // small, general, original
  std::string reason;                // one line: why this one
  std::vector<std::string> flaws;    // of `original`: what this run repeats, one line each
  std::vector<std::string> assumed;  // of `original`: what its source does not state
};

// What --recipe takes.
std::vector<std::string> recipe_names();

// What bears on reading the data; call it before the data is loaded.
void begin_recipe(TrainConfig& config);

// Chooses by the data (`items` songs or files in all) and fills what does not depend on the size of
// the training part. UsageError where the recipe asked for does not go with the data or --cv.
Recipe choose_recipe(TrainConfig& config, const DataProfile& profile, int items);

Json to_json(const Recipe& recipe);

}  // namespace etude::apps
