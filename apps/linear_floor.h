// The linear floor: mean and deviation of every mel band over a song (of images: of every row of
// pixels), standardised, into one linear layer. A network that does not beat it has learned nothing
// about patterns in time and frequency, so every report shows it. It costs seconds.
#pragma once

#include <filesystem>

#include "apps/evaluate.h"
#include "data/split.h"

namespace etude::apps {

class LinearFloor {
 public:
  // Full-batch AdamW on the training part, or 8192 items of it; the step with the least validation
  // loss is kept (the last one where there is no validation part). Deterministic.
  static LinearFloor fit(const data::Dataset& dataset, const data::FeatureSet& features,
                         const data::Task& task, const data::Split& split);

  Predictions predict(const data::FeatureSet& features, const std::vector<int>& items) const;

  // weight [outputs, 2 bands], bias [outputs], mean and deviation [2 bands].
  void save(const std::filesystem::path& path) const;
  static LinearFloor load(const std::filesystem::path& path);

 private:
  std::vector<float> standardised(const data::FeatureSet& features,
                                  const std::vector<int>& items) const;
  std::vector<float> mean_, deviation_;  // of the song statistics
  Tensor weight_, bias_;
};

}  // namespace etude::apps
