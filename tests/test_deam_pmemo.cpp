// The importers of DEAM and PMEmo: layouts, quirks, the exchanged columns, and wrong input.
#include <doctest/doctest.h>

#include "data/dataset.h"
#include "data/deam.h"
#include "engine/random.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;
using etude::testing::TemporaryFolder;
using etude::testing::write;
using etude::testing::write_tone;

namespace fs = std::filesystem;

namespace {

const char* const kAveraged = "annotations/annotations averaged per song/";
const char* const kFirst = "song_level/static_annotations_averaged_songs_1_2000.csv";
const char* const kSecond = "song_level/static_annotations_averaged_songs_2000_2058.csv";

struct Song {
  int id;
  double valence, arousal;  // on 1-9
};

std::vector<Song> draw_songs(int first, int count, std::uint64_t seed) {
  Generator random(seed);
  std::vector<Song> songs;
  for (int i = 0; i < count; ++i)
    songs.push_back({first + i, 1.5 + 7 * random.uniform(), 1.5 + 7 * random.uniform()});
  return songs;
}

// DEAM's first static file and the dynamic ones, with the static columns exchanged up to `swapped`.
void write_deam(const fs::path& root, const std::vector<Song>& songs, int swapped,
                bool dynamic = true) {
  std::string table = "song_id, valence_mean, valence_std, arousal_mean, arousal_std\r\n";
  std::string valence = "song_id, sample_15000ms, sample_15500ms, sample_16000ms\n";
  std::string arousal = valence;
  for (const Song& song : songs) {
    const bool swap = song.id <= swapped;
    table += fmt::format("{},{:.2f},0.9,{:.2f},0.6\r\n", song.id,
                         swap ? song.arousal : song.valence, swap ? song.valence : song.arousal);
    const auto row = [&](double score) {
      const double x = (score - 5) / 4;
      return fmt::format("{},{:.4f},{:.4f},{:.4f}\n", song.id, 0.9 * x - 0.01, 0.9 * x,
                         0.9 * x + 0.01);
    };
    valence += row(song.valence);
    arousal += row(song.arousal);
  }
  write(root / kAveraged / kFirst, table);
  if (!dynamic) return;
  write(root / kAveraged / "dynamic (per second annotations)/valence.csv", valence);
  write(root / kAveraged / "dynamic (per second annotations)/arousal.csv", arousal);
}

void write_pmemo(const fs::path& root) {
  write(root / "annotations/static_annotations.csv",
        "musicId,Arousal(mean),Valence(mean)\n1,0.4,0.575\n4,0.2625,0.2875\n");
  write(root / "annotations/dynamic_annotations.csv",
        "musicId,frameTime,Arousal(mean),Valence(mean)\n1,15.5,0.4,0.5\n1,16.0,0.6,0.7\n");
  write(root / "metadata.csv",
        "musicId,fileName,title,artist,album,duration,chorus_start_time,chorus_end_time\n"
        "1,1.mp3,Good Drank,2 Chainz,\"Direct Deposit, Vol. 2\",32.1,02:35,03:05\n"
        "11,11.mp3,T,A,B,12.1,00:00,00:10\n");
}

DatasetOptions without_audio() {
  DatasetOptions options;
  options.need_audio = false;
  return options;
}
}  // namespace

TEST_SUITE("data.deam") {
  TEST_CASE("both static files, their different columns, and the padded variant") {
    const TemporaryFolder root;
    write(root.path() / kAveraged / kFirst,
          "song_id,  valence_mean, valence_std,  arousal_mean, arousal_std\r\n"
          "      1500,         3.1 ,        0.94,         7.5 ,        0.63\r\n");
    write(root.path() / kAveraged / kSecond,
          "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, "
          "valence_min_mean, valence_min_std, arousal_mean, arousal_std\r\n"
          "2001,3.2,0.98,5.0,1.41,2.2,0.98,6.6,0.8\r\n");
    const Dataset data = load_dataset("deam", {root.path()}, without_audio());
    REQUIRE(data.items.size() == 2);
    CHECK(data.items[0].id == "deam/1500");
    CHECK(data.items[0].score->valence == 3.1);
    CHECK(data.items[0].score->arousal == 7.5);
    CHECK(data.items[0].affect->arousal == doctest::Approx((7.5 - 1) / 8).epsilon(1e-15));
    CHECK(data.items[1].score->valence == 3.2);
    CHECK(data.items[1].score->arousal == 6.6);
    CHECK(data.scale.low == 1);
    CHECK(data.scale.high == 9);
  }

  TEST_CASE("exchanged columns are found against the dynamic annotations and mended") {
    const TemporaryFolder root;
    std::vector<Song> songs = draw_songs(500, 60, 1);
    const auto later = draw_songs(1001, 60, 2);
    songs.insert(songs.end(), later.begin(), later.end());
    write_deam(root.path(), songs, 1000);

    const Dataset mended = load_dataset("deam", {root.path()}, without_audio());
    REQUIRE(mended.items.size() == songs.size());
    for (std::size_t i = 0; i < songs.size(); ++i) {
      CHECK(mended.items[i].score->valence == doctest::Approx(songs[i].valence).epsilon(0.01));
      CHECK(mended.items[i].score->arousal == doctest::Approx(songs[i].arousal).epsilon(0.01));
    }
    REQUIRE(mended.roots[0].swap.size() == 2);
    CHECK(mended.roots[0].swap[0].verdict == SwapEvidence::Verdict::swapped);
    CHECK(mended.roots[0].swap[0].mended == 60);
    CHECK(mended.roots[0].swap[1].verdict == SwapEvidence::Verdict::straight);
    CHECK(mended.roots[0].swap[1].mended == 0);
    REQUIRE(mended.notes.size() == 1);
    CHECK(contains(mended.notes[0], "the 60 songs with ids 500-559"));
    CHECK(contains(mended.notes[0], "mended"));

    DatasetOptions options = without_audio();
    options.deam_labels = DeamLabels::as_distributed;
    const Dataset raw = load_dataset("deam", {root.path()}, options);
    CHECK(raw.items[0].score->valence == doctest::Approx(songs[0].arousal).epsilon(0.01));
    CHECK(raw.items[0].score->arousal == doctest::Approx(songs[0].valence).epsilon(0.01));
    CHECK(raw.roots[0].swap[0].mended == 0);
    CHECK(contains(raw.notes.at(0), "left as distributed"));
  }

  TEST_CASE("columns that are right stay, without a word") {
    const TemporaryFolder root;
    const auto songs = draw_songs(2, 80, 3);
    write_deam(root.path(), songs, 0);
    const Dataset data = load_dataset("deam", {root.path()}, without_audio());
    CHECK(data.items[0].score->valence == doctest::Approx(songs[0].valence).epsilon(0.01));
    CHECK(data.notes.empty());
    CHECK(data.warnings.empty());
    CHECK(data.roots[0].swap.at(0).verdict == SwapEvidence::Verdict::straight);
  }

  TEST_CASE("too few songs, or no dynamic annotations: it cannot tell, and says so") {
    for (const bool dynamic : {true, false}) {
      const TemporaryFolder root;
      const auto songs = draw_songs(2, dynamic ? 5 : 80, 4);
      write_deam(root.path(), songs, 1000, dynamic);
      const Dataset data = load_dataset("deam", {root.path()}, without_audio());
      CHECK(data.items[0].score->valence == doctest::Approx(songs[0].arousal).epsilon(0.01));
      REQUIRE(data.warnings.size() == 1);
      CHECK(contains(data.warnings[0], "cannot tell"));
    }
  }

  TEST_CASE("the verdict on unrelated numbers is unclear") {
    Generator random(5);
    int clear = 0;
    for (int round = 0; round < 200; ++round) {
      std::map<int, SwapSample> songs;
      for (int id = 1; id <= 50; ++id)
        songs[id] = {random.normal(), random.normal(), random.normal(), random.normal()};
      clear += detect_swap(songs, 1, 50).verdict != SwapEvidence::Verdict::unclear;
    }
    // |d| > 4 is a chance of 6e-5 a round.
    CHECK(clear == 0);
  }

  TEST_CASE("dynamic annotations: ragged rows, empty fields, times from the column names") {
    const TemporaryFolder root;
    write_deam(root.path(), draw_songs(1001, 3, 6), 0, false);
    const fs::path folder = root.path() / kAveraged / "dynamic (per second annotations)";
    write(folder / "valence.csv",
          "song_id, sample_15000ms, sample_15500ms, sample_16000ms\n1001,-1,0\n1002,1,,0.5\n");
    write(folder / "arousal.csv",
          "song_id, sample_15500ms, sample_16000ms\n1001,1,0.5\n1002,0,0,\n1003,0,0\n");
    const Dataset data = load_dataset("deam", {root.path()}, without_audio());
    CHECK(data.items[0].dynamic.seconds == std::vector<double>{15.5});
    CHECK(data.items[0].dynamic.valence == std::vector<double>{0.5});
    CHECK(data.items[0].dynamic.arousal == std::vector<double>{1});
    CHECK(data.items[1].dynamic.seconds == std::vector<double>{16});
    CHECK(data.items[1].dynamic.valence == std::vector<double>{0.75});
    CHECK(data.items[2].dynamic.seconds.empty());
  }

  TEST_CASE("other roots, missing audio, artists") {
    const TemporaryFolder root;
    write_deam(root.path() / "DEAM_Annotations", draw_songs(1001, 4, 7), 0);
    CHECK(contains(message([&] { load_dataset("deam", {root.path()}); }),
                   "no folder MEMD_audio below it"));
    write_tone(root.path() / "DEAM_audio/MEMD_audio/1002.wav", 0.1);
    write_tone(root.path() / "DEAM_audio/MEMD_audio/7.wav", 0.1);
    write(root.path() / "__MACOSX" / kAveraged / kFirst, "rubbish");
    write(root.path() / "DEAM_Annotations" / kAveraged / "song_level" /
              "._static_annotations_averaged_songs_1_2000.csv",
          "rubbish");
    write(root.path() / "metadata/metadata_2014.csv",
          "Id,Artist,Album,Track,Genre,last.fm labels\n1002,\"\tA, B\t\",x,y,z,pop,rock,more\n");
    const Dataset data = load_dataset("deam", {root.path()});
    REQUIRE(data.items.size() == 1);
    CHECK(data.items[0].id == "deam/1002");
    CHECK(data.items[0].columns.at("artist") == "A, B");
    CHECK(data.items[0].columns.at("title") == "y");
    REQUIRE(data.warnings.size() == 1);
    CHECK(contains(data.warnings[0], "3 of 4 annotated songs have no audio"));
    CHECK(contains(data.notes.at(0), "1 clips without annotation are left out: 7"));

    DatasetOptions everything = without_audio();
    everything.keep_unannotated = true;
    CHECK(load_dataset("deam", {root.path()}, everything).items.size() == 5);
  }

  TEST_CASE("metadata that cannot be read costs a warning, not the import") {
    const TemporaryFolder root;
    write_deam(root.path(), draw_songs(1001, 2, 12), 0);
    write(root.path() / "metadata/metadata_2014.csv", "Id,Artist\n1001,\"never closed\n");
    write(root.path() / "metadata/metadata_2015.csv", "id,title,artist\n1002,x,somebody\n");
    const Dataset data = load_dataset("deam", {root.path()}, without_audio());
    REQUIRE(data.warnings.size() == 1);
    CHECK(contains(data.warnings[0], "artists left out: "));
    CHECK(contains(data.warnings[0], "metadata_2014.csv:2: a quoted field is never closed"));
    CHECK(data.items[1].columns.at("artist") == "somebody");
  }

  TEST_CASE("wrong files name themselves and what was expected") {
    const TemporaryFolder root;
    CHECK(contains(message([&] { load_dataset("deam", {root / "none"}); }), "no such folder"));
    CHECK(contains(message([&] { load_dataset("deam", {root.path()}); }),
                   "no static_annotations_averaged_songs_*.csv below it"));
    const fs::path file = root.path() / kAveraged / kFirst;
    const auto load = [&] { load_dataset("deam", {root.path()}, without_audio()); };
    write(file, "id,valence_mean,arousal_mean\n2,3,4\n");
    CHECK(contains(message(load), "no column \"song_id\""));
    write(file, "song_id,valence_mean,arousal_mean\n2,3\n");
    CHECK(contains(message(load), fmt::format("{}:2: row has 2 fields", file.string())));
    write(file, "song_id,valence_mean,arousal_mean\n2,3,9.5\n");
    CHECK(contains(message(load), "holds 9.5; DEAM's static scores go from 1 to 9"));
    write(file, "song_id,valence_mean,arousal_mean\n2,3,4\n2,3,4\n");
    CHECK(contains(message(load), "song 2 is annotated twice"));
    write(file, "song_id,valence_mean,arousal_mean\n");
    CHECK(contains(message(load), "have no songs"));
    write(file, "song_id,valence_mean,arousal_mean\n2,3,4\n");
    CHECK(message(load).empty());
    CHECK(contains(message([&] { load_dataset("deam", {file}); }), "is a file"));
    CHECK(contains(message([&] {
                     load_dataset("deam", {root.path(), root.path() / "."});
                   }),
                   "given twice"));
    CHECK(contains(message([&] { load_dataset("dream", {root.path()}); }),
                   "expected one of deam, pmemo, deam+pmemo, folder, idx, auto"));
  }
}

TEST_SUITE("data.pmemo") {
  TEST_CASE("arousal comes first in the files; metadata has quoted commas") {
    const TemporaryFolder root;
    write_pmemo(root.path() / "PMEmo2019");
    write_tone(root.path() / "PMEmo2019/chorus/1.wav", 0.1);
    write_tone(root.path() / "PMEmo2019/chorus/11.wav", 0.1);
    const Dataset data = load_dataset("pmemo", {root.path()});
    REQUIRE(data.items.size() == 1);
    const Item& item = data.items[0];
    CHECK(item.id == "pmemo/1");
    CHECK(item.affect->valence == 0.575);
    CHECK(item.affect->arousal == 0.4);
    CHECK(item.dynamic.seconds == std::vector<double>{15.5, 16});
    CHECK(item.dynamic.valence == std::vector<double>{0.5, 0.7});
    CHECK(item.dynamic.arousal == std::vector<double>{0.4, 0.6});
    CHECK(item.columns.at("artist") == "2 Chainz");
    CHECK(item.columns.at("album") == "Direct Deposit, Vol. 2");
    CHECK(contains(data.notes.at(0), "1 clips without annotation are left out: 11"));
    CHECK(contains(data.warnings.at(0), "1 of 2 annotated songs have no audio"));

    DatasetOptions everything = without_audio();
    everything.keep_unannotated = true;
    CHECK(load_dataset("pmemo", {root.path()}, everything).items.size() == 3);
  }

  TEST_CASE("wrong files") {
    const TemporaryFolder root;
    CHECK(contains(message([&] { load_dataset("pmemo", {root.path()}); }),
                   "no static_annotations.csv below it"));
    write_pmemo(root.path());
    CHECK(contains(message([&] { load_dataset("pmemo", {root.path()}); }), "no folder chorus"));
    fs::create_directories(root.path() / "chorus");
    CHECK(contains(message([&] { load_dataset("pmemo", {root.path()}); }),
                   "none of the 2 annotated songs has its audio file"));
    const auto load = [&] { load_dataset("pmemo", {root.path()}, without_audio()); };
    write(root.path() / "annotations/static_annotations.csv",
          "musicId,Arousal(mean),Valence(mean)\n1,4,0.5\n");
    CHECK(contains(message(load), "PMEmo's scores go from 0 to 1"));
    write(root.path() / "annotations/static_annotations.csv",
          "musicId,Arousal,Valence\n1,0.4,0.5\n");
    CHECK(contains(message(load), "no column \"Valence(mean)\""));
  }

  TEST_CASE("deam and pmemo combine, each with its own scale and ids") {
    const TemporaryFolder both;
    write_deam(both.path() / "DEAM", draw_songs(1001, 2, 8), 0);
    write_pmemo(both.path() / "PMEmo2019");
    for (const auto& roots :
         {std::vector<fs::path>{both.path() / "PMEmo2019", both.path() / "DEAM"},
          std::vector<fs::path>{both.path()}}) {
      const Dataset data = load_dataset("deam+pmemo", roots, without_audio());
      CHECK(data.kind == "deam+pmemo");
      CHECK(data.items.size() == 4);
      CHECK(data.roots.size() == 2);
      for (const Item& item : data.items) {
        const Root& root = data.roots.at(item.root);
        CHECK(item.id.starts_with(root.kind + "/"));
        CHECK(root.scale.unit(item.score->valence) == item.affect->valence);
      }
      CHECK(data.scale.high == 1);
    }
    const Dataset one = load_dataset("deam+pmemo", {both.path() / "DEAM"}, without_audio());
    CHECK(one.scale.high == 9);
    CHECK(contains(one.warnings.back(), "only deam is below"));
    CHECK(load_dataset("auto", {both.path()}, without_audio()).items.size() == 4);
    const TemporaryFolder neither;
    CHECK(contains(message([&] { load_dataset("deam+pmemo", {neither.path()}); }),
                   "holds neither DEAM's"));
  }

  TEST_CASE("two roots of one kind keep their songs apart") {
    const TemporaryFolder first, second;
    write_deam(first.path(), draw_songs(1001, 2, 9), 0);
    write_deam(second.path(), draw_songs(1001, 2, 10), 0);
    const Dataset data = load_dataset("deam", {first.path(), second.path()}, without_audio());
    REQUIRE(data.items.size() == 4);
    CHECK(data.items[0].id == "deam/1001");
    CHECK(data.items[2].id == "deam-2/1001");
    CHECK(data.items[2].root == 1);
  }
}
