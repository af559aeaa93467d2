// Ensembles: how answers are combined, and what members do not train on.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "apps/ensemble_members.h"

using namespace etude;
using namespace etude::apps;

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

std::vector<Vote> weighing(const std::vector<double>& weights) {
  std::vector<Vote> votes;
  for (const double weight : weights) votes.push_back({weight, {}});
  return votes;
}

// What share of a normal distribution about `mean` lies above the middle of 0-1.
double upper_half(double mean, double deviation) {
  return std::erfc((0.5 - mean) / deviation / std::sqrt(2.0)) / 2;
}

}  // namespace

TEST_SUITE("ensemble") {
  TEST_CASE("logarithms of probabilities are averaged by weight, whatever the order of the items") {
    const double logit = std::log(3.0);  // 0.75 to 0.25
    const std::vector<Answers> members = {answers({4, 7}, {logit, 0, 0, logit}),
                                          answers({7, 4}, {0, 0, 0, logit})};
    const Answers whole = combine(members, weighing({3, 1}), two_classes());
    CHECK(whole.songs.items == std::vector<int>{4, 7});
    const auto p = [&](int song, int k) { return std::exp(whole.songs.song(song)[k]); };
    // Odds of 3 with three quarters of the say, against 1 / 3, and beside 1.
    CHECK(p(0, 0) / p(0, 1) == doctest::Approx(std::sqrt(3.0)));
    CHECK(p(1, 1) / p(1, 0) == doctest::Approx(std::pow(3.0, 0.75)));
    CHECK(p(0, 0) + p(0, 1) == doctest::Approx(1));
    CHECK(p(1, 0) + p(1, 1) == doctest::Approx(1));
    CHECK_THROWS_WITH_AS(
        combine({members[0], answers({4}, {0, 0})}, weighing({1, 1}), two_classes()),
        doctest::Contains("item 7"), Error);
    CHECK_THROWS_AS(combine(members, weighing({0, 0}), two_classes()), Error);
    data::Task va;
    va.kind = data::TaskKind::va;
    const Answers mean =
        combine({answers({0}, {0.2, 0.4}), answers({0}, {0.6, 0.8})}, weighing({1, 3}), va);
    CHECK(mean.songs.song(0)[0] == doctest::Approx(0.5));
    CHECK(mean.songs.song(0)[1] == doctest::Approx(0.7));
    va.kind = data::TaskKind::va_dynamic;
    Answers one, other;
    one.curves = {{3, {0.1, 0.2, 0.3}, {0.5, 0.5, 0.5}}};
    other.curves = {{3, {0.3, 0.4}, {0.7, 0.7}}};
    const Answers curves = combine({one, other}, weighing({1, 1}), va);
    CHECK(curves.curves[0].valence.size() == 2);  // what both have
    CHECK(curves.curves[0].valence[1] == doctest::Approx(0.3));
  }

  TEST_CASE("valence and arousal vote for classes by how far they err") {
    data::Dataset dataset;
    for (const auto& [v, a] : {std::pair{0.9, 0.8}, {0.3, 0.2}}) {
      dataset.items.emplace_back();
      dataset.items.back().affect = data::Affect{v, a};
    }
    const data::Task task =
        data::make_task(data::TaskKind::quadrants, data::Cuts::scale, dataset, {});
    const Answers affect = answers({1, 0}, {0.4, 0.3, 0.6, 0.4});
    const data::Affect deviation = deviation_of(affect.songs, dataset);
    CHECK(deviation.valence == doctest::Approx(std::sqrt((0.01 + 0.09) / 2)));
    CHECK(deviation.arousal == doctest::Approx(std::sqrt((0.01 + 0.16) / 2)));
    CHECK_THROWS_AS(deviation_of(Predictions{}, dataset), Error);

    const Vote vote{2, data::Affect{0.2, 0.1}};
    const Answers alone = combine({affect}, {vote}, task);
    const double v = upper_half(0.4, 0.2), a = upper_half(0.3, 0.1);
    CHECK(alone.songs.outputs == 4);
    CHECK(std::exp(alone.songs.song(0)[0]) == doctest::Approx(v * a));
    CHECK(std::exp(alone.songs.song(0)[2]) == doctest::Approx((1 - v) * (1 - a)));
    CHECK(std::exp(alone.songs.song(0)[3]) == doctest::Approx(v * (1 - a)));
    // Beside a member that answers with the classes themselves: two thirds and a third.
    const Answers classes = answers({0, 1}, {1, 0, 0, 0, 0, 0, std::log(5.0), 0});
    const Answers whole = combine({classes, affect}, {{1, {}}, vote}, task);
    CHECK(whole.songs.items == std::vector<int>{0, 1});
    const double* sad = whole.songs.song(1);
    CHECK(sad[2] - sad[0] ==
          doctest::Approx((std::log(5.0) + 2 * std::log((1 - v) * (1 - a)) - 2 * std::log(v * a)) /
                          3));
    CHECK(std::exp(sad[0]) + std::exp(sad[1]) + std::exp(sad[2]) + std::exp(sad[3]) ==
          doctest::Approx(1));
    // Two outputs are no logits of four classes.
    CHECK_THROWS_WITH_AS(combine({affect}, {Vote{}}, task), doctest::Contains("2 outputs"), Error);
    CHECK_THROWS_WITH_AS(combine({classes}, {vote}, task), doctest::Contains("4 outputs"), Error);
    // On song 0 (happy) the first is better, on song 1 (sad) the second.
    const auto weights =
        pool_weights({classes, affect}, {{1, {}}, {1, vote.deviation}}, dataset, task);
    CHECK(weights[0] + weights[1] == doctest::Approx(1));
    // The likelihood of both songs and the prior, where the first has the weight w.
    const auto likelihood = [&](double w) {
      const std::vector<Vote> votes = {{w, {}}, {1 - w, vote.deviation}};
      const Answers pool = combine({classes, affect}, votes, task);
      return pool.songs.song(0)[0] + pool.songs.song(1)[2] + 10 * std::log(w) +
             10 * std::log(1 - w);
    };
    constexpr double step = 1e-4;
    const double w = weights[0];
    CHECK(w != doctest::Approx(0.5).epsilon(1e-3));
    CHECK((likelihood(w + step) - likelihood(w - step)) / (2 * step) ==
          doctest::Approx(0).epsilon(1e-4));
  }

  TEST_CASE("a fifth is left out: whole groups, of the training part, the same each time") {
    Experiment e;
    e.config.group_by = "artist";
    for (int i = 0; i < 100; ++i) {
      data::Item item;
      item.id = std::to_string(i);
      item.affect = data::Affect{i % 2 ? 0.2 : 0.8, i % 4 < 2 ? 0.2 : 0.8};
      item.columns["artist"] = std::to_string(i / 4);
      item.split = i % 3 ? "test" : "";  // the part it carries does not matter
      e.corpus.dataset.items.push_back(item);
    }
    e.corpus.dataset.kind = "deam";
    data::Split split;
    for (int i = 0; i < 80; ++i) split.train.push_back(i);
    for (int i = 80; i < 100; ++i) split.test.push_back(i);
    data::Split rest = split, again = split, other = split;
    const std::vector<int> out = leave_out(e, rest, 7);
    CHECK(out.size() == 16);
    CHECK(rest.train.size() == 64);
    CHECK(rest.test == split.test);
    CHECK(rest.val.empty());
    std::set<int> artists;
    for (const int i : out) artists.insert(i / 4);
    CHECK(artists.size() == 4);
    for (const int i : rest.train) CHECK(artists.count(i / 4) == 0);
    CHECK(leave_out(e, again, 7) == out);
    CHECK(again.train == rest.train);
    CHECK(leave_out(e, other, 8) != out);
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
    const auto weights = pool_weights(members, weighing({1, 1}), dataset, task);
    CHECK(weights[0] + weights[1] == doctest::Approx(1));
    // Where 40 log(9^w / (9^w + 1)) + 10 log w + 10 log(1 - w) is highest. Its slope changes by
    // more than 80 per unit of w: the weight is right to 1e-6.
    const double w = weights[0];
    CHECK(40 * std::log(9.0) / (std::pow(9.0, w) + 1) + 10 / w - 10 / (1 - w) ==
          doctest::Approx(0).epsilon(1e-4));
    // Members that say the same keep the weights they had.
    members[1] = members[0];
    const auto same = pool_weights(members, weighing({2, 1}), dataset, task);
    CHECK(same[0] == doctest::Approx(2.0 / 3));
    members[1].songs.items[0] = songs + 1;
    CHECK_THROWS_WITH_AS(pool_weights(members, weighing({1, 1}), dataset, task),
                         doctest::Contains("no answer"), Error);
  }
}
