// What the members of an ensemble are: how each is trained, and on which songs.
#pragma once

#include <string>
#include <vector>

#include "apps/answers.h"
#include "apps/experiment.h"

namespace etude::apps {

struct MemberPlan {
  TrainConfig config;
  std::string what;     // for people: "128 bands"
  double weight = 1;    // before boosting or a validation part say more
  bool affect = false;  // trained on valence and arousal, for classes made of them
};

// How many members the run has: as many as asked for, or those that the kind has by default.
int member_count(const Experiment& base);
// The member of this number, from 0.
MemberPlan plan_member(const Experiment& base, int member);

// How often each song of the training part was drawn with replacement.
std::vector<double> bootstrap(std::size_t songs, std::uint64_t seed);

// Takes a fifth of the training part out of it, groups whole, balanced by quadrant: songs that a
// member can be asked about which it did not train on. Error where there is one group only.
std::vector<int> leave_out(const Experiment& experiment, data::Split& split, std::int64_t seed);

// One round of SAMME: the weighted error of a member on the training songs, its say, and the
// songs' new weights, whose mean is 1. No say for a member that is no better than guessing.
struct Round {
  double error = 0, say = 0;
};
Round boost(const Predictions& answers, const data::Dataset& dataset, const data::Task& task,
            const std::vector<int>& train, std::vector<double>& weights);

}  // namespace etude::apps
