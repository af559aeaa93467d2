// Music with an intended emotion: from valence and arousal to a General MIDI score.
//
// The directions in which the cues follow the emotion are those that listening experiments agree
// on; how far they move, and the noise on each, is our own choice:
//
//   cue              follows                                     source
//   tempo            arousal, a little valence                   [1][2][3][4]
//   loudness         arousal                                     [1][2][3]
//   mode             valence: major up, minor down               [1][3][4]
//   consonance       valence up; clashes most when tense         [1][4]
//   register         valence, a little arousal                   [3][4]
//   articulation     arousal: detached up, connected down        [2][3]
//   brightness       arousal, a little valence                   [2][3]
//   note density     arousal                                     [1][3]
//   rhythm           valence: regular up, irregular down         [1][4]
//   melodic contour  valence: rising up, falling down            [1]
//   drums            arousal                                     [1]
//
//   [1] A. Gabrielsson, E. Lindström: The role of structure in the musical expression of emotions.
//       In: Handbook of Music and Emotion, Oxford University Press, 2010.
//   [2] P. N. Juslin, P. Laukka: Expression, perception, and induction of musical emotions: a
//   review
//       and a questionnaire study of everyday listening. J. New Music Research 33(3), 2004.
//   [3] T. Eerola, A. Friberg, R. Bresin: Emotional expression in music: contribution, linearity,
//       and additivity of primary musical cues. Frontiers in Psychology 4:487, 2013.
//   [4] K. Hevner: The affective value of pitch and tempo in music. American Journal of Psychology
//       49(4), 1937; and her studies of mode, rhythm and harmony of 1935-36.
//
// Every cue gets noise of its own, and each song a nuisance that says nothing of its emotion:
// key, instruments, level, spectral tilt and room, partly shared by the songs of an artist.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace etude::data {

// The cues of a song, as drawn. Those that are felt in time (density, velocity, ...) move on with
// the sections.
struct Cues {
  double tempo = 0;  // beats a minute
  bool major = true;
  double dissonance = 0;    // probability that a chord clashes
  double register_key = 0;  // MIDI key in the middle of the melody
  double velocity = 0;      // MIDI velocity of an unaccented note
  double duty = 0;          // sounding share of a note's time: 0.25 detached ... 1.05 connected
  double brightness = 0;    // 0 dark ... 1 bright: instruments and low-pass filter
  double density = 0;       // melody notes a beat
  double irregularity = 0;  // probability that a note comes off the beat
  double contour = 0;       // -1 falling ... 1 rising: phrases and broken chords
  double drums = 0;         // 0 none ... 1 driving
};

// What the recording adds, whatever the emotion.
struct Recording {
  double gain_db = 0;
  double tilt_db = 0;           // treble over bass, crossing over at 1 kHz
  double room = 0, reverb = 0;  // size and level, 0-1
};

// A stretch of the song with one intended emotion.
struct Section {
  double start = 0, end = 0;  // seconds
  Affect affect;
};

struct Note {
  double start = 0, seconds = 0;
  int channel = 0, key = 60, velocity = 80;  // MIDI; channel 9 is the drums
};

struct Song {
  double seconds = 0;
  Affect affect;  // the mean over the song
  Cues cues;
  Recording recording;
  std::vector<Section> sections;
  std::array<int, 16> programs{};  // General MIDI instrument of each channel
  std::vector<Note> notes;         // by start
};

struct SongOptions {
  Affect affect{};  // 0-1
  std::uint64_t seed = 0;
  std::uint64_t artist = 0;  // songs of an artist share taste in instruments and recording
  double seconds = 45;
  double noise = 1;  // scales the noise of the cues
};

// Writes the song. The same options give the same song.
Song compose(const SongOptions& options);

// n intended emotions. Quadrants come in shares of 0.40 (v+ a+), 0.20 (v- a+), 0.25 (v- a-) and
// 0.15 (v+ a-), evenly over any stretch of songs; most songs keep some distance from the middle.
std::vector<Affect> draw_affects(int n, std::uint64_t seed);

}  // namespace etude::data
