// The songs of a synthetic corpus, what simulated listeners say of them, and the files that say so
// in each layout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/synth.h"
#include "data/synth_music.h"

namespace etude::data {

// What several listeners said of one quantity: mean and (population) standard deviation, on 0-1.
struct Rating {
  double mean = 0, deviation = 0;
};

// Each listener has a bias and an unsteady hand, and answers on a scale of nine points.
struct SongRatings {
  Rating valence, arousal;
  // While listening: at `seconds` (every half second from 15 s on), the same listeners.
  std::vector<double> seconds;
  std::vector<Rating> valence_at, arousal_at;
};

struct CorpusSong {
  int id = 0;  // as the layout counts
  SongOptions song;
  int artist = 0;
  std::string artist_name, title;
  int channels = 2;
  SongRatings ratings;
  bool annotated = true;       // PMEmo has no annotations of its shortest clips
  int quadrant = 0;            // of the rated valence and arousal, 0-3 for Q1-Q4
  std::string split;           // train, val or test, by artist
  std::filesystem::path file;  // relative to the root
};

// All songs of a corpus: a function of the options. Error for options out of range.
std::vector<CorpusSong> plan_corpus(const SynthOptions& options);

// The annotation and metadata files of the layout, below `root`.
void write_annotations(const std::filesystem::path& root, const SynthOptions& options,
                       const std::vector<CorpusSong>& songs);

const char* to_string(SynthLayout layout);

}  // namespace etude::data
