// Training an ensemble: its members one by one, and what they say together.
#include <fmt/ranges.h>

#include <cmath>

#include "apps/ensemble.h"
#include "apps/ensemble_members.h"
#include "apps/progress.h"
#include "apps/report.h"
#include "data/csv.h"

namespace etude::apps {

namespace fs = std::filesystem;

namespace {

std::string weights_csv(const data::Dataset& dataset, const std::vector<int>& train,
                        const std::vector<double>& weights) {
  std::string text = "id,weight\n";
  for (std::size_t i = 0; i < train.size(); ++i)
    text += fmt::format("{},{:.6g}\n", data::csv_field(dataset.items[train[i]].id), weights[i]);
  return text;
}

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
  bool train_members() {
    const std::string& kind = trained_.ensemble.kind;
    const int members = member_count(base_);
    std::vector<double> weights(split_.train.size(), 1.0);
    for (int m = 0; m < members; ++m) {
      MemberPlan plan = plan_member(base_, m);
      const Experiment& e = experiments_.with(plan.config);
      data::Split split =
          &e == &base_ ? split_ : moved_split(split_, base_.corpus.dataset, e.corpus.dataset);
      std::vector<int> unheard = validates() ? split.val : std::vector<int>();
      if (plan.affect && unheard.empty()) unheard = leave_out(e, split, plan.config.seed);
      const std::string name = fmt::format("member-{}", m + 1);
      if (kind == "bagging")
        weights = bootstrap(split.train.size(), static_cast<std::uint64_t>(plan.config.seed));
      const Training training{
          plan.config,    split,
          folder_ / name, fmt::format("{}member {}/{}: ", label_, m + 1, members),
          resume_,        kind == "diverse" ? std::vector<double>() : weights};
      make_folder(training.folder);
      if (!training.weights.empty())
        write_text(training.folder / "weights.csv",
                   weights_csv(e.corpus.dataset, split.train, weights));
      auto outcome = train_one(e, training);
      if (!outcome) return false;
      Vote vote{plan.weight, {}};
      const auto ask = [&](const std::vector<int>& items, const std::string& part) {
        LoadedModel model = load_model(training.folder, base_.device);
        return answers_of(*model.module, model.spec, e.corpus, items, base_.device,
                          training.label + part);
      };
      if (plan.affect || weighs()) {
        Answers answers = ask(unheard, "val");
        if (plan.affect) vote.deviation = deviation_of(answers.songs, e.corpus.dataset);
        to_base(answers, e);
        if (weighs()) trained_.validation.push_back(std::move(answers));
      }
      if (kind == "boosting") {
        const Round round = boost(ask(split.train, "train").songs, e.corpus.dataset,
                                  outcome->spec.task, split.train, weights);
        plan.what = fmt::format("error {:.3f}", round.error);
        if (round.say <= 0) {
          note(fmt::format("{}no better than guessing on the weighted songs: boosting ends here",
                           training.label));
          break;
        }
        vote.weight = round.say;
      }
      add({name, vote, plan.what}, std::move(*outcome), e);
    }
    if (weighs()) weigh();
    return true;
  }

  // Whether there is a validation part beside the one that is judged.
  bool validates() const { return !split_.val.empty() && !split_.test.empty(); }

  // Whether the validation part says how much each member counts: of members that differ.
  bool weighs() const {
    return validates() && trained_.ensemble.kind == "diverse" &&
           !data::is_regression(data::parse_task(*base_.config.task));
  }

  void weigh() {
    auto& members = trained_.ensemble.members;
    const std::vector<double> weights =
        pool_weights(trained_.validation, votes(), base_.corpus.dataset, spec_.task);
    for (std::size_t m = 0; m < members.size(); ++m) members[m].vote.weight = weights[m];
    note(fmt::format("{}weights of the members, by the validation part: {:.2f}", label_,
                     fmt::join(weights, ", ")));
  }

  bool train_snapshots() {
    TrainConfig config = base_.config;
    config.ensemble.clear();
    config.cycles = member_count(base_);
    const Training training{config, split_, folder_ / "training", label_, resume_, {}};
    make_folder(training.folder);
    if (!train_one(base_, training)) return false;
    for (int k = 1; k <= config.cycles; ++k) {
      const std::string name = fmt::format("training/snapshot-{}.safetensors", k);
      LoadedModel model = load_model(folder_ / name, base_.device);
      Outcome outcome;
      outcome.spec = model.spec;
      outcome.answers = answers_of(*model.module, model.spec, base_.corpus, judged(), base_.device,
                                   fmt::format("{}snapshot {}", label_, k));
      outcome.result = judge_part(outcome.answers, model.spec, {});
      add({name, {}, fmt::format("cycle {}", k)}, std::move(outcome), base_);
    }
    return true;
  }

  void add(Ensemble::Member member, Outcome outcome, const Experiment& e) {
    to_base(outcome.answers, e);
    // The first member has the front end and the settings of the run itself.
    if (trained_.answers.empty()) spec_ = outcome.spec;
    if (member.vote.deviation)
      outcome.result = judge_part(combine({outcome.answers}, {member.vote}, spec_.task), spec_, {});
    note(fmt::format("{}{}{}: {}", label_, member.path,
                     member.what.empty() ? "" : " (" + member.what + ")",
                     headline(outcome.result)));
    trained_.worth.push_back(worth_of(outcome.result));
    trained_.answers.push_back(std::move(outcome.answers));
    trained_.ensemble.members.push_back(std::move(member));
  }

  // To the places that the songs have in the run's own data set.
  void to_base(Answers& answers, const Experiment& e) const {
    if (&e != &base_) move_answers(answers, e.corpus.dataset, base_.corpus.dataset);
  }

  std::vector<Vote> votes() const {
    std::vector<Vote> votes;
    for (const auto& member : trained_.ensemble.members) votes.push_back(member.vote);
    return votes;
  }

  std::string part() const { return split_.test.empty() ? "val" : "test"; }
  const std::vector<int>& judged() const { return split_.test.empty() ? split_.val : split_.test; }

  Evaluation judge_part(const Answers& answers, const ModelSpec& spec,
                        const std::optional<Answers>& linear) const {
    return judge(part(), answers, base_.corpus.dataset, spec,
                 fit_baseline(base_.corpus.dataset, spec.task, split_.train), linear);
  }

  Outcome judge_all() {
    const RunFolder folder(folder_);
    Outcome outcome;
    outcome.spec = spec_;
    outcome.answers = combine(trained_.answers, votes(), spec_.task);
    const LinearFloor floor = LinearFloor::fit(base_.corpus.dataset, base_.corpus.features,
                                               spec_.task, split_, spec_.grid());
    floor.save(folder.linear());
    outcome.result =
        judge_part(outcome.answers, spec_, answers_of(floor, spec_, base_.corpus, judged()));
    for (std::size_t m = 0; m < trained_.worth.size(); ++m) {
      const Ensemble::Member& member = trained_.ensemble.members[m];
      outcome.result.members.push_back({member.path, member.what, trained_.worth[m]});
    }
    make_folder(folder_);
    data::write_split(folder.split(), base_.corpus.dataset, split_);
    write_json(folder.run_json(), run_json(base_.config, base_.recipe, spec_, base_.corpus.dataset,
                                           split_, base_.device));
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
