// The parts of the program that can be tested without running it.
#include <doctest/doctest.h>

#include "apps/defaults.h"
#include "apps/run_folder.h"
#include "apps/train_config.h"
#include "apps/usage.h"
#include "cli_runner.h"
#include "example_spec.h"
#include "temporary_folder.h"

using namespace etude;
using namespace etude::apps;
using etude::testing::example_spec;
using etude::testing::read_all;
using etude::testing::TemporaryFolder;
using etude::testing::write_all;

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
