// Ensembles: how answers are combined, how songs are weighted, and each kind from end to end.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/answers.h"
#include "apps/ensemble.h"
#include "apps/onnx.h"
#include "cli_checks.h"

using namespace etude;
using namespace etude::apps;
using namespace etude::testing;
using nlohmann::json;

namespace {

Answers answers(std::vector<int> items, std::vector<double> outputs) {
  Answers result;
  result.songs.outputs = static_cast<int>(outputs.size() / items.size());
  result.songs.items = std::move(items);
  result.songs.song_outputs = std::move(outputs);
  return result;
}

data::Task two_classes() {
  data::Task task;
  task.classes = {"a", "b"};
  return task;
}

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

}  // namespace

TEST_SUITE("ensemble") {
  TEST_CASE("probabilities are averaged by weight, whatever the order of the items") {
    const double logit = std::log(3.0);  // 0.75 to 0.25
    const std::vector<Answers> members = {answers({4, 7}, {logit, 0, 0, logit}),
                                          answers({7, 4}, {0, 0, 0, logit})};
    const Answers whole = combine(members, {3, 1}, two_classes());
    CHECK(whole.songs.items == std::vector<int>{4, 7});
    const auto p = [&](int song, int k) { return std::exp(whole.songs.song(song)[k]); };
    CHECK(p(0, 0) == doctest::Approx((3 * 0.75 + 0.25) / 4));
    CHECK(p(1, 1) == doctest::Approx((3 * 0.75 + 0.5) / 4));
    CHECK(p(1, 0) + p(1, 1) == doctest::Approx(1));
    CHECK_THROWS_WITH_AS(combine({members[0], answers({4}, {0, 0})}, {1, 1}, two_classes()),
                         doctest::Contains("item 7"), Error);
    CHECK_THROWS_AS(combine(members, {0, 0}, two_classes()), Error);
    data::Task va;
    va.kind = data::TaskKind::va;
    const Answers mean = combine({answers({0}, {0.2, 0.4}), answers({0}, {0.6, 0.8})}, {1, 3}, va);
    CHECK(mean.songs.song(0)[0] == doctest::Approx(0.5));
    CHECK(mean.songs.song(0)[1] == doctest::Approx(0.7));
    va.kind = data::TaskKind::va_dynamic;
    Answers one, other;
    one.curves = {{3, {0.1, 0.2, 0.3}, {0.5, 0.5, 0.5}}};
    other.curves = {{3, {0.3, 0.4}, {0.7, 0.7}}};
    const Answers curves = combine({one, other}, {1, 1}, va);
    CHECK(curves.curves[0].valence.size() == 2);  // what both have
    CHECK(curves.curves[0].valence[1] == doctest::Approx(0.3));
  }

  TEST_CASE("answers move to another data set by the items' ids") {
    data::Dataset from, to;
    for (const char* id : {"x/1", "x/2"}) from.items.emplace_back().id = id;
    for (const char* id : {"x/2", "x/0", "x/1"}) to.items.emplace_back().id = id;
    Answers moved = answers({0, 1}, {1, 2});
    move_answers(moved, from, to);
    CHECK(moved.songs.items == std::vector<int>{2, 0});
    to.items.pop_back();
    moved = answers({0}, {1});
    CHECK_THROWS_WITH_AS(move_answers(moved, from, to), doctest::Contains("x/1"), Error);
  }

  TEST_CASE("weights by likelihood: to whom they go, and how much twenty songs of prior hold") {
    data::Dataset dataset;
    const data::Task task = two_classes();
    std::vector<Answers> members(2);
    constexpr int songs = 40;
    for (int i = 0; i < songs; ++i) {
      data::Item item;
      item.id = std::to_string(i);
      item.label = i % 2;
      dataset.items.push_back(item);
    }
    for (Answers& member : members) member.songs.outputs = 2;
    for (int i = 0; i < songs; ++i) {
      // The first gives the truth 0.9, the second 0.5; the second lists the songs backwards.
      const double good = std::log(9.0) * (i % 2 ? 1 : -1);
      members[0].songs.items.push_back(i);
      members[1].songs.items.push_back(songs - 1 - i);
      for (const double logit : {0.0, good}) members[0].songs.song_outputs.push_back(logit);
      for (int k = 0; k < 2; ++k) members[1].songs.song_outputs.push_back(0);
    }
    const auto weights = mixture_weights(members, {1, 1}, dataset, task);
    CHECK(weights[0] + weights[1] == doctest::Approx(1));
    // Where 40 log(0.9 w + 0.5 (1 - w)) + 10 log w + 10 log(1 - w) is highest.
    const double w = weights[0];
    CHECK(40 * 0.4 / (0.5 + 0.4 * w) + 10 / w - 10 / (1 - w) == doctest::Approx(0).epsilon(1e-6));
    // Members that say the same keep the weights they had.
    members[1] = members[0];
    const auto same = mixture_weights(members, {2, 1}, dataset, task);
    CHECK(same[0] == doctest::Approx(2.0 / 3));
    members[1].songs.items[0] = songs + 1;
    CHECK_THROWS_WITH_AS(mixture_weights(members, {1, 1}, dataset, task),
                         doctest::Contains("no answer"), Error);
  }

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
        for (const auto& member : ensemble.members) weights += member.weight;
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
