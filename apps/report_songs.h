// The part of report.html that looks at single songs: where confidence can be trusted, which songs
// went worst, and over time, their curves. Made from the `list` and `curves` of eval-PART.json.
#pragma once

#include <string>

#include "apps/json.h"

namespace etude::apps {

// Sections of HTML for an evaluation (evaluate.h, to_json with its list). Each is left out where
// the evaluation has nothing for it.
std::string songs_sections(const Json& evaluation);

// Expected calibration error: the mean over ten equal bins of confidence of |accuracy -
// confidence|, weighted by their songs (Naeini et al., AAAI 2015). The bins with songs, in order.
struct CalibrationBin {
  double confidence = 0, accuracy = 0;  // means over its songs
  int songs = 0;
};
struct Calibration {
  std::vector<CalibrationBin> bins;
  double error = 0;
};
// One entry a song: the probability of its answer, and whether the answer was right.
Calibration calibration(const std::vector<std::pair<double, bool>>& answers);

}  // namespace etude::apps
