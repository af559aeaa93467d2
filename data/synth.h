// A corpus of synthetic music with known emotion, in the layout of a real data set.
//
// Each song draws valence and arousal; tempo, mode, register, loudness, articulation, brightness
// and density follow them with noise (synth_music.h), a General MIDI score is rendered by
// fluidsynth and written as mp3 with the annotations that the real data set would have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace etude::data {

enum class SynthLayout { deam, pmemo, folder };

struct SynthOptions {
  int songs = 200;
  std::uint64_t seed = 0;
  SynthLayout layout = SynthLayout::deam;
  double seconds = 45;
  double noise = 1.0;        // scales how far the music strays from its labels
  std::string soundfont;     // empty: the General MIDI font that the system has
  int threads = 0;           // 0: all
  // Called with songs done so far, from one thread at a time; return false to stop early.
  std::function<bool(int done, int total)> progress;
};

// Writes the corpus below `root`, which must be absent or empty (or hold an unfinished corpus of
// the same options, which is completed). The same options give the same bytes.
void synthesize_corpus(const std::filesystem::path& root, const SynthOptions& options);

}  // namespace etude::data
