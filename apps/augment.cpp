#include "apps/augment.h"

#include <algorithm>

namespace etude::apps {

namespace {

struct Span {
  int begin = 0, end = 0;
};

// A stretch of 0 to `share` of `length`, anywhere.
Span random_span(int length, double share, Generator& random) {
  const int longest = static_cast<int>(share * length);
  const int n = static_cast<int>(random.below(longest + 1));
  const int begin = static_cast<int>(random.below(length - n + 1));
  return {begin, begin + n};
}

}  // namespace

void augment_mel(float* x, int height, int width, Generator& random) {
  const double level = 0.15 * random.normal(), tilt = 0.15 * random.normal();
  for (int band = 0; band < height; ++band) {
    const double position = height > 1 ? 2.0 * band / (height - 1) - 1 : 0;
    const auto shift = static_cast<float>(level + tilt * position);
    float* row = x + static_cast<long>(band) * width;
    for (int frame = 0; frame < width; ++frame) row[frame] += shift;
  }
  for (int mask = 0; mask < 2; ++mask) {
    const Span bands = random_span(height, 0.15, random);
    std::fill(x + static_cast<long>(bands.begin) * width, x + static_cast<long>(bands.end) * width,
              0.0f);
    const Span frames = random_span(width, 0.19, random);
    for (int band = 0; band < height; ++band) {
      float* row = x + static_cast<long>(band) * width;
      std::fill(row + frames.begin, row + frames.end, 0.0f);
    }
  }
}

}  // namespace etude::apps
