// What a model, or several as one, says of a part of a data set.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/experiment.h"
#include "apps/over_time.h"

namespace etude::apps {

Answers answers_of(Module& model, const ModelSpec& spec, const Corpus& corpus,
                   const std::vector<int>& items, Device device, const std::string& label = {});
Answers answers_of(const LinearFloor& floor, const ModelSpec& spec, const Corpus& corpus,
                   const std::vector<int>& items);

// The same items under their indices in another data set; they are found by id. Error for one that
// is not there.
void move_answers(Answers& answers, const data::Dataset& from, const data::Dataset& to);

// How a member of an ensemble speaks in it.
struct Vote {
  double weight = 1;
  // Of a member that answers valence and arousal where the ensemble answers classes made of them:
  // how far it errs on each axis, on 0-1 (deviation_of). Task::probabilities does the rest.
  std::optional<data::Affect> deviation;
};

// Root mean square, for each axis, of what lies between answers to the task `va` and the
// annotations. On songs the model did not train on; on others it is too small. Error for no songs.
data::Affect deviation_of(const Predictions& answers, const data::Dataset& dataset);

// One answer of several models, or what one member says, for the items of the first. For classes
// the logarithmic opinion pool: probabilities in proportion to the weighted geometric mean of the
// members' (Genest, Zidek, Statistical Science 1, 1986), as a model's own windows are averaged; for
// numbers the weighted mean. Windows are left out: members may cut songs differently. Error where a
// member lacks an item.
Answers combine(const std::vector<Answers>& members, const std::vector<Vote>& votes,
                const data::Task& task);

// Weights, adding up to 1, under which the pool of classes above is likeliest on songs that none of
// the members trained on, where those of the `votes` (of any sum) say as much as twenty songs: the
// mode under a Dirichlet prior, of a concave function, by at most 500 steps of exponentiated
// gradient (Kivinen, Warmuth, Information and Computation 132, 1997), each of which must climb.
// Error where a member lacks an item.
std::vector<double> pool_weights(const std::vector<Answers>& members,
                                 const std::vector<Vote>& votes, const data::Dataset& dataset,
                                 const data::Task& task);

// One number by which members compare: accuracy, or the mean CCC of both axes.
double worth_of(const Evaluation& evaluation);

// Whether both take the same spectrograms.
bool same_front_end(const ModelSpec& a, const ModelSpec& b);

Evaluation judge(const std::string& part, const Answers& answers, const data::Dataset& dataset,
                 const ModelSpec& spec, const Baseline& baseline,
                 const std::optional<Answers>& linear);

}  // namespace etude::apps
