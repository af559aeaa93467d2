// Synthetic music: cues follow the labels, and corpora are what their layouts promise.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "data/audio.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "data/files.h"
#include "data/synth.h"
#include "data/synth_layout.h"
#include "data/synth_render.h"
#include "data/task.h"
#include "temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) mx += x[i] / n, my += y[i] / n;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xy / std::sqrt(xx * yy);
}

// Every file below a folder with its bytes, by relative path.
std::map<std::string, std::string> contents(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.is_regular_file())
      files[fs::relative(entry.path(), root).generic_string()] = read_file(entry.path());
  return files;
}

std::string error_of(const fs::path& root, const SynthOptions& options) {
  try {
    synthesize_corpus(root, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool has_soundfont() {
  try {
    find_soundfont();
    return true;
  } catch (const Error&) {
    MESSAGE("skipped: no General MIDI soundfont (Debian: timgm6mb-soundfont)");
    return false;
  }
}

}  // namespace

TEST_SUITE("synth") {
  TEST_CASE("cues follow valence and arousal in the published directions, not perfectly") {
    const auto affects = draw_affects(200, 11);
    std::map<std::string, std::vector<double>> cue;
    std::vector<double> valence, arousal;
    for (std::size_t i = 0; i < affects.size(); ++i) {
      const Song song = compose({.affect = affects[i], .seed = 500 + i, .artist = i / 5});
      valence.push_back(affects[i].valence);
      arousal.push_back(affects[i].arousal);
      cue["tempo"].push_back(song.cues.tempo);
      cue["velocity"].push_back(song.cues.velocity);
      cue["density"].push_back(song.cues.density);
      cue["duty"].push_back(song.cues.duty);
      cue["brightness"].push_back(song.cues.brightness);
      cue["drums"].push_back(song.cues.drums);
      cue["major"].push_back(song.cues.major);
      cue["dissonance"].push_back(song.cues.dissonance);
      cue["register"].push_back(song.cues.register_key);
      cue["irregularity"].push_back(song.cues.irregularity);
      cue["contour"].push_back(song.cues.contour);
      cue["notes"].push_back(static_cast<double>(song.notes.size()));
      cue["gain"].push_back(song.recording.gain_db);
      cue["tilt"].push_back(song.recording.tilt_db);
    }
    struct Direction {
      const char* name;
      const std::vector<double>& label;
      double sign;
    };
    for (const Direction& d : {Direction{"tempo", arousal, 1},
                               {"velocity", arousal, 1},
                               {"density", arousal, 1},
                               {"duty", arousal, -1},
                               {"brightness", arousal, 1},
                               {"drums", arousal, 1},
                               {"notes", arousal, 1},
                               {"major", valence, 1},
                               {"dissonance", valence, -1},
                               {"register", valence, 1},
                               {"irregularity", valence, -1},
                               {"contour", valence, 1}}) {
      CAPTURE(d.name);
      const double r = d.sign * correlation(cue[d.name], d.label);
      CHECK(r > 0.55);
      CHECK(r < 0.97);
    }
    // The recording tells nothing: |r| of 200 independent pairs is below 0.23 in 999 of 1000 draws.
    for (const char* name : {"gain", "tilt"}) {
      CAPTURE(name);
      CHECK(std::abs(correlation(cue[name], arousal)) < 0.23);
      CHECK(std::abs(correlation(cue[name], valence)) < 0.23);
    }
    // Valence and arousal go together a little, as in real data.
    CHECK(correlation(valence, arousal) > 0.1);
    CHECK(correlation(valence, arousal) < 0.6);
  }

  TEST_CASE("a score is playable, ends with the song, and moves with its sections") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      CAPTURE(seed);
      const Affect affect{0.05 * static_cast<double>(seed), 1 - 0.05 * static_cast<double>(seed)};
      const SongOptions options{.affect = affect, .seed = seed, .seconds = 30};
      const Song song = compose(options);
      REQUIRE(!song.notes.empty());
      double last = 0;
      for (const Note& note : song.notes) {
        REQUIRE(note.start >= last);  // in order
        REQUIRE(note.start < 30);
        REQUIRE(note.seconds > 0);
        REQUIRE((note.channel >= 0 && note.channel < 16));
        REQUIRE((note.key >= 0 && note.key < 128));
        REQUIRE((note.velocity >= 1 && note.velocity < 128));
        last = note.start;
      }
      CHECK(last > 24);
      CHECK(song.sections.front().start == 0);
      CHECK(song.sections.back().end == 30);
      for (std::size_t i = 1; i < song.sections.size(); ++i)
        CHECK(song.sections[i].start == song.sections[i - 1].end);
      // The sections' mean is the song's; only clamping to 0-1 moves it.
      CHECK(song.affect.valence == doctest::Approx(affect.valence).scale(1).epsilon(0.05));
      const Song again = compose(options);
      REQUIRE(again.notes.size() == song.notes.size());
      for (std::size_t i = 0; i < song.notes.size(); ++i)
        REQUIRE((again.notes[i].start == song.notes[i].start &&
                 again.notes[i].key == song.notes[i].key));
    }
    CHECK_THROWS_AS(compose({.seconds = 0}), Error);
    CHECK_THROWS_AS(compose({.noise = -1}), Error);
  }

  TEST_CASE("quadrants have DEAM's order of shares, as rated too") {
    for (const int n : {40, 100, 400}) {
      CAPTURE(n);
      const auto songs = plan_corpus({.songs = n, .seed = 5});
      std::array<double, 4> share{};
      for (const CorpusSong& song : songs) share[song.quadrant] += 1.0 / n;
      CHECK(share[0] >= 0.33);
      CHECK(share[0] <= 0.47);
      for (const double s : share) CHECK(s >= 0.08);
      CHECK(*std::max_element(share.begin(), share.end()) == share[0]);
    }
  }

  TEST_CASE("listeners agree with the intention and with each other, but not quite") {
    const auto songs = plan_corpus({.songs = 200, .seed = 6});
    std::vector<double> intended, rated, followed;
    for (const CorpusSong& song : songs) {
      intended.push_back(song.song.affect.arousal);
      rated.push_back(song.ratings.arousal.mean);
      CHECK(song.ratings.arousal.deviation > 0.01);
      CHECK(song.ratings.arousal.deviation < 0.35);
      double mean = 0;
      const auto& moments = song.ratings.arousal_at;
      REQUIRE(moments.size() == song.ratings.seconds.size());
      for (const Rating& r : moments) mean += r.mean / static_cast<double>(moments.size());
      followed.push_back(mean);
      const auto [low, high] =
          std::minmax_element(moments.begin(), moments.end(),
                              [](const Rating& a, const Rating& b) { return a.mean < b.mean; });
      CHECK(high->mean - low->mean > 0.01);  // it moves
    }
    CHECK(correlation(intended, rated) > 0.95);
    CHECK(correlation(intended, rated) < 0.999);
    CHECK(correlation(rated, followed) > 0.9);
  }

  TEST_CASE(
      "the same options give the same bytes with one thread and with two; another seed does not") {
    if (!has_soundfont()) return;
    TemporaryFolder folder;
    SynthOptions options{.songs = 4, .seed = 9, .layout = SynthLayout::folder, .seconds = 3};
    options.threads = 1;
    CHECK(synthesize_corpus(folder / "one", options));
    options.threads = 2;
    CHECK(synthesize_corpus(folder / "two", options));
    const auto one = contents(folder / "one"), two = contents(folder / "two");
    CHECK(one.size() == 6);  // four songs, groups.csv, synth.json
    CHECK(one == two);
    options.seed = 10;
    CHECK(synthesize_corpus(folder / "other", options));
    CHECK(contents(folder / "other") != one);
  }

  TEST_CASE("a stopped corpus is completed to the same bytes, and nothing else is written over") {
    if (!has_soundfont()) return;
    TemporaryFolder folder;
    SynthOptions options{.songs = 4, .seed = 2, .layout = SynthLayout::folder, .seconds = 2};
    options.threads = 1;
    CHECK(synthesize_corpus(folder / "whole", options));
    std::vector<int> seen;
    options.progress = [&](int done, int total) {
      CHECK(total == 4);
      seen.push_back(done);
      return done < 2;
    };
    CHECK(!synthesize_corpus(folder / "part", options));
    CHECK(seen == std::vector<int>{1, 2});
    CHECK(!fs::exists(folder / "part/groups.csv"));
    options.progress = [&](int done, int) {
      seen.push_back(done);
      return true;
    };
    CHECK(synthesize_corpus(folder / "part", options));
    CHECK(seen == std::vector<int>{1, 2, 2, 3, 4});
    CHECK(contents(folder / "part") == contents(folder / "whole"));

    const auto before = contents(folder / "whole");
    options.seconds = 2.5;
    CHECK(error_of(folder / "whole", options).find("holds a corpus with seconds = 2.0") !=
          std::string::npos);
    write_file(folder / "mine/thesis.txt", "years of work");
    CHECK(error_of(folder / "mine", options).find("name an empty folder") != std::string::npos);
    CHECK(error_of(folder / "mine/thesis.txt", options).find("is a file") != std::string::npos);
    CHECK(contents(folder / "whole") == before);
    CHECK(contents(folder / "mine").size() == 1);
  }

  TEST_CASE("options out of range, and a soundfont that is none, are errors") {
    TemporaryFolder folder;
    const auto root = folder / "corpus";
    CHECK(error_of(root, {.songs = 0}).find("1 to 1802 songs, not 0") != std::string::npos);
    CHECK(error_of(root, {.songs = 1803}).find("1 to 1802 songs") != std::string::npos);
    CHECK(error_of(root, {.songs = 4, .seconds = 10}).find("songs of 20 to 600 seconds") !=
          std::string::npos);
    CHECK(error_of(root, {.songs = 4, .noise = -1}).find("noise") != std::string::npos);
    CHECK(error_of(root, {.songs = 4, .soundfont = "/no/such.sf2"}).find("/no/such.sf2") !=
          std::string::npos);
    CHECK(!fs::exists(root));
    // Too few songs for anyone to notice exchanged columns: none has them.
    for (const CorpusSong& song : plan_corpus({.songs = 19})) CHECK(song.id > 1000);
    write_file(folder / "broken.sf2", "no soundfont");
    CHECK(error_of(root, {.songs = 4, .soundfont = (folder / "broken.sf2").string()})
              .find("no SoundFont 2 file") != std::string::npos);
  }

  TEST_CASE("the deam layout has the real one's quirks, and the importer mends them") {
    if (!has_soundfont()) return;
    TemporaryFolder folder;
    const SynthOptions options{.songs = 20, .seed = 3, .seconds = 20};
    CHECK(synthesize_corpus(folder.path(), options));
    const fs::path annotations = folder / "annotations/annotations averaged per song";
    const std::string clips =
        read_file(annotations / "song_level/static_annotations_averaged_songs_1_2000.csv");
    CHECK(clips.starts_with("song_id, valence_mean, valence_std, arousal_mean, arousal_std\r\n"));
    CHECK(read_file(annotations / "song_level/static_annotations_averaged_songs_2000_2058.csv")
              .starts_with(
                  "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, "));
    const std::string dynamic =
        read_file(annotations / "dynamic (per second annotations)/arousal.csv");
    CHECK(dynamic.starts_with("song_id, sample_15000ms, sample_15500ms, "));
    // The full-length song lasts 30 s: its row, alone, goes on to the last column.
    CHECK(dynamic.find("sample_29500ms\n") != std::string::npos);

    const auto songs = plan_corpus(options);
    const Csv csv = Csv::parse(clips, "static");
    REQUIRE(csv.rows() == 19);
    std::set<int> ids;
    for (const CorpusSong& song : songs) ids.insert(song.id);
    CHECK(ids.size() == 20);
    CHECK(std::distance(ids.begin(), ids.upper_bound(1000)) == 8);
    CHECK(*ids.rbegin() == 2001);
    for (int row = 0; row < csv.rows(); ++row) {
      const CorpusSong& song = songs[static_cast<std::size_t>(row)];
      REQUIRE(csv.integer(row, csv.column("song_id")) == song.id);
      const bool exchanged = song.id <= 1000;
      const double written = csv.number(row, csv.column("arousal_mean"));
      const Rating& r = exchanged ? song.ratings.valence : song.ratings.arousal;
      CHECK(written == doctest::Approx(1 + 8 * r.mean).epsilon(0.06));
    }

    const Dataset dataset = load_dataset("deam", {folder.path()});
    REQUIRE(dataset.items.size() == 20);
    CHECK(dataset.warnings.empty());
    REQUIRE(dataset.notes.size() == 1);
    CHECK(dataset.notes[0].find("of the 8 songs") != std::string::npos);
    for (std::size_t i = 0; i < songs.size(); ++i) {
      const Item& item = dataset.items[i];
      CAPTURE(item.id);
      REQUIRE(item.affect.has_value());
      // DEAM keeps one decimal of a scale of eight.
      CHECK(std::abs(item.affect->arousal - songs[i].ratings.arousal.mean) < 0.0066);
      CHECK(std::abs(item.affect->valence - songs[i].ratings.valence.mean) < 0.0066);
      CHECK(item.dynamic.seconds.size() == (songs[i].id > 2000 ? 30 : 10));
      CHECK(item.columns.at("artist") == songs[i].artist_name);
    }
    // Three songs decode, whole, with sound in them.
    for (std::size_t i = 1; i < 20; i += 9) {
      const Audio audio = load_audio(dataset.items[i].file, {.strict = true});
      CHECK(audio.sample_rate == 44100);
      CHECK(std::abs(audio.seconds() - songs[i].song.seconds) < 0.1);
      double energy = 0, peak = 0;
      for (const float v : audio.samples) {
        energy += double(v) * v;
        peak = std::max(peak, std::abs(double(v)));
      }
      CHECK(10 * std::log10(energy / static_cast<double>(audio.samples.size())) > -40);
      CHECK(peak > 0.05);
    }
  }

  TEST_CASE("the pmemo layout puts arousal first and leaves the shortest clips unannotated") {
    if (!has_soundfont()) return;
    TemporaryFolder folder;
    const SynthOptions options{.songs = 11, .seed = 4, .layout = SynthLayout::pmemo, .seconds = 20};
    CHECK(synthesize_corpus(folder.path(), options));
    const auto songs = plan_corpus(options);
    const Csv csv = Csv::read(folder / "PMEmo2019/annotations/static_annotations.csv");
    CHECK(csv.header() == std::vector<std::string>{"musicId", "Arousal(mean)", "Valence(mean)"});
    CHECK(csv.rows() == 10);
    const Csv metadata = Csv::read(folder / "PMEmo2019/metadata.csv");
    CHECK(metadata.rows() == 11);
    CHECK(read_file(folder / "PMEmo2019/metadata.csv").find(", Vol. ") != std::string::npos);
    CHECK(songs[9].song.seconds < 15.5);
    CHECK(!songs[9].annotated);
    const Dataset dataset = load_dataset("pmemo", {folder.path()});
    REQUIRE(dataset.items.size() == 10);
    for (std::size_t i = 0, s = 0; i < 10; ++i, ++s) {
      s += s == 9;
      const Item& item = dataset.items[i];
      REQUIRE(item.affect.has_value());
      CHECK(item.affect->arousal == doctest::Approx(songs[s].ratings.arousal.mean).epsilon(1e-4));
      CHECK(item.affect->valence == doctest::Approx(songs[s].ratings.valence.mean).epsilon(1e-4));
      REQUIRE(!item.dynamic.seconds.empty());
      CHECK(item.dynamic.seconds.front() == 15.5);
      CHECK(item.columns.at("artist") == songs[s].artist_name);
    }
  }

  TEST_CASE("the folder layout has a folder a quadrant and splits whole artists") {
    if (!has_soundfont()) return;
    TemporaryFolder folder;
    const SynthOptions options{.songs = 30, .seed = 5, .layout = SynthLayout::folder, .seconds = 2};
    CHECK(synthesize_corpus(folder.path(), options));
    const Dataset dataset =
        load_dataset("folder", {folder.path()}, {.groups = folder / "groups.csv"});
    REQUIRE(dataset.items.size() == 30);
    CHECK(dataset.warnings.empty());
    const auto songs = plan_corpus(options);
    std::map<std::string, std::string> split_of;
    std::set<std::string> splits;
    for (const Item& item : dataset.items) {
      splits.insert(item.split);
      const auto& artist = item.columns.at("artist");
      const auto [known, fresh] = split_of.emplace(artist, item.split);
      CHECK(known->second == item.split);
    }
    CHECK(splits == std::set<std::string>{"test", "train", "val"});
    for (const CorpusSong& song : songs) {
      CHECK(song.file.parent_path() == quadrant_names()[static_cast<std::size_t>(song.quadrant)]);
      CHECK(fs::exists(folder.path() / song.file));
    }
  }
}
