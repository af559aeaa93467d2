#include "apps/recipes.h"

#include "apps/usage.h"
#include "data/task.h"

namespace etude::apps {

namespace {

using Kind = DataProfile::Kind;

// Up to so many songs the recipe for small data has it: networks with a hundred times its weights
// were worse there.
constexpr int small_data = 4000;

template <class T>
void set_default(std::optional<T>& field, T value) {
  if (!field) field = std::move(value);
}

// Why `small` or `general`, and which.
Recipe fitting_recipe(const TrainConfig& config, const DataProfile& profile, int items) {
  Recipe recipe{"general", "", {}, {}};
  const std::string files =
      profile.kind == Kind::songs ? "songs" : fmt::format("files ({})", to_string(profile.kind));
  if (profile.kind == Kind::images) {
    recipe.reason = "the data are images";
  } else if (items > small_data) {
    recipe.reason = fmt::format("{} {} are more than {}", items, files, small_data);
  } else if (config.model && *config.model != "vgg4") {
    recipe.reason =
        fmt::format("--model {} is not the network of the recipe for small data", *config.model);
  } else {
    recipe.name = "small";
    recipe.reason = fmt::format("{} {} are at most {}", items, files, small_data);
  }
  return recipe;
}

void fill_small(TrainConfig& config, const DataProfile& profile) {
  check_usage(profile.kind != Kind::images, "--recipe small: is for audio; the data are images");
  set_default<std::string>(config.model, "vgg4");
  // The number of epochs is fixed and the last weights count, so a fold needs no validation part
  // and trains on all that is not held out. A single run keeps one, for its curves.
  if (!config.cv.empty()) set_default(config.val_fraction, 0.0);
}

void fill_original(TrainConfig& config, const DataProfile& profile, Recipe& recipe) {
  check_usage(profile.kind != Kind::images, "--recipe original: is for audio; the data are images");
  check_usage(config.cv.empty(),
              "--recipe original: has one split, as published; it does not go with --cv");
  if (!config.preset) {
    config.preset = "original";
    config.mel.insert(config.mel.begin(), "pad_in_statistics=true");
  }
  set_default<std::string>(config.model, "resnet-mer");
  set_default(config.blocks, 3);
  const bool regression = config.task && data::is_regression(data::parse_task(*config.task));
  set_default<std::string>(config.monitor, regression ? "loss" : "accuracy");
  // 70/30 of what is left beside an untouched test part.
  set_default(config.val_fraction, 0.3 * (1 - config.test_fraction));
  recipe.reason = "asked for";
  recipe.flaws = {
      "only the first 27.9 s of a clip are heard (1200 frames)",
      "short clips are padded with silence before decibels and z-score, which tells the network "
      "how "
      "long a clip is, and so which data set it is from",
      "thresholds between classes come from the smallest and largest value of all songs, held-out "
      "ones included",
      "the part that stops training and chooses the weights is the part whose accuracy is reported",
      "songs are divided one by one: an artist may stand on both sides"};
  const bool deam = config.dataset == "auto" || config.dataset.find("deam") != std::string::npos;
  if (deam && config.labels == "as-distributed")
    recipe.flaws.emplace_back(
        "DEAM's labels as distributed: valence and arousal are exchanged for ids up to 1000");
  recipe.assumed = {
      fmt::format(
          "the 70/30 split is of the {:.0f} % of the songs outside the untouched test part, "
          "fixed by the seed and balanced by class (the source: unseeded)",
          100 * (1 - config.test_fraction)),
      "valence and arousal of both data sets are rescaled to 0-1 by the ends of their scales",
      "Adam with rate 0.001 and no decay, batches of 32, at most 20 epochs, stopped after 5 "
      "without "
      "a better accuracy",
      "cross-entropy without weights or smoothing; no augmentation"};
}

}  // namespace

std::vector<std::string> recipe_names() { return {"etude", "small", "general", "original"}; }

void begin_recipe(TrainConfig& config) {
  const bool original = config.recipe == "original";
  set_default<std::string>(config.labels, original ? "as-distributed" : "mended");
  set_default<std::string>(config.cuts, original ? "minmax" : "scale");
  set_default<std::string>(config.cuts_from, original ? "all" : "train");
  const bool rated =
      config.dataset == "deam" || config.dataset == "pmemo" || config.dataset == "deam+pmemo";
  if (original && rated) set_default<std::string>(config.task, "emotion9");
}

Recipe choose_recipe(TrainConfig& config, const DataProfile& profile, int items) {
  Recipe recipe;
  if (config.recipe == "etude") {
    recipe = fitting_recipe(config, profile, items);
  } else {
    recipe.name = config.recipe;
    recipe.reason = "asked for";
  }
  if (recipe.name == "small") fill_small(config, profile);
  if (recipe.name == "original") fill_original(config, profile, recipe);
  set_default<std::string>(config.model, "resnet18");
  set_default(config.blocks, 2);
  set_default<std::string>(config.monitor, "loss");
  set_default(config.val_fraction, 0.15);
  return recipe;
}

Json to_json(const Recipe& recipe) {
  Json json = {{"name", recipe.name}, {"reason", recipe.reason}};
  if (!recipe.flaws.empty()) json["flaws"] = recipe.flaws;
  if (!recipe.assumed.empty()) json["assumed"] = recipe.assumed;
  return json;
}

}  // namespace etude::apps
