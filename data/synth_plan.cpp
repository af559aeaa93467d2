// Which songs a corpus has, and what listeners say of them.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "data/synth_layout.h"
#include "data/task.h"
#include "engine/random.h"

namespace etude::data {

namespace {

// ---- listeners ----------------------------------------------------------------------------------

constexpr int kListeners = 10;
// Deviations on 0-1: between listeners, and of one listener from moment to moment.
constexpr double kBias = 0.09, kUnsteady = 0.10;
constexpr double kFirstSecond = 15, kInterval = 0.5;
// Listeners follow the music late and smoothly (seconds).
constexpr double kLag = 1.5, kSmoothing = 2;

Rating summarize(const std::array<double, kListeners>& answers) {
  Rating rating;
  for (const double x : answers) rating.mean += x / kListeners;
  for (const double x : answers)
    rating.deviation += (x - rating.mean) * (x - rating.mean) / kListeners;
  rating.deviation = std::sqrt(rating.deviation);
  return rating;
}

// One axis of one song. `curve` is the intended emotion every kInterval seconds from 0 on.
void rate(double intended, const std::vector<double>& curve, Generator& random, Rating& whole,
          std::vector<Rating>& moments) {
  std::array<double, kListeners> answers{}, bias{}, follow{}, drift{};
  for (int j = 0; j < kListeners; ++j) {
    bias[j] = kBias * random.normal();
    const double felt = std::clamp(intended + bias[j] + kUnsteady * random.normal(), 0.0, 1.0);
    answers[j] = std::round(8 * felt) / 8;
  }
  whole = summarize(answers);
  follow.fill(curve.front());
  const double keep = std::exp(-kInterval / kSmoothing);
  const int lag = static_cast<int>(kLag / kInterval);
  for (int i = 0; i < static_cast<int>(curve.size()); ++i) {
    for (int j = 0; j < kListeners; ++j) {
      follow[j] = keep * follow[j] + (1 - keep) * curve[std::max(0, i - lag)];
      drift[j] = keep * drift[j] + std::sqrt(1 - keep * keep) * kUnsteady * random.normal();
      answers[j] = std::clamp(follow[j] + bias[j] + drift[j], 0.0, 1.0);
    }
    if (i * kInterval >= kFirstSecond) moments.push_back(summarize(answers));
  }
}

SongRatings rate_song(const Song& song, Generator random) {
  std::vector<double> valence, arousal;
  SongRatings ratings;
  std::size_t section = 0;
  for (int i = 0; i * kInterval < song.seconds; ++i) {
    const double t = i * kInterval;
    while (section + 1 < song.sections.size() && t >= song.sections[section].end) ++section;
    valence.push_back(song.sections[section].affect.valence);
    arousal.push_back(song.sections[section].affect.arousal);
    if (t >= kFirstSecond) ratings.seconds.push_back(t);
  }
  rate(song.affect.valence, valence, random, ratings.valence, ratings.valence_at);
  rate(song.affect.arousal, arousal, random, ratings.arousal, ratings.arousal_at);
  return ratings;
}

// ---- names --------------------------------------------------------------------------------------

constexpr std::array kAdjectives{"Amber",  "Distant", "Paper", "Northern", "Velvet", "Hollow",
                                 "Silver", "Morning", "Quiet", "Electric", "Wooden", "Crimson"};
constexpr std::array kNouns{"Harbour", "Lantern", "Orchard", "Parade", "Meridian", "Swallow",
                            "Garden",  "Machine", "Window",  "River",  "Carousel"};

std::string pair_of_words(int i) {
  // 12 and 11 have no common factor: 132 pairs before one returns.
  return fmt::format("{} {}", kAdjectives[i % kAdjectives.size()], kNouns[i % kNouns.size()]);
}

std::string artist_name(int i) {
  const std::string words = pair_of_words(i);
  const std::string name = i < 132 ? words : fmt::format("{} {}", words, i / 132 + 1);
  // Commas and quotes are part of real metadata.
  return i % 5 == 3 ? fmt::format("{}, {} & Friends", name, kNouns[(i + 4) % kNouns.size()])
                    : "The " + name;
}

std::string song_title(int i) {
  const std::string words = pair_of_words(5 * i + 2);
  return i % 7 == 4 ? fmt::format("\"{}\", No. {}", words, i + 1)
                    : fmt::format("{} No. {}", words, i + 1);
}

// ---- layouts ------------------------------------------------------------------------------------

// DEAM: two fifths up to 1000 (with gaps, as there), a few beyond 2000, the rest between. In a
// corpus of less than twenty songs, nobody could tell that the columns of the first are exchanged:
// it has none.
std::vector<int> deam_ids(int songs) {
  const int low = songs < 20 ? 0 : (2 * songs + 2) / 5;
  const int full_length = songs < 5 ? 0 : std::max(1, songs / 40);
  std::vector<int> ids;
  for (int i = 0; i < low; ++i) ids.push_back(2 + i + i / 3);
  for (int i = 0; i < songs - low - full_length; ++i) ids.push_back(1001 + i);
  for (int i = 0; i < full_length; ++i) ids.push_back(2001 + i);
  return ids;
}

void lay_out(const SynthOptions& options, std::vector<CorpusSong>& songs) {
  const Generator root = Generator(options.seed).fork(3);
  const auto ids =
      options.layout == SynthLayout::deam ? deam_ids(options.songs) : std::vector<int>{};
  for (int i = 0; i < options.songs; ++i) {
    CorpusSong& song = songs[static_cast<std::size_t>(i)];
    Generator random = root.fork(static_cast<std::uint64_t>(i));
    song.song.seconds = options.seconds;
    if (options.layout == SynthLayout::deam) {
      song.id = ids[static_cast<std::size_t>(i)];
      song.channels = 1;                                              // DEAM's clips are
      if (song.id > 2000) song.song.seconds = 1.5 * options.seconds;  // full-length songs
      song.file = fmt::format("MEMD_audio/{}.mp3", song.id);
    } else if (options.layout == SynthLayout::pmemo) {
      song.id = 1 + i + i / 4;
      // Choruses differ in length; some are too short for annotations.
      song.annotated = i % 28 != 9;
      const double share = random.uniform();
      song.song.seconds =
          song.annotated ? std::max(20.0, (0.6 + 0.4 * share) * options.seconds) : 11 + 4 * share;
      song.file = fmt::format("PMEmo2019/chorus/{}.mp3", song.id);
    } else {
      song.id = i + 1;
    }
  }
}

// Whole artists to train, val and test: 70, 15 and 15 in a hundred.
void split_by_artist(int artists, Generator random, std::vector<CorpusSong>& songs) {
  std::vector<int> order(static_cast<std::size_t>(artists));
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order.begin(), order.end());
  const int held_out = std::max(1, static_cast<int>(std::lround(0.15 * artists)));
  for (CorpusSong& song : songs) {
    const int place = order[static_cast<std::size_t>(song.artist)];
    song.split = place < held_out ? "test" : place < 2 * held_out ? "val" : "train";
  }
}

}  // namespace

std::vector<CorpusSong> plan_corpus(const SynthOptions& options) {
  const bool deam = options.layout == SynthLayout::deam;
  const int most = deam ? 1802 : 100'000;  // as many as DEAM has ids
  check(options.songs >= 1 && options.songs <= most, "synth: {} layout: 1 to {} songs, not {}",
        to_string(options.layout), most, options.songs);
  const double least = options.layout == SynthLayout::folder ? 2 : 20;
  check(options.seconds >= least && options.seconds <= 600,
        "synth: {} layout: songs of {} to 600 seconds, not {}", to_string(options.layout), least,
        options.seconds);
  check(options.noise >= 0 && options.noise <= 10, "synth: noise must be 0 to 10, not {}",
        options.noise);

  const Generator root(options.seed);
  const std::vector<Affect> affects = draw_affects(options.songs, options.seed);
  std::vector<CorpusSong> songs(affects.size());
  // About five songs an artist.
  const int artists = std::max(std::min(options.songs, 4), options.songs / 5);
  std::vector<int> artist_of(songs.size());
  for (std::size_t i = 0; i < songs.size(); ++i) artist_of[i] = static_cast<int>(i) % artists;
  Generator shuffler = root.fork(1'000'001);
  shuffler.shuffle(artist_of.begin(), artist_of.end());
  lay_out(options, songs);
  for (std::size_t i = 0; i < songs.size(); ++i) {
    CorpusSong& song = songs[i];
    Generator random = root.fork(2'000'000 + i);
    song.artist = artist_of[i];
    song.artist_name = artist_name(song.artist);
    song.title = song_title(static_cast<int>(i));
    song.song.affect = affects[i];
    song.song.noise = options.noise;
    song.song.seed = random.bits();
    song.song.artist = root.fork(3'000'000 + static_cast<std::uint64_t>(song.artist)).bits();
    song.ratings = rate_song(compose(song.song), random.fork(1));
    const bool positive = song.ratings.valence.mean > 0.5;
    const bool aroused = song.ratings.arousal.mean > 0.5;
    song.quadrant = aroused ? (positive ? 0 : 1) : (positive ? 3 : 2);
    if (options.layout == SynthLayout::folder)
      song.file = fmt::format("{}/{:04}.mp3", quadrant_names()[song.quadrant], song.id);
  }
  split_by_artist(artists, root.fork(1'000'002), songs);
  return songs;
}

const char* to_string(SynthLayout layout) {
  switch (layout) {
    case SynthLayout::deam:
      return "deam";
    case SynthLayout::pmemo:
      return "pmemo";
    case SynthLayout::folder:
      return "folder";
  }
  return "?";
}

}  // namespace etude::data
