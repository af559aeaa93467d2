#include "apps/ensemble.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/progress.h"
#include "apps/report.h"
#include "apps/usage.h"
#include "data/csv.h"
#include "engine/random.h"

namespace etude::apps {

namespace fs = std::filesystem;

namespace {

constexpr const char* file_name = "ensemble.json";
constexpr int default_members = 5;  // of the others than `diverse`

// ---- what the members are -----------------------------------------------------------------------

// How the members of `diverse` differ from the recipe: factors of its front end and crop, or
// another model. The linear model on statistics of long crops costs next to nothing and errs
// elsewhere; over time it has no answers.
struct Variant {
  const char* what;
  double bands, hop, n_fft, seconds;
  const char* model = nullptr;
  double say = 1;
};
constexpr std::array<Variant, 6> variants{
    {{"as the recipe says", 1, 1, 1, 1},
     {"twice the bands", 2, 1, 1, 1},
     {"crops of twice the length", 1, 1, 1, 2},
     {"half the hop", 1, 0.5, 1, 1},
     {"twice the window, 1.5 times bands and crop", 1.5, 1, 2, 1.5},
     {"linear, on statistics of crops of 8 times the length", 1, 1, 1, 8, "statistics", 0.5}}};

std::size_t variant_count(const TrainConfig& config) {
  return variants.size() - (config.task == "va-dynamic" ? 1 : 0);
}

// A seed for each member, the first one's being the run's own.
std::int64_t member_seed(const TrainConfig& config, int member) {
  return config.seed + 1000 * static_cast<std::int64_t>(member);
}

TrainConfig member_config(const Experiment& base, int member, std::string& what, double& say) {
  TrainConfig config = base.config;
  config.ensemble.clear();
  config.seed = member_seed(base.config, member);
  if (base.config.ensemble != "diverse") return config;
  const Variant& variant = variants[static_cast<std::size_t>(member) % variant_count(config)];
  what = variant.what;
  say = variant.say;
  if (variant.model) config.model = variant.model;
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
  if (config.task == "va-dynamic") return config;
  // No crop is longer than the clips.
  const double seconds =
      std::min(variant.seconds, std::max(1.0, base.profile.median_seconds * mel.sample_rate /
                                                  static_cast<double>(mel.hop * *own.width)));
  const double frames = *own.width * seconds / variant.hop;
  config.width = 16 * std::max(1, static_cast<int>(std::lround(frames / 16)));
  config.window_step.reset();
  return config;
}

// How often each song of the training part was drawn with replacement.
std::vector<double> bootstrap(std::size_t songs, std::uint64_t seed) {
  std::vector<double> counts(songs, 0.0);
  Generator random = Generator(seed).fork(0xba66);
  for (std::size_t i = 0; i < songs; ++i) ++counts[random.below(static_cast<Index>(songs))];
  return counts;
}

// ---- SAMME --------------------------------------------------------------------------------------

// One round: the weighted error of a member on the training songs, its say, and the songs' new
// weights, whose mean is 1. No say for a member that is no better than guessing.
struct Round {
  double error = 0, say = 0;
};
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

std::string weights_csv(const data::Dataset& dataset, const std::vector<int>& train,
                        const std::vector<double>& weights) {
  std::string text = "id,weight\n";
  for (std::size_t i = 0; i < train.size(); ++i)
    text += fmt::format("{},{:.6g}\n", data::csv_field(dataset.items[train[i]].id), weights[i]);
  return text;
}

// ---- training -----------------------------------------------------------------------------------

// The split with its items' places in another data set of the same songs.
data::Split moved_split(const data::Split& split, const data::Dataset& from,
                        const data::Dataset& to) {
  Answers places;
  data::Split result;
  for (const auto& [part, out] : {std::pair{&split.train, &result.train},
                                  {&split.val, &result.val},
                                  {&split.test, &result.test}}) {
    places.songs.items = *part;
    move_answers(places, from, to);
    *out = places.songs.items;
  }
  return result;
}

struct Trained {
  Ensemble ensemble;
  std::vector<Answers> answers;     // of the part that is judged
  std::vector<Answers> validation;  // of the validation part, where that weighs the members
  std::vector<double> worth;        // of each member alone, for people
};

class EnsembleTraining {
 public:
  EnsembleTraining(Experiments& experiments, const data::Split& split, const fs::path& folder,
                   std::string label, fs::path resume)
      : experiments_(experiments),
        base_(experiments.base()),
        split_(split),
        folder_(folder),
        label_(std::move(label)),
        resume_(std::move(resume)) {}

  std::optional<Outcome> run() {
    const std::string kind = base_.config.ensemble;
    trained_.ensemble.kind = kind;
    const bool finished = kind == "snapshot" ? train_snapshots() : train_members();
    if (!finished) return std::nullopt;
    check(!trained_.answers.empty(),
          "ensemble: no member is better than guessing, so there is none; look at {}",
          (folder_ / "member-1").string());
    return judge_all();
  }

 private:
  int members() const {
    if (base_.config.members > 0) return base_.config.members;
    return base_.config.ensemble == "diverse" ? static_cast<int>(variant_count(base_.config))
                                              : default_members;
  }

  bool train_members() {
    const bool boosting = trained_.ensemble.kind == "boosting";
    std::vector<double> weights(split_.train.size(), 1.0);
    for (int m = 0; m < members(); ++m) {
      std::string what;
      double say = 1;
      const TrainConfig config = member_config(base_, m, what, say);
      const Experiment& e = experiments_.with(config);
      const data::Split split =
          &e == &base_ ? split_ : moved_split(split_, base_.corpus.dataset, e.corpus.dataset);
      const std::string name = fmt::format("member-{}", m + 1);
      if (trained_.ensemble.kind == "bagging")
        weights = bootstrap(split.train.size(), static_cast<std::uint64_t>(config.seed));
      Training training{
          config,         split,
          folder_ / name, fmt::format("{}member {}/{}: ", label_, m + 1, members()),
          resume_,        trained_.ensemble.kind == "diverse" ? std::vector<double>() : weights};
      make_folder(training.folder);
      if (!training.weights.empty())
        write_text(training.folder / "weights.csv",
                   weights_csv(e.corpus.dataset, split.train, weights));
      auto outcome = train_one(e, training);
      if (!outcome) return false;
      if (weighs()) {
        LoadedModel model = load_model(training.folder, base_.device);
        trained_.validation.push_back(answers_of(*model.module, model.spec, e.corpus, split.val,
                                                 base_.device, training.label + "val"));
        if (&e != &base_)
          move_answers(trained_.validation.back(), e.corpus.dataset, base_.corpus.dataset);
      }
      if (boosting) {
        LoadedModel model = load_model(training.folder, base_.device);
        const Answers train = answers_of(*model.module, model.spec, e.corpus, split.train,
                                         base_.device, training.label + "train");
        const Round round =
            boost(train.songs, e.corpus.dataset, model.spec.task, split.train, weights);
        what = fmt::format("error {:.3f}", round.error);
        if (round.say <= 0) {
          note(fmt::format("{}no better than guessing on the weighted songs: boosting ends here",
                           training.label));
          break;
        }
        say = round.say;
      }
      add(name, say, what, std::move(*outcome), e);
    }
    if (weighs()) weigh();
    return true;
  }

  // Whether the validation part says how much each member counts: of members that differ, and where
  // that part is not the one that is judged.
  bool weighs() const {
    return trained_.ensemble.kind == "diverse" && !split_.val.empty() && !split_.test.empty() &&
           !data::is_regression(data::parse_task(*base_.config.task));
  }

  void weigh() {
    auto& members = trained_.ensemble.members;
    std::vector<double> weights;
    for (const auto& member : members) weights.push_back(member.weight);
    weights = mixture_weights(trained_.validation, weights, base_.corpus.dataset,
                              load_model(folder_ / members.front().path, base_.device).spec.task);
    for (std::size_t m = 0; m < members.size(); ++m) members[m].weight = weights[m];
    note(fmt::format("{}weights of the members, by the validation part: {:.2f}", label_,
                     fmt::join(weights, ", ")));
  }

  bool train_snapshots() {
    TrainConfig config = base_.config;
    config.ensemble.clear();
    config.cycles = members();
    const Training training{config, split_, folder_ / "training", label_, resume_, {}};
    make_folder(training.folder);
    if (!train_one(base_, training)) return false;
    for (int k = 1; k <= members(); ++k) {
      const std::string name = fmt::format("training/snapshot-{}.safetensors", k);
      LoadedModel model = load_model(folder_ / name, base_.device);
      Outcome outcome;
      outcome.spec = model.spec;
      outcome.answers = answers_of(*model.module, model.spec, base_.corpus, judged(), base_.device,
                                   fmt::format("{}snapshot {}", label_, k));
      outcome.result = judge(part(), outcome.answers, base_.corpus.dataset, model.spec,
                             fit_baseline(base_.corpus.dataset, model.spec.task, split_.train), {});
      add(name, 1, fmt::format("cycle {}", k), std::move(outcome), base_);
    }
    return true;
  }

  void add(const std::string& path, double weight, const std::string& what, Outcome outcome,
           const Experiment& e) {
    if (&e != &base_) move_answers(outcome.answers, e.corpus.dataset, base_.corpus.dataset);
    note(fmt::format("{}{}{}: {}", label_, path, what.empty() ? "" : " (" + what + ")",
                     headline(outcome.result)));
    trained_.ensemble.members.push_back({path, weight, what});
    trained_.answers.push_back(std::move(outcome.answers));
    trained_.worth.push_back(worth_of(outcome.result));
    spec_ = std::move(outcome.spec);
  }

  std::string part() const { return split_.test.empty() ? "val" : "test"; }
  const std::vector<int>& judged() const { return split_.test.empty() ? split_.val : split_.test; }

  Outcome judge_all() {
    const RunFolder folder(folder_);
    std::vector<double> weights;
    for (const auto& member : trained_.ensemble.members) weights.push_back(member.weight);
    Outcome outcome;
    // The first member has the front end and the settings of the run itself.
    const std::string& first = trained_.ensemble.members.front().path;
    outcome.spec = load_model(folder_ / first, base_.device).spec;
    outcome.answers = combine(trained_.answers, weights, outcome.spec.task);
    const LinearFloor floor = LinearFloor::fit(base_.corpus.dataset, base_.corpus.features,
                                               outcome.spec.task, split_, outcome.spec.grid());
    floor.save(folder.linear());
    outcome.result = judge(part(), outcome.answers, base_.corpus.dataset, outcome.spec,
                           fit_baseline(base_.corpus.dataset, outcome.spec.task, split_.train),
                           answers_of(floor, outcome.spec, base_.corpus, judged()));
    for (std::size_t m = 0; m < weights.size(); ++m)
      outcome.result.members.push_back({trained_.ensemble.members[m].path, trained_.worth[m]});
    make_folder(folder_);
    data::write_split(folder.split(), base_.corpus.dataset, split_);
    write_json(folder.run_json(), run_json(base_.config, base_.recipe, outcome.spec,
                                           base_.corpus.dataset, split_, base_.device));
    write_ensemble(folder_, trained_.ensemble);
    write_json(folder.evaluation(part()), to_json(outcome.result, true));
    write_text(folder.predictions(part()), predictions_csv(outcome.result));
    write_report(folder);
    return outcome;
  }

  Experiments& experiments_;
  const Experiment& base_;
  const data::Split& split_;
  fs::path folder_;
  std::string label_;
  fs::path resume_;
  Trained trained_;
  ModelSpec spec_;
};

}  // namespace

void check_ensemble(const Experiment& e) {
  const TrainConfig& c = e.config;
  check_usage(c.members == 0 || !c.ensemble.empty(), "--members: goes with --ensemble");
  if (c.ensemble.empty()) return;
  check_usage(e.recipe.name != "original",
              "--ensemble: does not go with --recipe original, which is one network");
  check_usage(
      c.ensemble != "boosting" || !data::is_regression(data::parse_task(*c.task)),
      "--ensemble boosting: SAMME is for classes; for --task {} there are bagging, snapshot "
      "and diverse",
      *c.task);
  check_usage(c.ensemble != "diverse" || e.mel,
              "--ensemble diverse: needs spectrograms; the data are images");
  check_usage(c.ensemble != "diverse" || !c.width,
              "--ensemble diverse: chooses the --width of its members");
  check_usage(c.ensemble != "snapshot" || !c.epochs || *c.epochs >= std::max(2, c.members),
              "--ensemble snapshot: {} epochs are fewer than its members", c.epochs.value_or(0));
}

bool holds_ensemble(const fs::path& folder) { return fs::exists(folder / file_name); }

Ensemble read_ensemble(const fs::path& folder) {
  const Json json = read_json(folder / file_name);
  Ensemble ensemble;
  try {
    ensemble.kind = json.at("kind");
    for (const Json& member : json.at("members"))
      ensemble.members.push_back(
          {member.at("path"), member.at("weight"), member.value("what", std::string())});
  } catch (const nlohmann::json::exception& e) {
    fail("{}: not an ensemble ({})", (folder / file_name).string(), e.what());
  }
  check(!ensemble.members.empty(), "{}: has no members", (folder / file_name).string());
  return ensemble;
}

void write_ensemble(const fs::path& folder, const Ensemble& ensemble) {
  Json json = {{"kind", ensemble.kind}, {"members", Json::array()}};
  for (const auto& member : ensemble.members)
    json["members"].push_back(
        {{"path", member.path}, {"weight", member.weight}, {"what", member.what}});
  write_json(folder / file_name, json);
}

std::vector<WeightedModel> load_models(const fs::path& path, Device device) {
  std::vector<WeightedModel> models;
  if (!holds_ensemble(path)) {
    models.push_back({load_model(path, device), 1, path.string()});
    return models;
  }
  for (const auto& member : read_ensemble(path).members)
    models.push_back({load_model(path / member.path, device), member.weight, member.path});
  for (const WeightedModel& each : models) {
    const data::Task &task = each.model.spec.task, &first = models.front().model.spec.task;
    check(task.kind == first.kind && task.classes == first.classes,
          "{}: its members differ in what they answer: {} does not answer as {} does",
          path.string(), each.path, models.front().path);
  }
  return models;
}

const Experiment& Experiments::with(const TrainConfig& config) {
  if (config.mel == base_.config.mel) return base_;
  const std::string key = fmt::format("{}", fmt::join(config.mel, " "));
  const auto found = others_.find(key);
  if (found != others_.end()) return found->second;
  Experiment e;
  e.config = config;
  e.corpus.dataset = base_.corpus.dataset;
  e.profile = base_.profile;
  e.recipe = base_.recipe;
  e.device = base_.device;
  e.mel = resolve_mel(config, e.profile);
  prepare_corpus(e);
  return others_.emplace(key, std::move(e)).first->second;
}

std::optional<Outcome> train_run(Experiments& experiments, const data::Split& split,
                                 const fs::path& folder, const std::string& label,
                                 const fs::path& resume) {
  const Experiment& base = experiments.base();
  if (base.config.ensemble.empty())
    return train_one(base, {base.config, split, folder, label, resume, {}});
  return EnsembleTraining(experiments, split, folder, label, resume).run();
}

}  // namespace etude::apps
