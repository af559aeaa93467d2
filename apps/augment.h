// Augmentation of mel spectrograms while training: what a recording may differ in without another
// emotion or class.
//
// In standardised units, per sample: a level + N(0, 0.15); a tilt N(0, 0.15) times -1 to 1 over the
// bands; two masks of 0 to 15 % of the bands and two of 0 to 19 % of the frames, set to the mean
// (SpecAugment: Park et al., Interspeech 2019).
#pragma once

#include "engine/random.h"

namespace etude::apps {

// x [height, width] in place.
void augment_mel(float* x, int height, int width, Generator& random);

}  // namespace etude::apps
