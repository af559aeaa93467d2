// Augmentation while training: what a recording may differ in without another emotion or class.
//
// On mel spectrograms in standardised units, drawn anew for every sample from its own stream (seed,
// epoch, item). Each has a name for --augment, and draws from a stream of its own, so that
// switching one on or off leaves the others' draws as they are. Here they are drawn; they are done
// to a whole batch at once, on the device that trains, by augment() of engine/ops.h.
//
//   crop            a stretch from anywhere in the song; without it, the middle
//   gain            a level + N(0, 0.15)
//   tilt            N(0, 0.15) times -1 to 1 over the bands: a darker or brighter recording
//   noise           N(0, s) on every number, s from 0 to 0.2
//   frequency-mask  two masks of 0 to 16 % of the bands, set to the mean } SpecAugment: Park et
//   al., time-mask       two masks of 0 to 19 % of the frames, set to the mean } Interspeech 2019
//   pitch           the bands' frequencies by -2 to 2 semitones, by interpolation between bands
//   tempo           by a factor of 2^-0.25 to 2^0.25 (0.84 to 1.19), by interpolation in time
//   mixup           each sample with another of its batch, x = l a + (1 - l) b, the loss likewise,
//   l
//                   from Beta(0.2, 0.2) a batch: Zhang et al., ICLR 2018
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/mel.h"

namespace etude::apps {

const std::vector<std::string>& augmentation_names();

// From "none", "mel" (crop, gain, tilt and both masks), "all", or names with commas between.
// UsageError names the word that is none of these.
std::set<std::string> parse_augment(const std::string& text);

// What was drawn for one sample.
struct AugmentDraw {
  double gain = 0, tilt = 0, noise = 0;
  double semitones = 0;
  struct Span {
    int begin = 0, end = 0;
  };
  std::vector<Span> bands, frames;  // masked
  Generator noise_stream;
};

class Augmenter {
 public:
  // `mel`: the front end, whose bands `pitch` moves along; without it (images) UsageError for
  // pitch, tempo and the others that only spectrograms have.
  Augmenter(std::set<std::string> names, const std::optional<data::MelSettings>& mel);

  bool has(const std::string& name) const { return names_.count(name) > 0; }
  AugmentDraw draw(int height, int width, const Generator& random) const;
  // The same as the loader wants it.
  data::SampleAugmentation parameters(const AugmentDraw& draw) const;

  // Sets what the loader does itself (crop, tempo, mixup) and the function for the rest.
  void install(data::LoaderOptions& options) const;

 private:
  std::set<std::string> names_;
  std::vector<double> band_hz_;  // centres
};

// "gain +0.12, pitch -1.3 semitones, frames 10-17 masked": for `etude mel`.
std::string describe(const AugmentDraw& draw);

}  // namespace etude::apps
