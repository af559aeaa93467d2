// A corpus of synthetic music with known emotion, in the layout of a real data set.
//
// Each song draws valence and arousal; tempo, mode, register, loudness, articulation, brightness
// and density follow them with noise (synth_music.h), a General MIDI score is rendered by
// fluidsynth (synth_render.h) and written as mp3 with the annotations that the real data set would
// have (synth_layout.h): those of simulated listeners, who do not quite agree.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace etude::data {

// deam    MEMD_audio/ID.mp3 and the static and dynamic annotation files with all their quirks, the
//         exchanged static columns of ids up to 1000 among them (from twenty songs on)
// pmemo   PMEmo2019/{chorus/ID.mp3, metadata.csv, annotations/...}
// folder  one folder a quadrant, and groups.csv (file, artist, split, valence, arousal)
enum class SynthLayout { deam, pmemo, folder };

struct SynthOptions {
  int songs = 200;
  std::uint64_t seed = 0;
  SynthLayout layout = SynthLayout::deam;
  double seconds = 45;      // deam and pmemo: at least 20, their annotations begin at 15
  double noise = 1.0;       // scales how far the music strays from its labels
  std::string soundfont{};  // empty: the General MIDI font that the system has
  int threads = 0;          // 0: all
  // Called with songs done so far, from one thread at a time; return false to stop early.
  std::function<bool(int done, int total)> progress{};
};

// Writes the corpus below `root`, which must be absent or empty (or hold an unfinished corpus of
// the same options, which is completed; `root`/synth.json keeps the options). The same options give
// the same bytes. Annotations are written last: a corpus that has them is complete. Returns false
// when `progress` stopped it. Error for options out of range, a root with anything else in it, and
// a missing soundfont.
bool synthesize_corpus(const std::filesystem::path& root, const SynthOptions& options);

}  // namespace etude::data
