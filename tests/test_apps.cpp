// The parts of the program that can be tested without running it.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "apps/augment.h"
#include "apps/defaults.h"
#include "apps/linear_floor.h"
#include "apps/model_spec.h"
#include "apps/report.h"
#include "apps/report_page.h"
#include "apps/run_folder.h"
#include "apps/svg.h"
#include "apps/train_config.h"
#include "apps/usage.h"
#include "cli_runner.h"
#include "data/augmentation.h"
#include "temporary_folder.h"
#include "xml_fault.h"

using namespace etude;
using namespace etude::apps;
using etude::testing::read_all;
using etude::testing::TemporaryFolder;
using etude::testing::write_all;
using etude::testing::xml_fault;

namespace {

ModelSpec example_spec() {
  ModelSpec spec;
  spec.model = "tinyvgg";
  spec.options.height = 64;
  spec.options.width = 96;
  spec.options.outputs = 3;
  spec.options.seed = 12345678901234567ULL;
  spec.dataset = "folder";
  spec.task.kind = data::TaskKind::classes;
  spec.task.classes = {"a & b", "<c>", "d"};
  spec.task.thresholds.valence = {1.0 / 3, 2.0 / 3};
  spec.scale = {1, 9};
  spec.mel = data::mel_preset("mer");
  spec.mel->set("n_mels", "64");
  spec.statistics.mean = {0.1f, -3.7e-5f};
  spec.statistics.deviation = {1.0f / 3, 2};
  spec.width = 96;
  spec.window_step = 48;
  return spec;
}

Json evaluation_json() {
  return {{"split", "test"},
          {"n", 4},
          {"items", "4 files"},
          {"windows", 12},
          {"loss", 0.5},
          {"accuracy", 0.75},
          {"accuracy_interval", {0.3, 0.95}},
          {"majority", 0.5},
          {"majority_class", "a & b"},
          {"linear", 0.5},
          {"macro_f1", 0.7},
          {"classes", {"a & b", "<c>"}},
          {"per_class",
           {{{"class", "a & b"},
             {"precision", 1},
             {"recall", 0.5},
             {"f1", 0.66},
             {"support", 2},
             {"linear_f1", 0.31}},
            {{"class", "<c>"},
             {"precision", 0.5},
             {"recall", 1},
             {"f1", 0.66},
             {"support", 2},
             {"linear_f1", 0.5}}}},
          {"confusion", {{1, 1}, {0, 2}}}};
}

void write_example_run(const RunFolder& folder, const Json& evaluation) {
  TrainConfig config;
  config.dataset = "folder";
  config.task = "classes";
  config.data = {"/data/<odd> & \"quoted\""};
  Json part = {{"n", 4}, {"classes", {{"a & b", 2}, {"<c>", 2}}}};
  write_json(folder.run_json(),
             {{"config", to_json(config)},
              {"spec", to_json(example_spec())},
              {"environment", {{"device", "cpu"}, {"libraries", {{"gcc", "12"}}}}},
              {"data",
               {{"train", part},
                {"val", part},
                {"test", part},
                {"notes", {"mended <1>"}},
                {"warnings", Json::array()}}}});
  append_metrics(folder.metrics(), {1, 1.0, 1.1, 0.4, 0.35, 1e-3, 2.0, true});
  append_metrics(folder.metrics(), {2, 0.9, 1.2, 0.5, 0.45, 5e-4, 2.0, false});
  if (!evaluation.is_null()) write_json(folder.evaluation("test"), evaluation);
}

}  // namespace

TEST_SUITE("apps") {
  TEST_CASE("the configuration survives run.json") {
    TrainConfig config;
    config.dataset = "folder";
    config.data = {"a", "b"};
    config.lr = 0.1 + 0.2;
    config.epochs = 7;
    config.nesterov = true;
    config.mel = {"n_mels=64"};
    config.seed = 9007199254740993;
    const TrainConfig back = train_config_from_json(Json::parse(to_json(config).dump()));
    CHECK(to_json(back) == to_json(config));
    CHECK(*back.lr == 0.1 + 0.2);
    CHECK(back.seed == 9007199254740993);
    CHECK(!back.batch.has_value());
    CHECK_THROWS_WITH_AS(train_config_from_json({{"epochs", "seven"}}), doctest::Contains("epochs"),
                         Error);
  }

  TEST_CASE("a resumed run keeps what decides about its result") {
    TrainConfig saved;
    saved.lr = 0.1;
    saved.threads = 2;
    TrainConfig asked;
    asked.out = "elsewhere";
    asked.threads = 1;
    asked.max_steps = 5;
    asked.given = {"out", "threads", "max-steps"};
    const TrainConfig merged = resume_config(saved, asked);
    CHECK(merged.threads == 1);
    CHECK(merged.max_steps == 5);
    CHECK(merged.out == "elsewhere");
    CHECK(*merged.lr == 0.1);
    asked.lr = 0.1;
    asked.given.insert("lr");
    CHECK_NOTHROW(resume_config(saved, asked));
    asked.lr = 0.2;
    CHECK_THROWS_WITH_AS(resume_config(saved, asked), doctest::Contains("--lr"), UsageError);
  }

  TEST_CASE("the model spec survives text, to the last bit") {
    const ModelSpec spec = example_spec();
    const ModelSpec back = model_spec_from_json(Json::parse(to_json(spec).dump()));
    CHECK(to_json(back) == to_json(spec));
    CHECK(back.statistics.mean == spec.statistics.mean);
    CHECK(back.statistics.deviation == spec.statistics.deviation);
    CHECK(back.task.thresholds.valence == spec.task.thresholds.valence);
    CHECK(back.options.seed == spec.options.seed);
    Json broken = to_json(spec);
    broken.erase("task");
    CHECK_THROWS_WITH_AS(model_spec_from_json(broken), doctest::Contains("task"), Error);
    broken = to_json(spec);
    broken["width"] = "wide";
    CHECK_THROWS_WITH_AS(model_spec_from_json(broken), doctest::Contains("width"), Error);
  }

  TEST_CASE("metrics.jsonl is written, read and cut") {
    const TemporaryFolder folder;
    const auto path = folder / "metrics.jsonl";
    for (int epoch = 1; epoch <= 3; ++epoch)
      append_metrics(path, {epoch, 1.0 / epoch, 0.1 * epoch, {}, {}, 1e-3, 1.5, epoch == 2});
    truncate_metrics(path, 2);
    const auto records = read_metrics(path);
    REQUIRE(records.size() == 2);
    CHECK(records[1].loss == 0.5);
    CHECK(*records[1].val_loss == 0.2);
    CHECK(!records[1].accuracy);
    CHECK(records[1].best);
    write_all(path, "{\"epoch\": 1\n");
    CHECK_THROWS_WITH_AS(read_metrics(path), doctest::Contains("metrics.jsonl:1"), Error);
  }

  TEST_CASE("defaults follow the data") {
    DataProfile words{DataProfile::Kind::short_clips, 8000, 0.4, 0.7};
    const data::MelSettings mel = default_mel(words);
    CHECK(mel.sample_rate == 8000);
    CHECK(mel.hop == 80);
    CHECK(mel.n_mels == 64);
    TrainConfig config;
    fill_defaults(config, "general", words, 1000);
    CHECK(*config.width >= 70);  // 0.7 s in hops of 10 ms: the clip is seen whole
    CHECK(*config.width % 16 == 0);
    TrainConfig given;
    given.epochs = 3;
    given.width = 20;
    fill_defaults(given, "general", words, 1000);
    CHECK(*given.epochs == 3);
    CHECK(*given.width == 20);
    given.mel = {"n_mels=32"};
    CHECK(resolve_mel(given, words).n_mels == 32);
    given.mel = {"n_mels"};
    CHECK_THROWS_AS(resolve_mel(given, words), UsageError);
    // Songs at a low rate do not get bands that their files cannot have.
    CHECK(default_mel({DataProfile::Kind::songs, 16000, 30, 45}).sample_rate == 16000);
    CHECK(default_mel({DataProfile::Kind::songs, 44100, 30, 45}).sample_rate == 22050);
  }
}

TEST_SUITE("augment") {
  // What the program does to a sample x [height, width].
  void apply(const Augmenter& augmenter, const AugmentDraw& draw, std::vector<float>& x, int height,
             int width) {
    const data::AugmentationUpload augmentation({augmenter.parameters(draw)}, height, width,
                                                cpu_device);
    x = augmentation(Tensor::from(x, {1, height, width, 1}, cpu_device), 0).to_vector<float>();
  }

  TEST_CASE("draws follow the generator, masks stay small, numbers stay near") {
    constexpr int height = 20, width = 40;
    const Augmenter augmenter(parse_augment("mel"), data::mel_preset("mer"));
    int changed = 0;
    double shift = 0;
    for (std::uint64_t sample = 0; sample < 200; ++sample) {
      std::vector<float> x(height * width, 1.0f), again = x;
      const Generator random(7 + sample);
      apply(augmenter, augmenter.draw(height, width, random), x, height, width);
      apply(augmenter, augmenter.draw(height, width, random), again, height, width);
      CHECK(x == again);
      int masked = 0;
      for (float value : x) {
        CHECK(std::abs(value) < 3);
        masked += value == 0;
        if (value != 0) shift += value - 1;
        changed += value != 1;
      }
      // Two masks of at most 3 bands and two of at most 7 frames.
      CHECK(masked <= 2 * 3 * width + 2 * 7 * height);
    }
    CHECK(changed > 190 * height * width);
    CHECK(std::abs(shift / (200 * height * width)) < 0.05);  // no drift: 0.15 / sqrt(200) = 0.011
  }

  TEST_CASE("each has its switch, and none moves another's draws") {
    const data::MelSettings mel = data::mel_preset("mer");
    const Generator random(5);
    const AugmentDraw all = Augmenter(parse_augment("all"), mel).draw(64, 64, random);
    CHECK(all.gain != 0);
    CHECK(all.tilt != 0);
    CHECK(all.noise > 0);
    CHECK(std::abs(all.semitones) <= 2);
    const AugmentDraw tilt = Augmenter(parse_augment("tilt"), mel).draw(64, 64, random);
    CHECK(tilt.tilt == all.tilt);
    CHECK(tilt.gain == 0);
    CHECK(tilt.bands.empty());
    CHECK(parse_augment("none").empty());
    CHECK(parse_augment("crop,time-mask").size() == 2);
    CHECK_THROWS_WITH_AS(parse_augment("crop,reverb"), doctest::Contains("reverb"), UsageError);
    CHECK_THROWS_WITH_AS(parse_augment(""), doctest::Contains("crop"), UsageError);
    CHECK_THROWS_AS(Augmenter(parse_augment("pitch"), std::nullopt), UsageError);
    CHECK_NOTHROW(Augmenter(parse_augment("crop"), std::nullopt));
    // The masks of the published recipe: 0 to 10 of 64 bands, 0 to 12 of 64 frames.
    int bands = 0, frames = 0;
    const Augmenter masks(parse_augment("frequency-mask,time-mask"), mel);
    for (std::uint64_t i = 0; i < 500; ++i) {
      const AugmentDraw draw = masks.draw(64, 64, random.fork(i));
      for (const auto& span : draw.bands) bands = std::max(bands, span.end - span.begin);
      for (const auto& span : draw.frames) frames = std::max(frames, span.end - span.begin);
    }
    CHECK(bands == 10);
    CHECK(frames == 12);
  }

  TEST_CASE("noise has the deviation that was drawn, and each sample its own") {
    constexpr int height = 64, width = 64;
    const Augmenter augmenter(parse_augment("noise"), data::mel_preset("mer"));
    std::vector<float> before;
    for (std::uint64_t sample = 1; sample <= 5; ++sample) {
      const AugmentDraw draw = augmenter.draw(height, width, Generator(sample));
      std::vector<float> x(height * width, 0.0f);
      apply(augmenter, draw, x, height, width);
      double sum = 0, square = 0;
      for (const float value : x) {
        sum += static_cast<double>(value) / draw.noise;
        square += std::pow(static_cast<double>(value) / draw.noise, 2);
      }
      // Five deviations of the mean and of the variance of 4096 numbers.
      CHECK(std::abs(sum / 4096) < 5.0 / 64);
      CHECK(std::abs(square / 4096 - 1) < 5 * std::sqrt(2.0) / 64);
      if (!before.empty()) {
        double together = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
          together += static_cast<double>(x[i]) * static_cast<double>(before[i]);
        CHECK(std::abs(together / 4096) < 5.0 / 64 * draw.noise * 0.2);
      }
      before = x;
    }
  }

  TEST_CASE("pitch moves a peak by the frequency that semitones mean") {
    const data::MelSettings mel = data::mel_preset("mer");
    const std::vector<double> hz = data::mel_centres(mel);
    REQUIRE(hz.size() == 64);
    const Augmenter augmenter(parse_augment("pitch"), mel);
    for (const double semitones : {-2.0, 1.0, 2.0}) {
      constexpr int peak = 40, width = 3;
      std::vector<float> x(64 * width, 0.0f);
      for (int band = 0; band < 64; ++band)
        for (int f = 0; f < width; ++f)
          x[band * width + f] = static_cast<float>(std::max(0.0, 5.0 - std::abs(band - peak)));
      AugmentDraw draw;
      draw.semitones = semitones;
      apply(augmenter, draw, x, 64, width);
      double centre = 0, total = 0;
      for (int band = 0; band < 64; ++band) {
        centre += x[band * width] * std::log(hz[band]);
        total += x[band * width];
      }
      CAPTURE(semitones);
      CHECK(12 * (centre / total - std::log(hz[peak])) / std::log(2.0) ==
            doctest::Approx(semitones).epsilon(0.15));
    }
  }

  TEST_CASE("one band and one frame are not too small") {
    std::vector<float> x{1};
    data::MelSettings mel = data::mel_preset("mer");
    mel.n_mels = 1;
    const Augmenter augmenter(parse_augment("all"), mel);
    for (std::uint64_t i = 0; i < 50; ++i)
      apply(augmenter, augmenter.draw(1, 1, Generator(i)), x, 1, 1);
    CHECK(std::isfinite(x[0]));
  }

  // The same draws, done by another back end's kernel behind an asynchronous copy.
  TEST_CASE("batches are the same on every device") {
    data::Dataset dataset;
    data::FeatureSet features;
    std::vector<int> items;
    const data::MelSettings mel = data::mel_preset("mer");
    Generator random(3);
    for (int i = 0; i < 11; ++i) {
      data::Item item;
      item.id = fmt::format("song/{}", i);
      item.affect = data::Affect{0.08 * i, 0.9 - 0.05 * i};
      dataset.items.push_back(item);
      data::Features one{64, 20 + 7 * i, {}, 0};  // some are shorter than a sample
      for (int k = 0; k < one.height * one.width; ++k)
        one.values.push_back(static_cast<float>(random.normal()));
      features.items.push_back(one);
      items.push_back(i);
    }
    const data::Task task =
        data::make_task(data::TaskKind::quadrants, data::Cuts::scale, dataset, items);
    for (const char* names : {"mel", "all", "mixup", "tempo", "noise,pitch"}) {
      data::LoaderOptions options;
      options.batch_size = 4;
      options.width = 43;
      options.training = true;
      options.seed = 8;
      Augmenter(parse_augment(names), mel).install(options);
      const auto epoch = [&](Device device) {
        options.device = device;
        data::Loader loader(dataset, features, data::fit_band_statistics(features, items), task,
                            items, options);
        std::vector<data::Batch> batches;
        loader.start_epoch(1);
        for (data::Batch batch; loader.next(batch);) {
          CHECK(batch.x.device() == device);
          CHECK(batch.x.shape() == Shape{static_cast<Index>(batch.items.size()), 64, 43, 1});
          batches.push_back(batch);
        }
        return batches;
      };
      const std::vector<data::Batch> expected = epoch(cpu_device);
      REQUIRE(expected.size() == 3);
      for (const Device device : available_devices()) {
        INFO(names << " on " << to_string(device));
        const std::vector<data::Batch> got = epoch(device);
        REQUIRE(got.size() == expected.size());
        double most = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          CHECK(got[i].items == expected[i].items);
          CHECK(got[i].mix == expected[i].mix);
          CHECK(got[i].targets.to_vector<float>() == expected[i].targets.to_vector<float>());
          const auto x = got[i].x.to_vector<float>(), y = expected[i].x.to_vector<float>();
          for (std::size_t k = 0; k < x.size(); ++k)
            most = std::max(most, std::abs(static_cast<double>(x[k]) - static_cast<double>(y[k])));
        }
        CHECK(most < 1e-5);
      }
    }
  }
}

TEST_SUITE("report") {
  TEST_CASE("the checker finds faults") {
    CHECK(xml_fault("<a x=\"1\"><b/>t &amp; u</a>").empty());
    for (const char* bad : {"<a><b></a>", "<a>", "<a x=1></a>", "<a>1 & 2</a>", "<a>1 < 2</a>"})
      CHECK(!xml_fault(bad).empty());
  }

  TEST_CASE("pages are well-formed, whole, and hide nothing odd") {
    Json regression = {{"split", "test"}, {"n", 2},       {"items", "2 songs"},
                       {"windows", 8},    {"loss", 0.02}, {"scale", {1, 9}}};
    for (const char* metric : {"r2", "rmse", "pearson", "ccc"})
      regression[metric] = {{"valence", 0.25}, {"arousal", 0.5}};
    regression["mean_predictor"] = {{"rmse", {{"valence", 1.1}, {"arousal", 1.3}}}};
    regression["list"] = {{"deam/2", 5.0, 6.0, 5.5, 5.9}, {"<odd> & id", 3.0, 2.0, 20.0, -1.0}};
    for (const Json& evaluation : {Json(), evaluation_json(), regression}) {
      const TemporaryFolder temporary;
      const RunFolder folder(temporary.path());
      write_example_run(folder, evaluation);
      write_report(folder);
      const std::string html = read_all(folder.report());
      CHECK(xml_fault(html) == "");
      CHECK(html.find("<script") == std::string::npos);
      CHECK(html.find("src=") == std::string::npos);  // nothing is loaded from elsewhere
      CHECK(html.find("nan") == std::string::npos);
      CHECK(html.find("<odd>") == std::string::npos);
      if (evaluation.contains("accuracy")) {
        CHECK(html.find("75.0 %") != std::string::npos);
        CHECK(html.find("0.310") != std::string::npos);  // of the linear floor
        CHECK(html.find("0.667") != std::string::npos);  // always one class, half of the songs
      }
      if (evaluation.contains("r2")) CHECK(html.find("1 to 9") != std::string::npos);
    }
  }

  TEST_CASE("a cross-validation's page") {
    const TemporaryFolder folder;
    const Json fold = {{"name", "fold-1"}, {"accuracy", 0.5}, {"n", 10}};
    write_cv_report(folder.path(), {{"mean", {{"accuracy", 0.5}}},
                                    {"deviation", {{"accuracy", 0.0}}},
                                    {"folds", {fold, fold}}});
    const std::string html = read_all(folder / "report.html");
    CHECK(xml_fault(html) == "");
    CHECK(html.find("fold-1/report.html") != std::string::npos);
  }

  TEST_CASE("ticks are round and inside") {
    CHECK(nice_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.2 * 3, 0.8, 1.0});
    for (const auto& [low, high] : {std::pair{-3.0, 12.0}, {0.001, 0.0013}, {1e6, 3e6}}) {
      const auto ticks = nice_ticks(low, high, 5);
      CHECK(ticks.size() >= 2);
      CHECK(ticks.size() <= 8);
      CHECK(ticks.front() >= low - 1e-9);
      CHECK(ticks.back() <= high + 1e-9 * high);
    }
    CHECK(nice_ticks(2, 2, 5) == std::vector<double>{2});
  }

  TEST_CASE("charts of one epoch, of gaps and of nothing") {
    const double gap = std::numeric_limits<double>::quiet_NaN();
    LineChart chart{"Loss", "epoch", {{"a", {1}, {0.5}, 0}}, {}, "", {}, "", false};
    CHECK(line_chart_svg(chart).find("<circle") != std::string::npos);
    chart.series = {{"a", {1, 2, 3, 4, 5}, {1, 2, gap, 3, 4}, 0}};
    const std::string svg = line_chart_svg(chart);
    CHECK(svg.find("<polyline") != svg.rfind("<polyline"));  // two pieces
    CHECK(svg.find("nan") == std::string::npos);
    chart.series = {{"a", {1}, {gap}, 0}};
    CHECK(line_chart_svg(chart).find("no data") != std::string::npos);
    CHECK(xml_fault(line_chart_svg(chart)) == "");
  }
}

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
