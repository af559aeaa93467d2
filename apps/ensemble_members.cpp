#include "apps/ensemble_members.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "engine/random.h"

namespace etude::apps {

namespace {

constexpr int default_members = 5;  // of the others than `diverse`

// How the members of `diverse` differ from the recipe: factors of its front end and crop, or
// another model, or another task. Networks that learn valence and arousal themselves err elsewhere
// than those that learn the classes made of them, and so does the linear model on statistics of
// long crops, which costs next to nothing; over time it has no answers.
struct Variant {
  const char* what;
  double bands, hop, n_fft, seconds;
  bool affect = false;
  const char* model = nullptr;
  double weight = 1;
};
constexpr std::array<Variant, 11> variants{
    {{"as the recipe says", 1, 1, 1, 1},
     {"as the recipe says", 1, 1, 1, 1, true},
     {"twice the bands", 2, 1, 1, 1},
     {"twice the bands", 2, 1, 1, 1, true},
     {"crops of twice the length", 1, 1, 1, 2},
     {"crops of twice the length", 1, 1, 1, 2, true},
     {"four times the window, 3 times the bands, twice the hop, 1.5 times the crop", 3, 2, 4, 1.5},
     {"four times the window, 3 times the bands, twice the hop, 1.5 times the crop", 3, 2, 4, 1.5,
      true},
     {"twice the window, 1.5 times bands and crop", 1.5, 1, 2, 1.5},
     {"twice the window, 1.5 times bands and crop", 1.5, 1, 2, 1.5, true},
     {"linear, on statistics of crops of 8 times the length", 1, 1, 1, 8, false, "statistics",
      0.5}}};

// Those that the task can have.
std::vector<Variant> variants_for(const Experiment& base) {
  const data::TaskKind task = data::parse_task(*base.config.task);
  std::vector<Variant> result;
  for (const Variant& variant : variants) {
    if (variant.affect && !data::has_levels(task)) continue;
    if (variant.model && task == data::TaskKind::va_dynamic) continue;
    result.push_back(variant);
  }
  return result;
}

// A seed for each member, the first one's being the run's own.
std::int64_t member_seed(const TrainConfig& config, int member) {
  return config.seed + 1000 * static_cast<std::int64_t>(member);
}

}  // namespace

int member_count(const Experiment& base) {
  if (base.config.members > 0) return base.config.members;
  return base.config.ensemble == "diverse" ? static_cast<int>(variants_for(base).size())
                                           : default_members;
}

MemberPlan plan_member(const Experiment& base, int member) {
  MemberPlan plan;
  TrainConfig& config = plan.config;
  config = base.config;
  config.ensemble.clear();
  config.seed = member_seed(base.config, member);
  if (base.config.ensemble != "diverse") return plan;
  const std::vector<Variant> choice = variants_for(base);
  const Variant& variant = choice[static_cast<std::size_t>(member) % choice.size()];
  plan.what = variant.what;
  plan.weight = variant.weight;
  if (variant.model) config.model = variant.model;
  if (variant.affect) {
    plan.affect = true;
    plan.what = "valence and arousal, " + plan.what;
    config.task = "va";
    config.monitor = "loss";
  }
  TrainConfig own = base.config;  // as without an ensemble, for the length of a crop
  fill_defaults(own, base.recipe.name, base.profile,
                static_cast<int>(base.corpus.dataset.items.size()));
  const data::MelSettings& mel = *base.mel;
  const auto put = [&](const char* name, double factor, Index value, Index most) {
    if (factor != 1)
      config.mel.push_back(fmt::format(
          "{}={}", name,
          std::clamp<Index>(std::lround(factor * static_cast<double>(value) / 2) * 2, 1, most)));
  };
  put("n_mels", variant.bands, mel.n_mels, 512);
  put("hop", variant.hop, mel.hop, 1 << 20);
  put("n_fft", variant.n_fft, mel.n_fft, 8192);
  if (config.task == "va-dynamic") return plan;
  // No crop is longer than the clips.
  const double seconds =
      std::min(variant.seconds, std::max(1.0, base.profile.median_seconds * mel.sample_rate /
                                                  static_cast<double>(mel.hop * *own.width)));
  const double frames = *own.width * seconds / variant.hop;
  config.width = 16 * std::max(1, static_cast<int>(std::lround(frames / 16)));
  config.window_step.reset();
  return plan;
}

std::vector<double> bootstrap(std::size_t songs, std::uint64_t seed) {
  std::vector<double> counts(songs, 0.0);
  Generator random = Generator(seed).fork(0xba66);
  for (std::size_t i = 0; i < songs; ++i) ++counts[random.below(static_cast<Index>(songs))];
  return counts;
}

std::vector<int> leave_out(const Experiment& e, data::Split& split, std::int64_t seed) {
  const data::Task task =
      data::make_task(data::TaskKind::quadrants, data::Cuts::scale, e.corpus.dataset, split.train);
  data::Dataset songs;  // all of them may be divided, whatever part they carry
  songs.kind = e.corpus.dataset.kind;
  songs.items = e.corpus.dataset.items;
  std::vector<int> labels(songs.items.size(), -1);  // in no part
  for (const int i : split.train) {
    songs.items[i].split = "train";
    labels[i] = task.label(songs.items[i]);
  }
  data::SplitOptions options;
  options.seed = static_cast<std::uint64_t>(seed);
  options.val_fraction = 0.2;
  options.group_by = e.config.group_by;
  data::Split parts = data::make_split(songs, labels, options);
  split.train = std::move(parts.train);
  return std::move(parts.val);
}

Round boost(const Predictions& p, const data::Dataset& dataset, const data::Task& task,
            const std::vector<int>& train, std::vector<double>& weights) {
  std::map<int, bool> wrong;
  for (int i = 0; i < p.songs(); ++i)
    wrong[p.items[i]] = argmax(p.song(i), p.outputs) != task.label(dataset.items[p.items[i]]);
  double total = 0, missed = 0;
  for (std::size_t i = 0; i < train.size(); ++i) {
    total += weights[i];
    if (wrong.at(train[i])) missed += weights[i];
  }
  Round round;
  round.error = missed / total;
  const double classes = task.outputs();
  if (round.error >= 1 - 1 / classes) return round;
  // A network may get every song right; its say stays finite.
  const double error = std::max(round.error, 0.5 / static_cast<double>(train.size()));
  round.say = std::log((1 - error) / error) + std::log(classes - 1);
  double sum = 0;
  for (std::size_t i = 0; i < train.size(); ++i) {
    if (wrong.at(train[i])) weights[i] *= std::exp(round.say);
    sum += weights[i];
  }
  for (double& weight : weights) weight *= static_cast<double>(train.size()) / sum;
  return round;
}

}  // namespace etude::apps
