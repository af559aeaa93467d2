// The page of `etude predict --html`: for each song the answer, its place on the plane of valence
// and arousal, and under the waveform what the model hears over time.
#pragma once

#include <string>
#include <vector>

#include "apps/json.h"

namespace etude::apps {

// The outline of a waveform: the least and the largest sample of equal pieces of it.
struct Outline {
  std::vector<float> low, high;
  double seconds = 0;
};
Outline outline(const std::vector<float>& samples, int sample_rate, int pieces = 600);

struct PredictedSong {
  Json answer;  // an object of `etude predict --json --over-time`
  Outline outline;
};

// The whole document: no scripts, nothing loaded from elsewhere. `model` says what answered.
std::string predict_page(const std::vector<PredictedSong>& songs, const std::string& model);

}  // namespace etude::apps
