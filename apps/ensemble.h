// Ensembles: several models that answer as one.
//
//   bagging   each member trains on songs drawn with replacement
//             (Breiman, Machine Learning 24, 1996)
//   boosting  each member minds the songs that those before it got wrong: SAMME, AdaBoost for any
//             number of classes (Zhu, Zou, Rosset, Hastie, Statistics and Its Interface 2, 2009);
//             songs are drawn anew each epoch in proportion to their weights
//   snapshot  one training whose learning rate rises and falls several times; the weights at the
//             end of each cycle are a member (Huang et al., ICLR 2017)
//   diverse   members with other front ends and lengths, and other seeds, and a linear model on
//             statistics of long crops (models/linear.h); for classes made of valence and arousal
//             each front end twice: once trained on the classes and once on valence and arousal,
//             whose answers become probabilities (answers.h)
//
// The run folder holds ensemble.json, which names the members (run folders or checkpoints, relative
// to it) and their votes. For classes, the logarithms of probabilities are averaged; for valence
// and arousal, the answers. Members count alike, but for boosting's say, and `diverse`: there the
// linear model counts half, and for classes with a validation part beside the test part the weights
// are those that make that part's classes likeliest (answers.h).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "apps/answers.h"
#include "apps/experiment.h"

namespace etude::apps {

struct Ensemble {
  struct Member {
    std::string path;
    Vote vote;
    std::string what;  // "128 bands", "error 0.21"
  };
  std::string kind;
  std::vector<Member> members;
};

bool holds_ensemble(const std::filesystem::path& folder);
// Error for a file that is none, or has no members.
Ensemble read_ensemble(const std::filesystem::path& folder);
void write_ensemble(const std::filesystem::path& folder, const Ensemble& ensemble);

struct MemberModel {
  LoadedModel model;
  Ensemble::Member member;
};
// One for a run folder or checkpoint, all members for an ensemble, whose first has the ensemble's
// own task. Error where another answers neither that nor what its vote makes of it.
std::vector<MemberModel> load_models(const std::filesystem::path& path, Device device);

// The data under the front ends that the members of `diverse` ask for, each made once.
class Experiments {
 public:
  explicit Experiments(const Experiment& base) : base_(base) {}
  const Experiment& base() const { return base_; }
  // With `config`, whose front end and nothing else may differ from the base's.
  const Experiment& with(const TrainConfig& config);

 private:
  const Experiment& base_;
  std::map<std::string, Experiment> others_;  // by their --mel overrides
};

// UsageError for an ensemble that the task, the data or the recipe cannot have.
void check_ensemble(const Experiment& experiment);

// Trains what the configuration says, one model or an ensemble, and judges it (experiment.h).
std::optional<Outcome> train_run(Experiments& experiments, const data::Split& split,
                                 const std::filesystem::path& folder, const std::string& label,
                                 const std::filesystem::path& resume);

}  // namespace etude::apps
