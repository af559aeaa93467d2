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

// What of the original's flaws this run repeats: an option given by hand may mend one.
std::vector<std::string> flaws_of(const TrainConfig& config, const DataProfile& profile) {
  std::vector<std::string> flaws;
  const data::MelSettings mel = resolve_mel(config, profile);
  if (mel.max_frames > 0)
    flaws.push_back(fmt::format("only the first {:.1f} s of a clip are heard ({} frames)",
                                static_cast<double>(mel.max_frames * mel.hop) / mel.sample_rate,
                                mel.max_frames));
  if (mel.pad_in_statistics)
    flaws.emplace_back(
        "short clips are padded with silence before decibels and z-score, which tells the network "
        "how long a clip is, and so which data set it is from");
  const bool levels = config.task && data::has_levels(data::parse_task(*config.task));
  if (levels && *config.cuts != "scale" && *config.cuts_from == "all")
    flaws.push_back(fmt::format(
        "thresholds between classes come from the {} of all songs, held-out ones included",
        *config.cuts == "minmax" ? "smallest and largest value" : "values"));
  if (*config.val_fraction > 0)
    flaws.emplace_back(
        "the part that stops training and chooses the weights is the part whose accuracy is "
        "reported");
  if (config.group_by.empty())
    flaws.emplace_back("songs are divided one by one: an artist may stand on both sides");
  const bool deam = config.dataset == "auto" || config.dataset.find("deam") != std::string::npos;
  if (deam && *config.labels == "as-distributed")
    flaws.emplace_back(
        "DEAM's labels as distributed: valence and arousal are exchanged for ids up to 1000");
  return flaws;
}

// What the source does not state, as this run has it.
std::vector<std::string> assumed_by(TrainConfig config, const DataProfile& profile, int items) {
  fill_defaults(config, "original", profile, items);
  const double rest = 1 - config.test_fraction, share = *config.val_fraction / rest;
  const bool regression = config.task && data::is_regression(data::parse_task(*config.task));
  const bool whole = *config.augment == "crop" && *config.width == 0;
  const std::string stop =
      *config.patience == 0
          ? "never stopped early"
          : fmt::format("stopped after {} without a better {}", *config.patience, *config.monitor);
  const std::string loss =
      regression ? *config.loss
                 : fmt::format("cross-entropy, class weights {}, label smoothing {:g}",
                               config.class_weights, *config.label_smoothing);
  std::vector<std::string> assumed = {
      fmt::format("the {:.0f}/{:.0f} split is of the {:.0f} % of the songs outside the untouched "
                  "test part, fixed by the seed and balanced by class (the source: unseeded)",
                  100 * (1 - share), 100 * share, 100 * rest)};
  if (config.task && *config.task != "classes")
    assumed.emplace_back(
        "valence and arousal of both data sets are rescaled to 0-1 by the ends of their scales");
  assumed.push_back(
      fmt::format("{} with rate {:g} and weight decay {:g}, batches of {}, at most {} epochs, {}",
                  *config.optimizer == "adamw" ? "Adam" : "SGD", *config.lr, *config.weight_decay,
                  *config.batch, *config.epochs, stop));
  assumed.push_back(
      fmt::format("loss {}; augmentation {}", loss, whole ? "none" : *config.augment));
  return assumed;
}

void fill_original(TrainConfig& config, const DataProfile& profile, int items, Recipe& recipe) {
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
  recipe.flaws = flaws_of(config, profile);
  recipe.assumed = assumed_by(config, profile, items);
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
  if (recipe.name == "original") fill_original(config, profile, items, recipe);
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
