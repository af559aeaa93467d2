#include "data/synth_music.h"

#include <algorithm>
#include <cmath>

#include "engine/random.h"

namespace etude::data {

namespace {

constexpr int kSteps = 16;  // sixteenths in a bar of four beats

enum Channel { kMelody, kChords, kBass, kPad, kDrums = 9 };

// ---- material -----------------------------------------------------------------------------------

struct Instrument {
  int program;        // General MIDI, from 0
  double brightness;  // our ranking, 0 dark ... 1 bright
  int low, high;      // keys in which it sounds like itself
};

constexpr std::array kMelodyInstruments{
    Instrument{0, 0.45, 40, 96},  Instrument{4, 0.25, 40, 90},   Instrument{11, 0.40, 53, 89},
    Instrument{24, 0.40, 45, 84}, Instrument{26, 0.30, 45, 84},  Instrument{40, 0.65, 55, 96},
    Instrument{42, 0.35, 40, 76}, Instrument{46, 0.35, 40, 96},  Instrument{56, 0.80, 55, 86},
    Instrument{60, 0.30, 45, 77}, Instrument{65, 0.65, 50, 82},  Instrument{68, 0.60, 58, 91},
    Instrument{71, 0.40, 50, 91}, Instrument{73, 0.45, 60, 96},  Instrument{75, 0.50, 60, 96},
    Instrument{80, 0.85, 45, 90}, Instrument{81, 0.95, 45, 90},  Instrument{29, 0.90, 45, 84},
    Instrument{27, 0.60, 45, 84}, Instrument{105, 0.75, 50, 84},
};
constexpr std::array kChordInstruments{
    Instrument{0, 0.50, 40, 88},  Instrument{1, 0.60, 40, 88},  Instrument{4, 0.30, 40, 88},
    Instrument{6, 0.80, 40, 84},  Instrument{11, 0.40, 53, 89}, Instrument{12, 0.50, 48, 84},
    Instrument{16, 0.55, 40, 84}, Instrument{24, 0.40, 45, 84}, Instrument{25, 0.65, 45, 84},
    Instrument{27, 0.60, 45, 84}, Instrument{45, 0.55, 40, 88}, Instrument{46, 0.35, 40, 96},
    Instrument{62, 0.85, 45, 84}, Instrument{7, 0.75, 40, 84},
};
constexpr std::array kPadInstruments{
    Instrument{48, 0.50, 40, 88}, Instrument{49, 0.40, 40, 88}, Instrument{52, 0.35, 45, 84},
    Instrument{19, 0.60, 40, 84}, Instrument{89, 0.30, 40, 88}, Instrument{50, 0.65, 40, 88},
    Instrument{21, 0.60, 48, 84}, Instrument{61, 0.75, 45, 82},
};
constexpr std::array kBassInstruments{
    Instrument{32, 0.30, 28, 55}, Instrument{33, 0.40, 28, 55}, Instrument{34, 0.60, 28, 55},
    Instrument{36, 0.80, 28, 55}, Instrument{38, 0.70, 28, 55}, Instrument{43, 0.35, 28, 55},
};

using Scale7 = std::array<int, 7>;
constexpr Scale7 kMajor{0, 2, 4, 5, 7, 9, 11}, kMinor{0, 2, 3, 5, 7, 8, 10};

// Roots as degrees of the scale, a chord a bar.
using Progression = std::array<int, 4>;
constexpr std::array<Progression, 6> kMajorProgressions{
    {{0, 4, 5, 3}, {0, 3, 4, 0}, {0, 5, 3, 4}, {1, 4, 0, 0}, {0, 3, 0, 4}, {3, 4, 0, 5}}};
constexpr std::array<Progression, 6> kMinorProgressions{
    {{0, 5, 2, 6}, {0, 3, 4, 0}, {0, 5, 3, 4}, {0, 6, 5, 4}, {0, 3, 0, 4}, {0, 1, 4, 0}}};

// ---- drawing ------------------------------------------------------------------------------------

double clamp01(double x) { return std::clamp(x, 0.0, 1.0); }
double mix(double low, double high, double t) { return low + (high - low) * t; }

// One instrument, by how near its brightness is to the wanted one.
template <std::size_t n>
const Instrument& choose(const std::array<Instrument, n>& all, double brightness, double width,
                         Generator& random) {
  std::array<double, n> weights{};
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double distance = (all[i].brightness - brightness) / width;
    total += weights[i] = std::exp(-0.5 * distance * distance);
  }
  double left = random.uniform() * total;
  for (std::size_t i = 0; i + 1 < n; ++i)
    if ((left -= weights[i]) < 0) return all[i];
  return all[n - 1];
}

// A cue's position on 0-1: where the emotion puts it, and noise.
double position(double valence_part, double arousal_part, Affect affect, double deviation,
                Generator& random) {
  const double centre = valence_part * affect.valence + arousal_part * affect.arousal;
  return centre + deviation * random.normal();
}

Cues draw_cues(Affect affect, double noise, Generator& random) {
  Cues cues;
  cues.tempo = 62 * std::exp2(1.25 * position(0.15, 0.85, affect, 0.13 * noise, random));
  cues.tempo = std::clamp(cues.tempo, 54.0, 168.0);
  cues.major = affect.valence - 0.5 + 0.17 * noise * random.normal() > 0;
  cues.dissonance = clamp01(0.85 * (1 - position(1.15, -0.15, affect, 0.16 * noise, random)) - 0.1);
  cues.register_key =
      std::clamp(mix(63, 76, position(0.75, 0.25, affect, 0.30 * noise, random)), 54.0, 86.0);
  cues.velocity =
      std::clamp(mix(46, 108, position(0, 1, affect, 0.18 * noise, random)), 34.0, 118.0);
  cues.duty =
      std::clamp(mix(1.08, 0.25, position(0.1, 0.9, affect, 0.24 * noise, random)), 0.22, 1.08);
  cues.brightness = clamp01(position(0.2, 0.8, affect, 0.30 * noise, random));
  cues.density = std::clamp(mix(0.6, 2.6, position(0, 1, affect, 0.16 * noise, random)), 0.5, 3.0);
  cues.irregularity = clamp01(0.7 * (1 - position(1, 0, affect, 0.18 * noise, random)));
  cues.contour = std::clamp(2 * position(1, 0, affect, 0.14 * noise, random) - 1, -1.0, 1.0);
  cues.drums = clamp01(1.3 * position(0, 1, affect, 0.35 * noise, random) - 0.25);
  return cues;
}

// Intensity comes and goes: sections of about nine seconds, in whole bars, whose deviations from
// the song's emotion add up to nothing.
std::vector<Section> draw_sections(const SongOptions& options, double bar, Generator& random) {
  const int bars = std::max(1, static_cast<int>(std::lround(9 / bar)));
  std::vector<Section> sections;
  for (double start = 0; start < options.seconds; start += bars * bar) {
    const double end = std::min(start + bars * bar, options.seconds);
    // The last bars join the section before rather than stand alone.
    if (!sections.empty() && end - start < 0.5 * bars * bar) {
      sections.back().end = end;
      break;
    }
    sections.push_back({start, end, {0.06 * random.normal(), 0.10 * random.normal()}});
  }
  Affect mean;
  for (const Section& section : sections) {
    const double share = (section.end - section.start) / options.seconds;
    mean.valence += share * section.affect.valence;
    mean.arousal += share * section.affect.arousal;
  }
  for (Section& section : sections) {
    section.affect.valence =
        clamp01(options.affect.valence + section.affect.valence - mean.valence);
    section.affect.arousal =
        clamp01(options.affect.arousal + section.affect.arousal - mean.arousal);
  }
  return sections;
}

// ---- writing ------------------------------------------------------------------------------------

struct Motif {
  std::array<bool, kSteps> onset{};
  std::array<int, kSteps> step{};  // movement in degrees of the scale
};

class Composer {
 public:
  explicit Composer(const SongOptions& options)
      : options_(options),
        random_(Generator(options.seed).fork(1)),
        artist_(Generator(options.artist).fork(2)) {}

  Song write() {
    song_.seconds = options_.seconds;
    song_.cues = draw_cues(options_.affect, options_.noise, random_);
    draw_recording();
    tonic_ = static_cast<int>(random_.below(12));
    scale_ = song_.cues.major ? kMajor : kMinor;
    const auto& progressions = song_.cues.major ? kMajorProgressions : kMinorProgressions;
    progression_ = progressions[random_.below(progressions.size())];
    choose_instruments();
    step_ = 60 / song_.cues.tempo / 4;
    song_.sections = draw_sections(options_, kSteps * step_, random_);
    for (const Section& section : song_.sections) {
      const double share = (section.end - section.start) / options_.seconds;
      song_.affect.valence += share * section.affect.valence;
      song_.affect.arousal += share * section.affect.arousal;
    }
    // How the accompaniment moves is the song's; how fast, mostly its arousal's.
    figure_ = song_.cues.density + 0.5 * random_.normal() * options_.noise;
    const Motif motifs[2] = {draw_motif(), draw_motif()};
    constexpr int form[4] = {0, 0, 1, 0};
    const double bar_seconds = kSteps * step_;
    for (int bar = 0; bar * bar_seconds < options_.seconds; ++bar) {
      enter(bar * bar_seconds);
      degree_ = progression_[bar % 4];
      write_melody(bar, motifs[form[bar / 2 % 4]]);
      write_chords(bar);
      write_bass(bar);
      write_drums(bar);
    }
    std::erase_if(song_.notes, [&](const Note& n) { return n.start >= options_.seconds; });
    std::stable_sort(song_.notes.begin(), song_.notes.end(),
                     [](const Note& a, const Note& b) { return a.start < b.start; });
    return std::move(song_);
  }

 private:
  void draw_recording() {
    Recording& r = song_.recording;
    r.gain_db = 3 * artist_.normal() + 3 * random_.normal();
    r.tilt_db = 4 * artist_.normal() + 4 * random_.normal();
    r.room = std::clamp(0.5 + 0.2 * artist_.normal() + 0.15 * random_.normal(), 0.1, 0.9);
    r.reverb = std::clamp(0.35 + 0.15 * artist_.normal() + 0.15 * random_.normal(), 0.02, 0.8);
  }

  void choose_instruments() {
    const double taste = artist_.uniform();
    const double wish = 0.4 * song_.cues.brightness + 0.6 * taste;
    const Instrument& melody = choose(kMelodyInstruments, wish, 0.22, random_);
    song_.programs[kMelody] = melody.program;
    song_.programs[kChords] = choose(kChordInstruments, wish, 0.25, random_).program;
    song_.programs[kBass] = choose(kBassInstruments, wish, 0.3, random_).program;
    song_.programs[kPad] = choose(kPadInstruments, wish, 0.3, random_).program;
    low_ = melody.low;
    high_ = melody.high;
  }

  // Moves the cues that are felt in time to where the section's emotion puts them.
  void enter(double seconds) {
    const Section* section = &song_.sections.front();
    for (const Section& s : song_.sections)
      if (seconds >= s.start - 1e-9) section = &s;
    const double up = section->affect.arousal - options_.affect.arousal;
    const double bright = section->affect.valence - options_.affect.valence;
    now_ = song_.cues;
    now_.velocity = std::clamp(now_.velocity + 60 * up, 30.0, 122.0);
    now_.density = std::clamp(now_.density + 2.0 * up, 0.4, 3.2);
    now_.duty = std::clamp(now_.duty - 0.8 * up, 0.2, 1.08);
    now_.drums = clamp01(now_.drums + 1.5 * up);
    now_.dissonance = clamp01(now_.dissonance - 0.8 * bright);
    now_.register_key += 12 * (0.75 * bright + 0.25 * up);
  }

  // A rhythm of one bar and how the line moves through it.
  Motif draw_motif() {
    Motif motif;
    const Cues& cues = song_.cues;
    for (int beat = 0; beat < 4; ++beat) {
      // Positions of a beat in the order in which growing density fills them.
      constexpr int order[4] = {0, 2, 3, 1};
      double wanted = cues.density;
      for (int i = 0; i < 4 && random_.uniform() < wanted; ++i, wanted -= 1) {
        int step = beat * 4 + order[i];
        if (random_.uniform() < cues.irregularity) step += random_.uniform() < 0.5 ? 1 : 3;
        motif.onset[step % kSteps] = true;
      }
    }
    motif.onset[0] = motif.onset[0] || random_.uniform() > cues.irregularity;
    for (int& step : motif.step) {
      const double size = random_.uniform() < 0.25 ? 2 : 1;
      const double up = 0.5 + 0.42 * cues.contour;
      step = static_cast<int>(random_.uniform() < up ? size : -size);
    }
    return motif;
  }

  int key_of(int degree, int octave_key) const {
    const int octave = degree >= 0 ? degree / 7 : -((6 - degree) / 7);
    return octave_key + tonic_ + 12 * octave + scale_[degree - 7 * octave];
  }

  void add(int bar, double step, double steps, int channel, int key, double velocity) {
    // Players are not machines: a few milliseconds, a few steps of velocity.
    const double start = std::max(0.0, (bar * kSteps + step) * step_ + 0.004 * random_.normal());
    const double loud = velocity + 4 * random_.normal();
    song_.notes.push_back({start, std::max(0.05, steps * step_), channel, std::clamp(key, 21, 108),
                           static_cast<int>(std::clamp(std::lround(loud), 12L, 127L))});
  }

  void write_melody(int bar, const Motif& motif) {
    // A phrase of two bars sets out below or above the middle, so that it can rise or fall.
    if (bar % 2 == 0) line_ = static_cast<int>(std::lround(-4 * song_.cues.contour));
    const int middle = static_cast<int>(std::lround(now_.register_key)) - tonic_;
    const int base = middle - (middle % 12 + 12) % 12;  // the tonic at or below is base + tonic_
    const double offset = (middle - base) * 7.0 / 12;   // the middle, in degrees above it
    for (int step = 0; step < kSteps; ++step) {
      if (!motif.onset[step]) continue;
      int next = step + 1;
      while (next < kSteps && !motif.onset[next]) ++next;
      int degree = line_ + static_cast<int>(std::lround(offset));
      // On the beat, the nearest tone of the chord.
      if (step % 8 == 0)
        for (int away = 0; away < 3; ++away) {
          const int above = ((degree + away - degree_) % 7 + 7) % 7;
          const int below = ((degree - away - degree_) % 7 + 7) % 7;
          if (above == 0 || above == 2 || above == 4) {
            degree += away;
            break;
          }
          if (below == 0 || below == 2 || below == 4) {
            degree -= away;
            break;
          }
        }
      int key = key_of(degree, base);
      if (random_.uniform() < 0.25 * now_.dissonance) key += random_.uniform() < 0.5 ? 1 : -1;
      while (key < low_) key += 12;
      while (key > high_) key -= 12;
      const double accent = step % 8 == 0 ? 8 : step % 4 == 0 ? 4 : 0;
      add(bar, step, (next - step) * now_.duty, kMelody, key, now_.velocity + 10 + accent);
      line_ = std::clamp(line_ + motif.step[step], -7, 7);
    }
  }

  std::vector<int> chord(int octave_key) {
    std::vector<int> keys;
    for (int third = 0; third < 3; ++third) keys.push_back(key_of(degree_ + 2 * third, octave_key));
    // The dominant of minor is major.
    if (!song_.cues.major && degree_ == 4) ++keys[1];
    return keys;
  }

  void write_chords(int bar) {
    const int centre = static_cast<int>(std::lround(0.5 * (now_.register_key - 66))) + 54;
    std::vector<int> keys = chord(48);
    for (int& key : keys)
      while (key < centre - 5) key += 12;
    std::sort(keys.begin(), keys.end());
    if (random_.uniform() < now_.dissonance) {
      // A minor second or a tritone against the root.
      keys.push_back(keys.front() + (random_.uniform() < 0.5 ? 1 : 6));
      std::sort(keys.begin(), keys.end());
    }
    const double soft = now_.velocity - 12;
    const double activity = figure_ + (now_.density - song_.cues.density);
    // A held chord under quiet music; struck chords on top of busy music.
    if (activity < 1.3)
      for (const int key : keys)
        add(bar, 0, kSteps * std::min(1.0, now_.duty), kPad, key, soft - 8);
    // Broken chords over two octaves, whose direction is the melody's.
    const int stride = activity < 0.9 ? 4 : activity < 1.9 ? 2 : 1;
    const int n = static_cast<int>(keys.size());
    for (int step = 0, i = 0; step < kSteps; step += stride, ++i) {
      const bool rising = 2 * random_.uniform() - 1 < 2.5 * song_.cues.contour;
      if (i % (2 * n) == 0) up_ = rising;
      const int tone = up_ ? i % (2 * n) : 2 * n - 1 - i % (2 * n);
      double at = step;
      if (stride > 1 && random_.uniform() < 0.5 * now_.irregularity) at += stride / 2.0;
      const int key = keys[static_cast<std::size_t>(tone % n)] + (tone >= n ? 12 : 0);
      add(bar, at, stride * now_.duty, kChords, key, soft + 6);
    }
    if (activity >= 1.6) {
      for (int beat = 0; beat < 4; ++beat) {
        double at = beat * 4;
        if (random_.uniform() < now_.irregularity) at += random_.uniform() < 0.5 ? 1 : 3;
        for (const int key : keys) add(bar, at, 3 * now_.duty, kPad, key, soft);
      }
    }
  }

  void write_bass(int bar) {
    const int root = 28 + ((key_of(degree_, 0) - 28) % 12 + 12) % 12;
    const double loud = now_.velocity;
    const int stride = now_.density < 1.0 ? 16 : now_.density < 1.7 ? 8 : 4;
    for (int step = 0; step < kSteps; step += stride) {
      const bool fifth = step % 16 == 8 && stride == 8;
      double at = step;
      if (step > 0 && random_.uniform() < 0.7 * now_.irregularity)
        at += random_.uniform() < 0.5 ? -1 : 1;
      add(bar, at, stride * std::min(1.0, now_.duty), kBass, root + (fifth ? 7 : 0), loud);
    }
  }

  void write_drums(int bar) {
    constexpr int kick = 36, snare = 38, hat = 42, open_hat = 46, ride = 51, shaker = 70;
    if (now_.drums < 0.12) return;
    const double loud = now_.velocity - 14 + 20 * now_.drums;
    const int stride = now_.drums < 0.4 ? 4 : now_.drums < 0.75 ? 2 : 1;
    const int metal = now_.drums < 0.3 ? shaker : now_.drums < 0.5 ? ride : hat;
    for (int step = 0; step < kSteps; step += stride)
      add(bar, step, 1, kDrums, metal, loud - (step % 4 == 0 ? 10 : 20));
    if (now_.drums < 0.3) return;
    for (int beat = 0; beat < 4; ++beat) {
      double at = beat * 4;
      if (beat > 0 && random_.uniform() < 0.8 * now_.irregularity)
        at += random_.uniform() < 0.5 ? -1 : 1;
      add(bar, at, 2, kDrums, beat % 2 == 0 ? kick : snare, loud);
      if (now_.drums > 0.7 && random_.uniform() < 0.5) add(bar, at + 2, 1, kDrums, kick, loud - 6);
    }
    if (now_.drums > 0.6 && bar % 4 == 3) add(bar, 14, 2, kDrums, open_hat, loud - 8);
  }

  const SongOptions& options_;
  Generator random_, artist_;
  Song song_;
  Cues now_;  // the cues of the section that is being written
  Scale7 scale_{};
  Progression progression_{};
  int tonic_ = 0, degree_ = 0, low_ = 0, high_ = 127;
  int line_ = 0;       // the melody's place, in degrees from the middle
  double figure_ = 0;  // how busy the accompaniment is, as a density
  bool up_ = true;
  double step_ = 0;  // seconds in a sixteenth
};

}  // namespace

Song compose(const SongOptions& options) {
  check(options.seconds > 0 && options.seconds <= 3600,
        "compose: a song lasts more than 0 and at most 3600 seconds, not {}", options.seconds);
  check(options.noise >= 0, "compose: the noise must not be negative, is {}", options.noise);
  return Composer(options).write();
}

std::vector<Affect> draw_affects(int n, std::uint64_t seed) {
  // Eight, four, five and three of every twenty songs.
  constexpr std::array<int, 20> block{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4};
  std::vector<Affect> affects;
  const Generator root(seed);
  std::array<int, 20> order{};
  Generator random;
  for (int i = 0; i < n; ++i) {
    if (i % 20 == 0) {
      random = root.fork(static_cast<std::uint64_t>(i / 20));
      order = block;
      random.shuffle(order.begin(), order.end());
    }
    const int quadrant = order[i % 20];
    const double v = random.uniform(0.05, 0.45), a = random.uniform(0.05, 0.45);
    affects.push_back(
        {quadrant == 1 || quadrant == 4 ? 0.5 + v : 0.5 - v, quadrant <= 2 ? 0.5 + a : 0.5 - a});
  }
  return affects;
}

}  // namespace etude::data
