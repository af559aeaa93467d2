// The program on real data, as far as ETUDE_TEST_DATA has it: all of DEAM's and PMEmo's
// annotations, and ten of DEAM's songs from the import to the answer. Skipped, and said so,
// without.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "cli_checks.h"
#include "data/csv.h"
#include "data_files.h"

using namespace etude;
using namespace etude::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

bool without_data() {
  if (!test_data().empty()) return false;
  MESSAGE("skipped: ETUDE_TEST_DATA is not set");
  return true;
}

std::string root(const char* name) { return test_data() / name; }

// Valence and arousal of the songs that have audio, on 1 to 9. Their columns are exchanged as
// distributed.
struct Truth {
  double valence, arousal;
  const char* quadrant;
};
const std::map<std::string, Truth> songs = {
    {"deam/2", {3, 3.1, "sad"}},     {"deam/3", {3.3, 3.5, "sad"}},
    {"deam/4", {5.5, 5.7, "happy"}}, {"deam/5", {5.3, 4.4, "relaxed"}},
    {"deam/7", {6.4, 5.8, "happy"}}, {"deam/8", {4.8, 3.2, "sad"}},
    {"deam/10", {4.7, 4, "sad"}},    {"deam/12", {5.8, 5.5, "happy"}},
    {"deam/13", {4, 3.2, "sad"}},    {"deam/17", {6, 4.4, "relaxed"}},
};

// The mean of a song's annotations over time, on -1 to 1.
double mean_over_time(const char* axis, const std::string& id) {
  const auto table =
      data::Csv::read(test_data() / "DEAM/annotations/annotations averaged per song" /
                          "dynamic (per second annotations)" / (std::string(axis) + ".csv"),
                      {.ragged = true});
  for (int row = 0; row < table.rows(); ++row) {
    if (table.text(row, table.column("song_id")) != id.substr(5)) continue;
    double sum = 0;
    int count = 0;
    for (int column = 1; column < static_cast<int>(table.row(row).size()); ++column)
      if (!table.text(row, column).empty()) {
        sum += table.number(row, column);
        ++count;
      }
    CHECK(count == 60);
    return sum / count;
  }
  FAIL(id << " is not annotated over time");
  return 0;
}

// Two epochs on the ten songs: three to validate on, three to test.
std::string trained(const TemporaryFolder& folder, const std::string& task) {
  const std::string run = folder / task;
  const CliResult result =
      run_etude({"train", "--dataset", "deam", "--data", root("DEAM"), "--task", task, "--epochs",
                 "2", "--batch", "4", "--val-fraction", "0.3", "--test-fraction", "0.3", "--cache",
                 folder / "cache", "--out", run});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.err.find("744 songs") != std::string::npos);  // that the exchange was mended
  CHECK(records(run).size() == 2);
  for (const Json& record : records(run)) CHECK(std::isfinite(record["val_loss"].get<double>()));
  return run;
}

// Evaluates every part; all ten songs, each once, in the parts' predictions.
std::vector<data::Csv> predictions(const std::string& run) {
  std::vector<data::Csv> tables;
  std::set<std::string> seen;
  int judged = 0;
  for (const char* part : {"train", "val", "test"}) {
    const CliResult result = run_etude({"eval", run, "--split", part, "--json"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    judged += Json::parse(result.out)["n"].get<int>();
    tables.push_back(data::Csv::read(run + "/predictions-" + part + ".csv"));
    for (int row = 0; row < tables.back().rows(); ++row) {
      const std::string id = tables.back().text(row, 0);
      CHECK(songs.count(id) == 1);
      seen.insert(id);
    }
  }
  CHECK(judged == 10);
  CHECK(seen.size() == 10);
  const std::string report = read_all(run + "/report.html");
  CHECK(report.find("<svg") != std::string::npos);
  return tables;
}

// The answers for all songs, and their page.
Json predicted(const std::string& run, const TemporaryFolder& folder) {
  const std::string page = folder / "page.html";
  Words words = {"predict", run};
  for (const auto& [id, truth] : songs)
    words.push_back(root("DEAM") + "/MEMD_audio/" + id.substr(5) + ".mp3");
  const CliResult result = run_etude(words + Words{"--json", "--over-time", "--html", page});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const std::string html = read_all(page);
  for (const auto& [id, truth] : songs)
    CHECK(html.find(id.substr(5) + ".mp3") != std::string::npos);
  CHECK(html.find("<svg") != std::string::npos);
  const Json answers = Json::parse(result.out);
  CHECK(answers.size() == 10);
  return answers;
}

}  // namespace

TEST_SUITE("cli.real") {
  TEST_CASE("data verify: the class shares of every rule for cuts") {
    if (without_data()) return;
    struct Row {
      Words data;
      int items;
      double quadrants[4], scale, minmax, tertiles;
    };
    const Words deam = {root("DEAM"), "--dataset", "deam"};
    const Row rows[] = {{deam + Words{"--labels", "as-distributed"},
                         1802,
                         {.330, .127, .412, .132},
                         .516,
                         .398,
                         .205},
                        {deam, 1802, {.330, .105, .412, .153}, .516, .377, .222},
                        {{root("PMEmo2019"), "--dataset", "pmemo"},
                         767,
                         {.640, .099, .180, .081},
                         .357,
                         .319,
                         .246},
                        {{root("DEAM"), root("PMEmo2019"), "--dataset", "deam+pmemo"},
                         2569,
                         {.422, .104, .343, .132},
                         .468,
                         .353,
                         .225}};
    for (const Row& row : rows) {
      CAPTURE(row.items);
      const CliResult result =
          run_etude(Words{"data", "verify"} + row.data + Words{"--fast", "--json"});
      CAPTURE(result.err);
      REQUIRE(result.code == 0);
      const Json shares = Json::parse(result.out)["shares"];
      REQUIRE(shares.size() == 4);
      const auto near = [](double share, double expected) {
        CHECK(std::abs(share - expected) < 0.0005001);  // to three digits
      };
      for (const Json& one : shares) {
        CHECK(one["total"] == row.items);
        const std::string cuts = one["cuts"];
        if (one["task"] == "quadrants") {
          const char* const names[] = {"happy", "angry", "sad", "relaxed"};
          for (int q = 0; q < 4; ++q)
            near(one["counts"][names[q]].get<double>() / row.items, row.quadrants[q]);
          continue;
        }
        CHECK(one["task"] == "emotion9");
        near(one["largest"], cuts == "scale"    ? row.scale
                             : cuts == "minmax" ? row.minmax
                                                : row.tertiles);
      }
    }
  }

  TEST_CASE("ten songs of DEAM: quadrants, from the files to the answers") {
    if (without_data()) return;
    const TemporaryFolder folder;
    const std::string run = trained(folder, "quadrants");
    for (const data::Csv& table : predictions(run))
      for (int row = 0; row < table.rows(); ++row) {
        CAPTURE(table.text(row, 0));
        CHECK(table.text(row, table.column("truth")) == songs.at(table.text(row, 0)).quadrant);
      }
    for (const Json& answer : predicted(run, folder)) {
      double sum = 0;
      for (const auto& [name, p] : answer["probabilities"].items()) sum += p.get<double>();
      CHECK(sum == doctest::Approx(1).epsilon(1e-4));
      const double positive = answer["probabilities"]["happy"].get<double>() +
                              answer["probabilities"]["relaxed"].get<double>();
      CHECK(answer["levels"]["valence"]["high"].get<double>() == doctest::Approx(positive));
      CHECK(answer["levels"]["arousal"].size() == 2);
      CHECK(answer["over_time"].size() > 10);
    }
  }

  TEST_CASE("ten songs of DEAM: valence and arousal, of the song and over time") {
    if (without_data()) return;
    const TemporaryFolder folder;
    const std::string run = trained(folder, "va");
    for (const data::Csv& table : predictions(run))
      for (int row = 0; row < table.rows(); ++row) {
        const Truth& truth = songs.at(table.text(row, 0));
        CHECK(table.number(row, table.column("valence")) == doctest::Approx(truth.valence));
        CHECK(table.number(row, table.column("arousal")) == doctest::Approx(truth.arousal));
      }
    for (const Json& answer : predicted(run, folder)) CHECK(answer["scale"] == Json({1, 9}));

    const std::string moving = trained(folder, "va-dynamic");
    for (const data::Csv& table : predictions(moving)) {
      std::map<std::string, std::vector<int>> by_song;
      for (int row = 0; row < table.rows(); ++row) by_song[table.text(row, 0)].push_back(row);
      for (const auto& song : by_song) {
        const std::string& id = song.first;
        const std::vector<int>& rows = song.second;
        CAPTURE(id);
        CHECK(rows.size() == 60);  // 15 s to 44.5 s
        CHECK(table.number(rows[0], table.column("seconds")) == 15);
        for (const char* axis : {"valence", "arousal"}) {
          double sum = 0;
          for (const int row : rows) sum += table.number(row, table.column(axis));
          CHECK(sum / 60 == doctest::Approx(mean_over_time(axis, id)).epsilon(1e-4));
        }
      }
    }
    for (const Json& answer : predicted(moving, folder)) {
      CHECK(answer["scale"] == Json({-1, 1}));
      CHECK(answer["over_time"].size() >= 89);  // half seconds of 45 s
      CHECK(answer["over_time"].size() <= 91);
      CHECK(answer["over_time"][1]["start"] == 0.5);
    }
  }
}
