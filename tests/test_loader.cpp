// The loader: coverage, crops, standardisation, padding, order, and resuming.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "data/loader.h"
#include "tests/data_files.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;

namespace {

struct Corpus {
  Dataset dataset;
  FeatureSet features;
  Task task;
  std::vector<int> all;
};

// Item i has widths[i] frames; band b of frame f holds 1000 i + 10 f + b.
Corpus make_corpus(const std::vector<int>& widths, int height = 3) {
  Corpus out;
  out.dataset.kind = "deam";
  for (std::size_t i = 0; i < widths.size(); ++i) {
    Item item;
    item.id = fmt::format("deam/{}", i);
    item.affect = Affect{0.01 * static_cast<double>(i), 0.9};
    out.dataset.items.push_back(item);
    Features features;
    features.height = height;
    features.width = widths[i];
    for (int band = 0; band < height; ++band)
      for (int frame = 0; frame < widths[i]; ++frame)
        features.values.push_back(static_cast<float>(1000 * i + 10 * frame + band));
    out.features.items.push_back(features);
    out.all.push_back(static_cast<int>(i));
  }
  out.task = make_task(TaskKind::quadrants, Cuts::scale, out.dataset, out.all);
  return out;
}

std::vector<Batch> epoch(Loader& loader, int number) {
  std::vector<Batch> batches;
  loader.start_epoch(number);
  for (Batch batch; loader.next(batch);) batches.push_back(batch);
  return batches;
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].items != b[i].items || a[i].x.to_vector<float>() != b[i].x.to_vector<float>() ||
        a[i].labels.to_vector<std::int64_t>() != b[i].labels.to_vector<std::int64_t>())
      return false;
  return true;
}

}  // namespace

TEST_SUITE("data.loader") {
  TEST_CASE("evaluation: windows in order, the tail covered where it is half a step or more") {
    // Widths and the starts expected with windows of 4 frames, step 3.
    const std::map<int, std::vector<int>> expected = {{2, {0}},       {4, {0}},       {5, {0}},
                                                      {6, {0, 2}},    {7, {0, 3}},    {8, {0, 3}},
                                                      {9, {0, 3, 5}}, {10, {0, 3, 6}}};
    std::vector<int> widths;
    for (const auto& [width, starts] : expected) widths.push_back(width);
    const Corpus corpus = make_corpus(widths);
    LoaderOptions options;
    options.batch_size = 4;
    options.width = 4;
    options.window_step = 3;
    Loader loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    std::map<int, std::vector<int>> starts;
    int previous = 0;
    for (const Batch& batch : epoch(loader, 0)) {
      CHECK(batch.x.shape() == Shape{batch.x.dim(0), 3, 4, 1});
      const auto x = batch.x.to_vector<float>();
      for (std::size_t k = 0; k < batch.items.size(); ++k) {
        const int item = batch.items[k];
        CHECK(item >= previous);
        previous = item;
        const int start = (static_cast<int>(x[k * 12]) - 1000 * item) / 10;
        starts[widths[item]].push_back(start);
        for (int band = 0; band < 3; ++band)
          for (int frame = 0; frame < 4; ++frame) {
            const float value = x[k * 12 + band * 4 + frame];
            if (start + frame < widths[item])
              CHECK(value == 1000 * item + 10 * (start + frame) + band);
            else
              CHECK(value == 0);
          }
      }
    }
    CHECK(starts == expected);
    CHECK(loader.samples() == 15);
    CHECK(loader.batches() == 4);
  }

  TEST_CASE("the window count of 30 s at 22.05 kHz, hop 1024: 19 of 64 frames, step 32") {
    const Corpus corpus = make_corpus({646}, 1);
    LoaderOptions options;
    options.width = 64;
    options.window_step = 32;
    CHECK(Loader(corpus.dataset, corpus.features, {}, corpus.task, {0}, options).samples() == 19);
  }

  TEST_CASE("training: every item once an epoch, other crops and another order each time") {
    const Corpus corpus = make_corpus(std::vector<int>(20, 50));
    LoaderOptions options;
    options.batch_size = 6;
    options.width = 8;
    options.training = true;
    options.seed = 3;
    Loader loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    CHECK(loader.batches() == 4);
    std::set<int> starts;
    std::vector<int> order[3];
    for (int e = 0; e < 3; ++e) {
      std::set<int> seen;
      for (const Batch& batch : epoch(loader, e)) {
        const auto x = batch.x.to_vector<float>();
        const auto labels = batch.labels.to_vector<std::int64_t>();
        const auto targets = batch.targets.to_vector<float>();
        for (std::size_t k = 0; k < batch.items.size(); ++k) {
          const int item = batch.items[k];
          seen.insert(item);
          order[e].push_back(item);
          starts.insert((static_cast<int>(x[k * 24]) - 1000 * item) / 10);
          CHECK(labels[k] == corpus.task.label(corpus.dataset.items[item]));
          CHECK(targets[2 * k] == static_cast<float>(0.01 * item));
          CHECK(targets[2 * k + 1] == 0.9f);
        }
      }
      CHECK(seen.size() == 20);
    }
    CHECK(order[0] != order[1]);
    CHECK(*starts.begin() >= 0);
    CHECK(*starts.rbegin() <= 42);
    CHECK(starts.size() > 20);  // 60 draws from 43 starts: 32 expected

    options.drop_last = true;
    CHECK(Loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options).batches() ==
          3);
  }

  TEST_CASE("an epoch is the same whatever came before, also when left half-way") {
    const Corpus corpus = make_corpus({30, 40, 50, 20, 9, 33, 47});
    LoaderOptions options;
    options.batch_size = 2;
    options.width = 10;
    options.training = true;
    options.seed = 7;
    Loader one(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    Loader other(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    for (int e = 0; e < 5; ++e) epoch(one, e);
    const auto sixth = epoch(one, 5);
    Batch batch;
    other.next(batch);  // epoch 0, one batch of it
    CHECK(same(sixth, epoch(other, 5)));
    CHECK_FALSE(same(sixth, epoch(other, 6)));
    options.seed = 8;
    Loader seeded(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    CHECK_FALSE(same(sixth, epoch(seeded, 5)));
  }

  TEST_CASE("a sample does not depend on the batch size or on the other items") {
    const Corpus corpus = make_corpus({30, 40, 50, 20, 9, 33, 47});
    LoaderOptions options;
    options.width = 10;
    options.training = true;
    std::map<int, std::vector<float>> samples[2];
    for (const int round : {0, 1}) {
      options.batch_size = round ? 3 : 7;
      const std::vector<int> items = round ? std::vector<int>{5, 2, 0} : corpus.all;
      Loader loader(corpus.dataset, corpus.features, {}, corpus.task, items, options);
      for (const Batch& batch : epoch(loader, 4)) {
        const auto x = batch.x.to_vector<float>();
        for (std::size_t k = 0; k < batch.items.size(); ++k)
          samples[round][batch.items[k]] = {x.begin() + k * 30, x.begin() + (k + 1) * 30};
      }
    }
    for (const auto& [item, x] : samples[1]) CHECK(samples[0].at(item) == x);
  }

  TEST_CASE("standardised with the training part; padding is its mean, also the front end's") {
    Corpus corpus = make_corpus({6, 4});
    corpus.features.items[0].valid = 4;  // frames 4 and 5 are padding
    for (int band = 0; band < 3; ++band)
      for (int frame = 4; frame < 6; ++frame)
        corpus.features.items[0].values[band * 6 + frame] = -1e6f;
    const BandStatistics statistics = fit_band_statistics(corpus.features, {0});
    // 0 10 20 30: mean 15, population deviation sqrt(125).
    for (int band = 0; band < 3; ++band) {
      CHECK(statistics.mean[band] == doctest::Approx(15 + band));
      CHECK(statistics.deviation[band] == doctest::Approx(std::sqrt(125.0)));
    }
    for (const bool training : {false, true}) {
      LoaderOptions options;
      options.width = 5;
      options.training = training;
      options.pad_value = training ? -2 : 0;
      Loader loader(corpus.dataset, corpus.features, statistics, corpus.task, {0}, options);
      const auto x = epoch(loader, 0).at(0).x.to_vector<float>();
      REQUIRE(x.size() == 15);
      for (int band = 0; band < 3; ++band) {
        for (int frame = 0; frame < 4; ++frame)
          CHECK(x[band * 5 + frame] == doctest::Approx((10 * frame - 15) / std::sqrt(125.0)));
        CHECK(x[band * 5 + 4] == options.pad_value);
      }
    }
  }

  TEST_CASE("a band without deviation is only centred") {
    Corpus corpus = make_corpus({5}, 1);
    std::fill(corpus.features.items[0].values.begin(), corpus.features.items[0].values.end(), 7.0f);
    const BandStatistics statistics = fit_band_statistics(corpus.features, {0});
    CHECK(statistics.deviation[0] == 0);
    corpus.features.items[0].values[2] = 9;
    Loader loader(corpus.dataset, corpus.features, statistics, corpus.task, {0}, {});
    CHECK(epoch(loader, 0).at(0).x.to_vector<float>() == std::vector<float>{0, 0, 2, 0, 0});
  }

  TEST_CASE("images: 0-1, and the whole width") {
    Dataset dataset;
    dataset.kind = "idx";
    dataset.classes = {"0", "1"};
    dataset.images = {2, 3, {0, 51, 102, 153, 204, 255, 255, 255, 255, 255, 255, 255}};
    for (int i = 0; i < 2; ++i) {
      Item item;
      item.id = fmt::format("idx/train/{}", i);
      item.image = i;
      item.label = 1 - i;
      dataset.items.push_back(item);
    }
    const FeatureSet features = prepare_features(dataset, {0, 1}, {}, {});
    const Task task = make_task(TaskKind::classes, Cuts::scale, dataset, {});
    Loader loader(dataset, features, {}, task, {0, 1}, {});
    const Batch batch = epoch(loader, 0).at(0);
    CHECK(batch.x.shape() == Shape{2, 2, 3, 1});
    const auto x = batch.x.to_vector<float>();
    for (int i = 0; i < 6; ++i) CHECK(x[i] == doctest::Approx(0.2 * i));
    CHECK(x[6] == 1);
    CHECK(batch.labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0});
    CHECK_FALSE(batch.targets.defined());
  }

  TEST_CASE("augmentation: training only, its draws fixed by seed, epoch and item") {
    const Corpus corpus = make_corpus({20, 20, 20, 20}, 2);
    LoaderOptions options;
    options.width = 5;
    options.batch_size = 3;
    options.augment = [](int, int, Generator& random) {
      SampleAugmentation a;
      a.values.gain = static_cast<float>(random.uniform());
      return a;
    };
    options.training = true;
    Loader loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    const auto first = epoch(loader, 0), second = epoch(loader, 1), again = epoch(loader, 0);
    CHECK(same(first, again));
    CHECK_FALSE(same(first, second));
    std::set<float> values;
    for (const Batch& batch : first)
      for (const float value : batch.x.to_vector<float>()) values.insert(value);
    CHECK(values.size() == 40);  // no two samples share their draws
    options.training = false;
    Loader plain(corpus.dataset, corpus.features, {}, corpus.task, {0}, options);
    CHECK(epoch(plain, 0).at(0).x.to_vector<float>()[0] == 0);
  }

  TEST_CASE("over time: windows of whole steps, targets where there are annotations") {
    Corpus corpus = make_corpus({200, 101, 30});
    corpus.task = make_task(TaskKind::va_dynamic, Cuts::scale, corpus.dataset, {});
    CHECK_THROWS_WITH_AS(Loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, {}),
                         doctest::Contains("steps"), Error);
    LoaderOptions options;
    options.steps = 8;
    options.grid.frames_per_step = 5.25;  // 200 frames: 38 steps; 101: 19; 30: 5
    options.batch_size = 3;
    CHECK_THROWS_WITH_AS(
        Loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options),
        doctest::Contains("no annotation over time"), Error);
    for (Item& item : corpus.dataset.items)
      for (int step = 3; step < 60; ++step) {  // beyond the audio, too
        item.dynamic.seconds.push_back(0.5 * step);
        item.dynamic.valence.push_back(0.01 * step);
        item.dynamic.arousal.push_back(1 - 0.01 * step);
      }
    Loader loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    CHECK(loader.width() == 42);
    CHECK(loader.song_steps(0) == 38);
    std::map<int, std::vector<int>> starts;
    for (const Batch& batch : epoch(loader, 0)) {
      const auto x = batch.x.to_vector<float>(), targets = batch.targets.to_vector<float>();
      const auto mask = batch.mask.to_vector<float>();
      CHECK_FALSE(batch.labels.defined());
      int known = 0;
      for (std::size_t k = 0; k < batch.items.size(); ++k) {
        const int item = batch.items[k], start = batch.starts[k];
        starts[item].push_back(start);
        CHECK(x[k * 3 * 42] ==
              1000.0f * item + 10.0f * static_cast<float>(std::lround(5.25 * start)));
        for (int step = 0; step < 8; ++step) {
          const bool annotated = start + step >= 3 && start + step < loader.song_steps(item);
          known += 2 * annotated;
          for (int axis = 0; axis < 2; ++axis) {
            const std::size_t at = k * 16 + 2 * step + axis;
            CHECK(mask[at] == (annotated ? 1 : 0));
            const double value = axis ? 1 - 0.01 * (start + step) : 0.01 * (start + step);
            CHECK(targets[at] == doctest::Approx(annotated ? value : 0));
          }
        }
      }
      CHECK(batch.annotated == known);
    }
    CHECK(starts[0] == std::vector<int>{0, 4, 8, 12, 16, 20, 24, 28, 30});
    CHECK(starts[1] == std::vector<int>{0, 4, 8, 11});
    CHECK(starts[2] == std::vector<int>{0});

    options.training = true;
    Loader training(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    std::set<int> drawn;
    for (int e = 0; e < 40; ++e)
      for (const Batch& batch : epoch(training, e))
        for (std::size_t k = 0; k < batch.items.size(); ++k)
          if (batch.items[k] == 0) drawn.insert(batch.starts[k]);
    CHECK(*drawn.begin() >= 0);
    CHECK(*drawn.rbegin() <= 30);
    CHECK(drawn.size() > 15);
  }

  TEST_CASE("without random crops, the middle; a changed tempo stays within the song") {
    const Corpus corpus = make_corpus({50, 50, 9});
    LoaderOptions options;
    options.batch_size = 3;
    options.width = 8;
    options.training = true;
    options.random_crop = false;
    Loader middle(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    for (const Batch& batch : epoch(middle, 3)) {
      const auto x = batch.x.to_vector<float>();
      for (std::size_t k = 0; k < batch.items.size(); ++k)
        CHECK(x[k * 24] == 1000.0f * batch.items[k] + 10 * (batch.items[k] == 2 ? 0 : 21));
    }
    options.tempo = 1;  // half to double
    Loader stretched(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    std::set<int> slopes;
    for (int e = 0; e < 20; ++e)
      for (const Batch& batch : epoch(stretched, e)) {
        const auto x = batch.x.to_vector<float>();
        for (std::size_t k = 0; k < batch.items.size(); ++k) {
          if (batch.items[k] == 2) continue;
          const double slope = (x[k * 24 + 1] - x[k * 24]) / 10;  // frames a frame
          CHECK(slope >= 3.0 / 7 - 1e-3);                         // eight frames of four
          CHECK(slope <= 15.0 / 7 + 1e-3);
          slopes.insert(static_cast<int>(std::lround(8 * slope)));
          CHECK(x[k * 24 + 7] == doctest::Approx(x[k * 24] + 70 * slope));
        }
      }
    CHECK(slopes.size() > 5);
  }

  TEST_CASE("weights: whole numbers are counts, and copies of an item are drawn by themselves") {
    const Corpus corpus = make_corpus(std::vector<int>(10, 50));
    LoaderOptions options;
    options.batch_size = 10;
    options.width = 8;
    options.training = true;
    options.weights = {3, 0, 1, 1, 1, 0, 2, 1, 1, 0};
    Loader counted(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    for (int e = 0; e < 5; ++e) {
      std::map<int, int> seen;
      std::set<float> starts;
      for (const Batch& batch : epoch(counted, e)) {
        const auto x = batch.x.to_vector<float>();
        for (std::size_t k = 0; k < batch.items.size(); ++k) {
          ++seen[batch.items[k]];
          if (batch.items[k] == 0) starts.insert(x[k * 24]);
        }
      }
      CHECK(seen == std::map<int, int>{{0, 3}, {2, 1}, {3, 1}, {4, 1}, {6, 2}, {7, 1}, {8, 1}});
      CHECK(starts.size() >= 2);  // of three crops from 43 places
    }
    options.weights = {5.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    Loader shares(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    int heavy = 0, all = 0;
    for (int e = 0; e < 200; ++e)
      for (const Batch& batch : epoch(shares, e)) {
        heavy += static_cast<int>(std::count(batch.items.begin(), batch.items.end(), 0));
        all += static_cast<int>(batch.items.size());
      }
    CHECK(all == 2000);
    CHECK(heavy == doctest::Approx(1100).epsilon(0.03));
    options.weights = {1, 2};
    CHECK_THROWS_WITH_AS(
        Loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options),
        doctest::Contains("2 weights"), Error);
  }

  TEST_CASE("mixup: pairs of one batch, both labels, one share") {
    const Corpus corpus = make_corpus(std::vector<int>(12, 8));
    LoaderOptions options;
    options.batch_size = 4;
    options.width = 8;
    options.training = true;
    options.mixup = 0.4;
    Loader loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, options);
    std::set<double> shares;
    const auto batches = epoch(loader, 2);
    for (const Batch& batch : batches) {
      shares.insert(batch.mix);
      CHECK(batch.mix >= 0.5);
      CHECK(batch.mix <= 1);
      const auto x = batch.x.to_vector<float>();
      const auto labels = batch.labels.to_vector<std::int64_t>();
      const auto others = batch.other_labels.to_vector<std::int64_t>();
      const auto targets = batch.targets.to_vector<float>();
      for (std::size_t k = 0; k < 4; ++k) {
        const int own = batch.items[k], other = batch.items[(k + 1) % 4];
        CHECK(x[k * 24] ==
              doctest::Approx(1000 * (batch.mix * own + (1 - batch.mix) * other)).epsilon(1e-5));
        CHECK(labels[k] == corpus.task.label(corpus.dataset.items[own]));
        CHECK(others[k] == corpus.task.label(corpus.dataset.items[other]));
        CHECK(targets[2 * k] ==
              doctest::Approx(0.01 * (batch.mix * own + (1 - batch.mix) * other)).epsilon(1e-5));
      }
    }
    CHECK(shares.size() == batches.size());
    CHECK(same(batches, epoch(loader, 2)));
  }

  TEST_CASE("regression: targets, no labels") {
    Corpus corpus = make_corpus({5, 5});
    corpus.task = make_task(TaskKind::va, Cuts::scale, corpus.dataset, {});
    Loader loader(corpus.dataset, corpus.features, {}, corpus.task, corpus.all, {});
    const Batch batch = epoch(loader, 0).at(0);
    CHECK_FALSE(batch.labels.defined());
    CHECK(batch.targets.shape() == Shape{2, 2});
  }

  TEST_CASE("what cannot be loaded is told at once; a failing batch in next()") {
    Corpus corpus = make_corpus({5, 5});
    const auto load = [&](std::vector<int> items, LoaderOptions options = {},
                          const BandStatistics& statistics = {}) {
      return message([&] {
        Loader(corpus.dataset, corpus.features, statistics, corpus.task, items, options);
      });
    };
    CHECK(load({0, 1}).empty());
    CHECK(contains(load({}), "no items"));
    LoaderOptions options;
    options.batch_size = 0;
    CHECK(contains(load({0}, options), "batch size 0"));
    CHECK(contains(load({0}, {}, {{0, 0}, {1, 1}}), "statistics of 2 bands for features of 3"));
    corpus.features.items[1].height = 5;
    CHECK(contains(load({0, 1}), "deam/1 has 5 bands"));
    corpus.features.items[1] = {};
    CHECK(contains(load({0, 1}), "deam/1 has no features"));
    corpus.dataset.items[0].affect.reset();
    CHECK(contains(load({0}), "deam/0 has no label for task quadrants"));

    const Corpus fine = make_corpus({5, 5});
    options = {};
    options.training = true;
    options.augment = [](int, int, Generator&) -> SampleAugmentation { fail("augment: no"); };
    Loader loader(fine.dataset, fine.features, {}, fine.task, fine.all, options);
    Batch batch;
    CHECK(message([&] { loader.next(batch); }) == "augment: no");
    CHECK(contains(message([&] { loader.next(batch); }), "start an epoch"));
  }
}
