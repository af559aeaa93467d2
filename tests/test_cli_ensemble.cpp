// Ensembles, as a user trains, evaluates and uses them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/ensemble.h"
#include "apps/onnx.h"
#include "cli_checks.h"
#include "data/csv.h"

using namespace etude;
using namespace etude::apps;
using namespace etude::testing;
using nlohmann::json;

namespace {

const std::string& tones() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    write_tone_corpus(folder / "tones", 20);
    return std::string(folder / "tones");
  }();
  return path;
}

Words train_tones(const std::string& out) {
  return {"train",
          "--dataset",
          "folder",
          "--data",
          tones(),
          "--model",
          "vgg4",
          "--augment",
          "crop",
          "--mel",
          "standardize=band",
          "--epochs",
          "6",
          "--batch",
          "8",
          "--cache",
          "none",
          "--out",
          out};
}

// Songs whose valence and arousal can be heard (cli_data.h).
const std::string& songs() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    write_moving_corpus(folder / "songs", 32);
    return std::string(folder / "songs");
  }();
  return path;
}

Words train_songs(const std::string& out, const std::string& members) {
  return {"train",     "--dataset",      "pmemo", "--data",  songs(),   "--task",
          "quadrants", "--val-fraction", "0",     "--mel",   "hop=512", "--mel",
          "n_mels=32", "--epochs",       "4",     "--batch", "8",       "--augment",
          "crop",      "--cache",        "none",  "--seed",  "3",       "--ensemble",
          "diverse",   "--members",      members, "--out",   out,       "--test-fraction",
          "0.25"};
}

// How much of a normal distribution about `mean` lies above the middle of 0-1 against below it.
double log_odds(double mean, double deviation) {
  const double x = (0.5 - mean) / deviation / std::sqrt(2.0);
  return std::log(std::erfc(x) / std::erfc(-x));
}

}  // namespace

TEST_SUITE("cli.ensemble") {
  TEST_CASE("every kind trains, is evaluated and predicts as one model") {
    for (const std::string kind : {"bagging", "boosting", "snapshot", "diverse"}) {
      CAPTURE(kind);
      const TemporaryFolder folder;
      const std::string run = folder / "run";
      const CliResult trained = run_etude(train_tones(run) + Words{"--ensemble", kind} +
                                          (kind == "diverse" ? Words{} : Words{"--members", "2"}));
      const std::size_t members = kind == "diverse" ? 6 : 2;
      CAPTURE(trained.err);
      REQUIRE(trained.code == 0);
      const Ensemble ensemble = read_ensemble(run);
      CHECK(ensemble.kind == kind);
      CHECK(ensemble.members.size() == members);
      const json before = json::parse(read_all(run + "/eval-test.json"));
      const CliResult evaluated = run_etude({"eval", run, "--json", "--cache", "none"});
      CAPTURE(evaluated.err);
      REQUIRE(evaluated.code == 0);
      const json e = json::parse(evaluated.out);
      CHECK(e.at("members").size() == members);
      CHECK(e.at("accuracy") == before.at("accuracy"));
      CHECK(e.at("loss").get<double>() == doctest::Approx(before.at("loss").get<double>()));
      CHECK(e.at("accuracy").get<double>() > e.at("majority").get<double>());
      CHECK(read_all(run + "/report.html").find(ensemble.members[1].path) != std::string::npos);
      const CliResult predicted =
          run_etude({"predict", run, tones() + "/low/3.wav", "--json", "--over-time"});
      REQUIRE(predicted.code == 0);
      const json answer = json::parse(predicted.out).at(0);
      CHECK(answer.at("members") == members);
      CHECK(answer.at("class") == "low");
      CHECK(answer.at("over_time").size() == 1);  // half a second
      if (kind == "diverse") {
        if (onnx_available())
          check_fails({"export", run, "--onnx", folder / "x.onnx"}, 1, {"ensemble", "members"});
        const json cv = json::parse(read_all(run + "/ensemble.json"));
        CHECK(cv.at("members").at(1).at("what") == "twice the bands");
        const json linear = json::parse(read_all(run + "/member-6/run.json"));
        CHECK(linear.at("config").at("model") == "statistics");
        double weights = 0;
        for (const auto& member : ensemble.members) weights += member.vote.weight;
        CHECK(weights == doctest::Approx(1));
        CHECK(trained.err.find("by the validation part") != std::string::npos);
      }
      if (kind == "bagging") {
        // Drawn with replacement: as many in all, some more than once.
        std::string line;
        double total = 0, most = 0;
        int songs = 0;
        std::ifstream in(run + "/member-1/weights.csv");
        std::getline(in, line);
        while (std::getline(in, line)) {
          const double count = std::stod(line.substr(line.rfind(',') + 1));
          total += count;
          most = std::max(most, count);
          ++songs;
        }
        CHECK(total == songs);
        CHECK(most >= 2);
      }
    }
  }

  TEST_CASE("members trained on valence and arousal, from end to end") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    const CliResult trained = run_etude(train_songs(run, "4"));
    CAPTURE(trained.err);
    REQUIRE(trained.code == 0);
    const Ensemble ensemble = read_ensemble(run);
    REQUIRE(ensemble.members.size() == 4);
    std::vector<data::Csv> tables;
    for (int m = 0; m < 4; ++m) {
      const auto& member = ensemble.members[m];
      const bool affect = m % 2 == 1;
      CHECK(member.vote.deviation.has_value() == affect);
      CHECK((member.what.find("valence and arousal") == 0) == affect);
      tables.push_back(data::Csv::read(run + "/" + member.path + "/predictions-test.csv"));
    }

    // By hand, from what the members wrote about the first song (PMEmo's scale is 0-1).
    const data::Csv whole = data::Csv::read(run + "/predictions-test.csv");
    double odds = 0;  // of happy against sad, their logarithm
    for (int m = 0; m < 4; ++m) {
      const data::Csv& t = tables[m];
      const auto number = [&](const char* column) {
        return std::stod(t.text(0, t.column(column)));
      };
      REQUIRE(t.text(0, t.column("id")) == whole.text(0, whole.column("id")));
      if (const auto& deviation = ensemble.members[m].vote.deviation)
        odds += (log_odds(number("predicted_valence"), deviation->valence) +
                 log_odds(number("predicted_arousal"), deviation->arousal)) /
                4;
      else
        odds += std::log(number("p(happy)") / number("p(sad)")) / 4;
    }
    const auto all_say = [&](const char* column) {
      return std::stod(whole.text(0, whole.column(column)));
    };
    CHECK(std::log(all_say("p(happy)") / all_say("p(sad)")) == doctest::Approx(odds).epsilon(1e-3));

    // A member's error was measured on songs of the run's training part that it did not train on.
    const data::Csv all = data::Csv::read(run + "/split.csv");
    const data::Csv own = data::Csv::read(run + "/member-2/split.csv");
    int train = 0, left_out = 0;
    for (int row = 0; row < all.rows(); ++row) {
      const std::string part = all.text(row, all.column("split"));
      const std::string of_member = own.text(row, own.column("split"));
      REQUIRE(all.text(row, all.column("id")) == own.text(row, own.column("id")));
      train += part == "train";
      left_out += part == "train" && of_member.empty();
      if (part == "test") CHECK(of_member == "test");
    }
    CHECK(train == 25);
    CHECK(left_out == 5);

    const json before = json::parse(read_all(run + "/eval-test.json"));
    const CliResult evaluated = run_etude({"eval", run, "--json", "--cache", "none"});
    CAPTURE(evaluated.err);
    REQUIRE(evaluated.code == 0);
    const json e = json::parse(evaluated.out);
    for (const char* key : {"accuracy", "macro_f1", "members"}) CHECK(e.at(key) == before.at(key));
    CHECK(e.at("loss").get<double>() == doctest::Approx(before.at("loss").get<double>()));
    CHECK(e.at("members").at(1).at("accuracy").is_number());
    const CliResult text = run_etude({"eval", run, "--cache", "none"});
    CHECK(text.out.find("valence and arousal, as the recipe says") != std::string::npos);
    CHECK(read_all(run + "/report.html").find("valence and arousal, as the recipe says") !=
          std::string::npos);
    const CliResult predicted =
        run_etude({"predict", run, songs() + "/chorus/3.wav", "--json", "--over-time"});
    REQUIRE(predicted.code == 0);
    const json answer = json::parse(predicted.out).at(0);
    CHECK(answer.at("members") == 4);
    double sum = 0;
    for (const auto& [_, p] : answer.at("probabilities").items()) sum += p.get<double>();
    CHECK(sum == doctest::Approx(1));
    CHECK(answer.at("over_time").size() > 30);  // half seconds of 20 s
    // Where the members for valence and arousal put it, with the errors they were measured at.
    const json& place = answer.at("place");
    CHECK(place.at("scale") == json({0, 1}));
    const auto& first = *ensemble.members[1].vote.deviation;
    const auto& second = *ensemble.members[3].vote.deviation;
    CHECK(place.at("error").at("valence").get<double>() ==
          doctest::Approx(std::hypot(first.valence, second.valence) / std::sqrt(2.0)));
    double arousal = 0;
    for (const int m : {1, 3}) {
      const CliResult alone = run_etude(
          {"predict", run + "/" + ensemble.members[m].path, songs() + "/chorus/3.wav", "--json"});
      REQUIRE(alone.code == 0);
      arousal += json::parse(alone.out).at(0).at("arousal").get<double>() / 2;
    }
    CHECK(place.at("arousal").get<double>() == doctest::Approx(arousal).epsilon(1e-4));

    // Taken up again without its second member, it leaves out the same songs.
    const std::string parts = folder / "parts";
    std::filesystem::copy(run, parts, std::filesystem::copy_options::recursive);
    std::filesystem::remove_all(parts + "/member-2");
    std::filesystem::remove(parts + "/ensemble.json");
    check_fails({"eval", parts}, 1, {"not finished", "--resume --out " + parts});
    const CliResult resumed = run_etude({"train", "--resume", "--out", parts});
    CAPTURE(resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(read_all(parts + "/ensemble.json") == read_all(run + "/ensemble.json"));

    // A folder from before votes had deviations; and one that makes no sense.
    json old = json::parse(read_all(run + "/ensemble.json"));
    old["members"].erase(3);
    old["members"].erase(1);
    write_all(run + "/ensemble.json", old.dump());
    CHECK(run_etude({"eval", run, "--cache", "none"}).code == 0);
    old["members"][1]["deviation"] = {{"valence", 0.1}, {"arousal", 0.1}};
    write_all(run + "/ensemble.json", old.dump());
    check_fails({"eval", run, "--cache", "none"}, 1, {"member-3", "differ"});
  }

  TEST_CASE("folds of an ensemble with a validation part") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    const CliResult trained =
        run_etude(train_songs(run, "2") + Words{"--cv", "2", "--cuts", "tertiles"});
    CAPTURE(trained.err);
    REQUIRE(trained.code == 0);
    const json cv = json::parse(read_all(run + "/cv.json"));
    CHECK(cv.at("mean").contains("best member"));
    CHECK(read_ensemble(run + "/fold-2").members[1].vote.deviation.has_value());
    const json judged = json::parse(read_all(run + "/fold-2/eval-test.json"));
    CHECK(judged.at("cuts") == "tertiles");
    CHECK(judged.at("thresholds").at("arousal").size() == 1);
    const std::string single = folder / "single";
    Words words = train_songs(single, "2");
    words[std::find(words.begin(), words.end(), "--val-fraction") - words.begin() + 1] = "0.25";
    const CliResult weighed = run_etude(words);
    CAPTURE(weighed.err);
    REQUIRE(weighed.code == 0);
    CHECK(weighed.err.find("by the validation part") != std::string::npos);
    // The validation part is what the second member was asked about: nothing is left out.
    CHECK(read_all(single + "/member-2/split.csv") == read_all(single + "/split.csv"));
    const Ensemble ensemble = read_ensemble(single);
    CHECK(ensemble.members[0].vote.weight + ensemble.members[1].vote.weight == doctest::Approx(1));
  }

  TEST_CASE("an ensemble that was stopped goes on where it stood") {
    const TemporaryFolder folder;
    const std::string whole = folder / "whole", parts = folder / "parts";
    const Words kind = {"--ensemble", "boosting", "--members", "2"};
    REQUIRE(run_etude(train_tones(whole) + kind).code == 0);
    REQUIRE(run_etude(train_tones(parts) + kind + Words{"--max-steps", "4"}).code == 0);
    CHECK_FALSE(holds_ensemble(parts));
    const CliResult resumed = run_etude({"train", "--resume", "--out", parts});
    CAPTURE(resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(read_all(parts + "/ensemble.json") == read_all(whole + "/ensemble.json"));
    CHECK(read_all(parts + "/predictions-test.csv") == read_all(whole + "/predictions-test.csv"));
  }

  TEST_CASE("what goes with what") {
    const TemporaryFolder folder;
    check_fails(train_tones(folder / "x") + Words{"--members", "3"}, 2,
                {"--members", "--ensemble"});
    check_fails(train_tones(folder / "x") + Words{"--ensemble", "stacking"}, 2, {"stacking"});
    check_fails(train_tones(folder / "x") + Words{"--ensemble", "snapshot", "--members", "7"}, 2,
                {"snapshot", "6 epochs"});
    check_fails(train_tones(folder / "x") + Words{"--ensemble", "diverse", "--width", "32"}, 2,
                {"diverse", "--width"});
    write_all(folder / "bad/ensemble.json", "{\"kind\": \"bagging\"}");
    write_all(folder / "bad/run.json", "{}");
    check_fails({"eval", folder / "bad"}, 1, {"ensemble.json"});
  }
}
