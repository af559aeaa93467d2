// The linear floor: mean and deviation of every mel band over a song (of images: of every row of
// pixels), standardised, into one linear layer. A network that does not beat it has learned nothing
// about patterns in time and frequency, so every report shows it. It costs seconds.
//
// Over time, the same of the last five seconds before and in each half second.
#pragma once

#include <filesystem>

#include "apps/over_time.h"
#include "data/split.h"

namespace etude::apps {

class LinearFloor {
 public:
  // Full-batch AdamW on the training part, or 8192 items (annotated half seconds) of it; the step
  // with the least validation loss is kept (the last one where there is no validation part).
  // Deterministic. `grid`: of a task over time.
  static LinearFloor fit(const data::Dataset& dataset, const data::FeatureSet& features,
                         const data::Task& task, const data::Split& split,
                         const data::StepGrid& grid = {});

  Predictions predict(const data::FeatureSet& features, const std::vector<int>& items) const;
  std::vector<Curve> predict_over_time(const data::FeatureSet& features,
                                       const std::vector<int>& items,
                                       const data::StepGrid& grid) const;

  // weight [outputs, 2 bands], bias [outputs], mean and deviation [2 bands].
  void save(const std::filesystem::path& path) const;
  static LinearFloor load(const std::filesystem::path& path);

 private:
  // A song (step -1), or one half second of it.
  struct Row {
    int item = 0, step = -1;
  };
  std::vector<float> standardised(const data::FeatureSet& features, const std::vector<Row>& rows,
                                  const data::StepGrid& grid) const;
  std::vector<float> answers(const data::FeatureSet& features, const std::vector<Row>& rows,
                             const data::StepGrid& grid) const;
  static std::vector<Row> rows_of(const data::Dataset& dataset, const data::FeatureSet& features,
                                  const data::Task& task, const std::vector<int>& items,
                                  const data::StepGrid& grid);
  std::vector<float> mean_, deviation_;  // of the song statistics
  Tensor weight_, bias_;
};

}  // namespace etude::apps
