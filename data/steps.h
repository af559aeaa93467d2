// The grid of half seconds on which emotion over time is annotated, trained and answered.
//
// Step k of a song is its time from 0.5 k to 0.5 (k + 1) seconds, and the annotation at 0.5 k: the
// data sets annotate at 2 Hz from 15 s on (15.5 s in PMEmo), on multiples of half a second.
#pragma once

#include <algorithm>
#include <cmath>

namespace etude::data {

inline constexpr double step_seconds = 0.5;

// The step that an annotation at `seconds` belongs to.
inline int step_at(double seconds) { return static_cast<int>(std::lround(seconds / step_seconds)); }

// Steps in frames of a spectrogram, of which a step has no whole number.
struct StepGrid {
  double frames_per_step = 0;

  static StepGrid of(int sample_rate, double hop) { return {step_seconds * sample_rate / hop}; }
  // The first frame of a step; of step n, also how many frames n steps have.
  int frames(int step) const { return static_cast<int>(std::lround(step * frames_per_step)); }
  // The steps that so many frames were meant for, one at least: the inverse of frames().
  int steps_of_width(int width) const {
    return std::max(1, static_cast<int>(std::lround(width / frames_per_step)));
  }
  // Whole steps in so many frames, one at least. (The epsilon: 90 steps are not 89.9999.)
  int steps(int count) const {
    return std::max(1, static_cast<int>(std::floor(count / frames_per_step + 1e-3)));
  }
};

}  // namespace etude::data
