// Recipes: what is chosen for which data, and the one that repeats published flaws, end to end.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "apps/recipes.h"
#include "apps/usage.h"
#include "cli_checks.h"
#include "data/mel.h"
#include "data/steps.h"

using namespace etude;
using namespace etude::apps;
using namespace etude::testing;
using nlohmann::json;

namespace {

const DataProfile songs{DataProfile::Kind::songs, 44100, 30, 31};

TrainConfig chosen(TrainConfig config, const DataProfile& profile, int items, Recipe& recipe) {
  begin_recipe(config);
  recipe = choose_recipe(config, profile, items);
  return config;
}

}  // namespace

TEST_SUITE("recipes") {
  TEST_CASE("the size of the data decides, and what is given stays") {
    Recipe recipe;
    TrainConfig config;
    config.cv = "10";
    TrainConfig small = chosen(config, songs, 900, recipe);
    CHECK(recipe.name == "small");
    CHECK(recipe.reason.find("900") != std::string::npos);
    CHECK(*small.model == "vgg4");
    CHECK(*small.val_fraction == 0);  // of a fold
    CHECK(*small.labels == "mended");
    CHECK(*chosen({}, songs, 900, recipe).val_fraction == 0.15);
    CHECK(*chosen({}, songs, 90'000, recipe).model == "resnet18");
    CHECK(recipe.name == "general");
    config.model = "resnet18";
    chosen(config, songs, 900, recipe);
    CHECK(recipe.name == "general");
    config.recipe = "small";
    config.val_fraction = 0.1;
    const TrainConfig own = chosen(config, songs, 900, recipe);
    CHECK(recipe.name == "small");
    CHECK(*own.model == "resnet18");
    CHECK(*own.val_fraction == 0.1);
    CHECK(*chosen({}, {DataProfile::Kind::sounds, 44100, 5, 5}, 400, recipe).model == "vgg4");
    CHECK(recipe.name == "small");
    CHECK(*chosen({}, {DataProfile::Kind::short_clips, 8000, 0.5, 1}, 900, recipe).model == "vgg4");
    CHECK(recipe.name == "small");
    CHECK(*chosen({}, {}, 900, recipe).model == "resnet18");  // images
    CHECK(recipe.name == "general");
    TrainConfig images;
    images.recipe = "small";
    CHECK_THROWS_AS(chosen(images, {}, 900, recipe), UsageError);
  }

  TEST_CASE("over time, a sample is twelve seconds, and its width says so again") {
    Recipe recipe;
    TrainConfig config;
    config.dataset = "deam";
    config.task = "va-dynamic";
    TrainConfig c = chosen(config, songs, 900, recipe);
    fill_defaults(c, recipe.name, songs, 810);
    const data::StepGrid grid = data::StepGrid::of(22050, 1024);
    CHECK(grid.steps_of_width(*c.width) == 24);
    for (int steps = 1; steps < 200; ++steps) {
      CHECK(grid.steps_of_width(grid.frames(steps)) == steps);
      CHECK(grid.steps(grid.frames(steps) + 1) == steps);
    }
    CHECK(grid.steps(969) == 90);  // of 45 s
  }

  TEST_CASE("the recipe for small data, number by number") {
    Recipe recipe;
    TrainConfig c = chosen({}, songs, 900, recipe);
    fill_defaults(c, recipe.name, songs, 810);
    CHECK(*c.batch == 32);
    CHECK(*c.epochs == 120);
    CHECK(*c.width == 64);
    CHECK(*c.window_step == 32);
    CHECK(*c.optimizer == "adamw");
    CHECK(*c.beta1 == 0.9);
    CHECK(*c.beta2 == 0.99);
    CHECK(*c.weight_decay == 0.05);
    CHECK(*c.schedule == "onecycle");
    CHECK(*c.lr == 3e-3);
    CHECK(*c.lr_start == doctest::Approx(3e-4));
    CHECK(*c.lr_end == doctest::Approx(3e-7));
    CHECK(*c.lr_peak == 0.25);
    CHECK(*c.label_smoothing == 0.1);
    CHECK(*c.augment == "mel");
    CHECK(*c.patience == 0);
    const data::MelSettings mel = resolve_mel(c, songs);
    CHECK(mel.sample_rate == 22050);
    CHECK(mel.n_fft == 2048);
    CHECK(mel.hop == 1024);
    CHECK(mel.n_mels == 64);
    CHECK(mel.f_min == 30);
    CHECK(mel.f_max == 11000);
    CHECK(mel.log_floor == 1e-6);
    CHECK(mel.short_clip == data::ShortClip::tile);
    CHECK(mel.standardize == data::Standardize::band);
    // Sounds are taken as songs are.
    const DataProfile sounds{DataProfile::Kind::sounds, 44100, 5, 5};
    TrainConfig of_sounds = chosen({}, sounds, 400, recipe);
    fill_defaults(of_sounds, recipe.name, sounds, 320);
    CHECK(*of_sounds.epochs == 240);
    CHECK(*of_sounds.width == 64);
    CHECK(resolve_mel(of_sounds, sounds).to_map() == mel.to_map());
    // Words are seen whole, and learned in fewer steps.
    const DataProfile words{DataProfile::Kind::short_clips, 8000, 0.4, 0.7};
    TrainConfig of_words = chosen({}, words, 3000, recipe);
    fill_defaults(of_words, recipe.name, words, 2700);
    CHECK(*of_words.epochs == 40);
    CHECK(*of_words.width == 80);
    CHECK(*of_words.label_smoothing == 0);
    CHECK(of_words.augment->find("pitch,tempo") != std::string::npos);
    CHECK(resolve_mel(of_words, words).hop == 80);
    CHECK(resolve_mel(of_words, words).standardize == data::Standardize::clip);
    // Fewer songs are gone over more often.
    TrainConfig few = chosen({}, songs, 100, recipe);
    fill_defaults(few, recipe.name, songs, 100);
    CHECK(*few.epochs == 400);
  }

  TEST_CASE("original: what it repeats, what it assumes, and an honest figure beside it") {
    Recipe recipe;
    TrainConfig config;
    config.recipe = "original";
    config.dataset = "deam";
    const TrainConfig c = chosen(config, songs, 1802, recipe);
    CHECK(*c.labels == "as-distributed");
    CHECK(*c.cuts == "minmax");
    CHECK(*c.cuts_from == "all");
    CHECK(*c.task == "emotion9");
    CHECK(*c.model == "resnet-mer");
    CHECK(*c.val_fraction == doctest::Approx(0.3 * 0.85));
    CHECK(recipe.flaws.size() == 6);
    CHECK(recipe.assumed.size() == 4);
    const data::MelSettings mel = resolve_mel(c, songs);
    CHECK(mel.pad_in_statistics);
    CHECK(mel.max_frames == 1200);
    config.labels = "mended";
    CHECK(*chosen(config, songs, 1802, recipe).labels == "mended");
    CHECK(recipe.flaws.size() == 5);
    // What an option mends is no flaw, and what is assumed is what the run does.
    config.cuts_from = "train";
    config.group_by = "artist";
    config.lr = 5e-4;
    config.label_smoothing = 0.1;
    chosen(config, songs, 1802, recipe);
    CHECK(recipe.flaws.size() == 3);
    CHECK(recipe.assumed[2].find("rate 0.0005 and weight decay 0, batches of 32") !=
          std::string::npos);
    CHECK(recipe.assumed[3].find("label smoothing 0.1; augmentation none") != std::string::npos);
    config.cv = "3";
    CHECK_THROWS_AS(chosen(config, songs, 1802, recipe), UsageError);
  }

  TEST_CASE("original, end to end") {
    const TemporaryFolder folder;
    write_moving_corpus(folder / "corpus", 30);
    const std::string run = folder / "run", corpus = folder / "corpus";
    const CliResult result =
        run_etude({"train", "--dataset", "pmemo", "--data", corpus, "--recipe", "original",
                   "--model", "tinyvgg", "--hidden", "2", "--mel", "max_frames=64", "--epochs", "2",
                   "--cache", "none", "--out", run});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    CHECK(result.err.find("flaw repeated: ") != std::string::npos);
    CHECK(result.err.find("assumed: ") != std::string::npos);
    CHECK(result.out.find("as the original reports it") < result.out.find("honestly"));
    const json recorded = json::parse(read_all(run + "/run.json"));
    CHECK(recorded.at("recipe").at("flaws").size() == 5);
    CHECK(recorded.at("config").at("blocks") == 3);
    CHECK(recorded.at("spec").at("mel").at("pad_in_statistics") == "true");
    const json validation = json::parse(read_all(run + "/eval-val.json"));
    const json test = json::parse(read_all(run + "/eval-test.json"));
    CHECK(validation.at("n").get<int>() + test.at("n").get<int>() < 16);
    const std::string page = read_all(run + "/report.html");
    CHECK(page.find("Flaws, repeated on purpose") != std::string::npos);
    CHECK(page.find("songs that chose nothing") != std::string::npos);
  }

  TEST_CASE("a value held out is the test part, whole") {
    const TemporaryFolder folder;
    write_tone_corpus(folder / "tones", 12);
    std::string groups = "file,speaker\n";
    for (const char* kind : {"low", "high"})
      for (int i = 0; i < 12; ++i)
        groups +=
            std::string(kind) + "/" + std::to_string(i) + ".wav,s" + std::to_string(i % 4) + "\n";
    write_all(folder / "groups.csv", groups);
    const std::string run = folder / "run";
    const Words base = {"train",
                        "--dataset",
                        "folder",
                        "--data",
                        folder / "tones",
                        "--groups",
                        folder / "groups.csv",
                        "--model",
                        "vgg4",
                        "--epochs",
                        "2",
                        "--batch",
                        "8",
                        "--cache",
                        "none"};
    const CliResult result = run_etude(base + Words{"--holdout", "speaker=s1", "--out", run});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const std::string split = read_all(run + "/split.csv");
    int held_out = 0;
    for (int i = 0; i < 12; ++i)
      for (const char* kind : {"low", "high"}) {
        const std::string line =
            "tones/" + std::string(kind) + "/" + std::to_string(i) + ".wav,test";
        const bool test = split.find(line) != std::string::npos;
        CHECK(test == (i % 4 == 1));
        held_out += test;
      }
    CHECK(held_out == 6);
    check_fails(base + Words{"--holdout", "speaker=nobody", "--out", folder / "x"}, 1,
                {"nobody", "s0"});
    check_fails(base + Words{"--holdout", "artist=s1", "--out", folder / "x"}, 1,
                {"artist", "speaker"});
    check_fails(base + Words{"--holdout", "s1", "--out", folder / "x"}, 2, {"COLUMN=VALUE"});
    check_fails(base + Words{"--holdout", "speaker=s1", "--cv", "2", "--out", folder / "x"}, 2,
                {"--holdout", "--cv"});
  }
}
