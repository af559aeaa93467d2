// Scores to sound: fluidsynth with a General MIDI soundfont, no audio device.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/synth_music.h"

namespace etude::data {

// The soundfont to use: `wanted`, else the environment variable ETUDE_SOUNDFONT, else the first of
// the usual places. Error that names the Debian package when there is none.
std::filesystem::path find_soundfont(const std::string& wanted = {});

// Renders songs, one at a time; every thread makes its own. What it renders depends on the song and
// the soundfont alone, not on what was rendered before.
class Renderer {
 public:
  static constexpr int sample_rate = 44100;

  // Error when the soundfont cannot be loaded.
  explicit Renderer(const std::filesystem::path& soundfont);
  ~Renderer();

  // Interleaved stereo (2 channels) or its mean (1) at sample_rate, the length of the song, within
  // [-1, 1].
  std::vector<float> render(const Song& song, int channels = 2);

 private:
  struct Synth;
  std::filesystem::path soundfont_;
  std::unique_ptr<Synth> holder_;
};

}  // namespace etude::data
