// The linear baseline that every evaluation prints beside a network's figures.
#include <doctest/doctest.h>

#include "apps/linear_floor.h"
#include "temporary_folder.h"

using namespace etude;
using namespace etude::apps;
using etude::testing::TemporaryFolder;

TEST_SUITE("linear-floor") {
  // Two classes that differ in the level of band 0, three bands, six frames.
  data::Dataset dataset() {
    data::Dataset set;
    set.kind = "folder";
    set.classes = {"low", "high"};
    for (int i = 0; i < 80; ++i) {
      data::Item item;
      item.id = std::to_string(i);
      item.label = i % 2;
      item.affect = data::Affect{i % 2 ? 0.8 : 0.2, 0.5};
      set.items.push_back(item);
    }
    return set;
  }
  data::FeatureSet features() {
    data::FeatureSet set;
    Generator generator(3);
    for (int i = 0; i < 80; ++i) {
      data::Features song;
      song.height = 3;
      song.width = song.valid = 6;
      for (int k = 0; k < 18; ++k)
        song.values.push_back(static_cast<float>(generator.normal() + (k < 6 && i % 2 ? 4 : 0)));
      set.items.push_back(song);
    }
    return set;
  }

  TEST_CASE("it learns what a linear model can, and survives the file") {
    const auto set = dataset();
    const auto feats = features();
    data::Split split;
    for (int i = 0; i < 50; ++i) split.train.push_back(i);
    for (int i = 50; i < 60; ++i) split.val.push_back(i);
    for (int i = 60; i < 80; ++i) split.test.push_back(i);
    data::Task task;
    task.classes = set.classes;
    const LinearFloor floor = LinearFloor::fit(set, feats, task, split);
    const Predictions p = floor.predict(feats, split.test);
    CHECK(mean_accuracy(p, set, task) == 1.0);
    const TemporaryFolder folder;
    floor.save(folder / "linear.safetensors");
    CHECK(
        LinearFloor::load(folder / "linear.safetensors").predict(feats, split.test).song_outputs ==
        p.song_outputs);
    CHECK(LinearFloor::fit(set, feats, task, split).predict(feats, split.test).song_outputs ==
          p.song_outputs);

    data::Task regression;
    regression.kind = data::TaskKind::va;
    const Predictions r =
        LinearFloor::fit(set, feats, regression, split).predict(feats, split.test);
    CHECK(mean_loss(r, set, regression) < 0.02);  // the mean predictor has 0.045
  }
}
