// What training does to the samples of a batch, drawn on the host, on its way to the device where
// it is done (engine/ops.h, augment()).
#pragma once

#include <vector>

#include "engine/ops.h"
#include "engine/transfer.h"

namespace etude::data {

// One sample of [height, width] in standardised units.
struct SampleAugmentation {
  AugmentSample values;
  std::vector<float> band_at;   // [height]; empty: every band itself
  std::vector<float> frame_at;  // [width]; empty: every frame itself
};

class AugmentationUpload {
 public:
  AugmentationUpload() = default;  // of nothing
  // The copies begin at once.
  AugmentationUpload(const std::vector<SampleAugmentation>& samples, int height, int width,
                     Device device);

  // x [N, height, source width, 1], augmented by work on the current stream of its device.
  Tensor operator()(const Tensor& x, double pad) const;

 private:
  Upload samples_, band_at_, frame_at_;
};

}  // namespace etude::data
