#include "apps/answers.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace etude::apps {

Answers answers_of(Module& model, const ModelSpec& spec, const Corpus& corpus,
                   const std::vector<int>& items, Device device, const std::string& label) {
  data::Loader loader(corpus.dataset, corpus.features, spec.statistics, spec.task, items,
                      evaluation_loader(spec, device));
  Answers answers;
  if (spec.task.dynamic())
    answers.curves = run_over_time(model, loader, label);
  else
    answers.songs = run_model(model, loader, label);
  return answers;
}

Answers answers_of(const LinearFloor& floor, const ModelSpec& spec, const Corpus& corpus,
                   const std::vector<int>& items) {
  Answers answers;
  if (spec.task.dynamic())
    answers.curves = floor.predict_over_time(corpus.features, items, spec.grid());
  else
    answers.songs = floor.predict(corpus.features, items);
  return answers;
}

void move_answers(Answers& answers, const data::Dataset& from, const data::Dataset& to) {
  std::unordered_map<std::string, int> index;
  for (std::size_t i = 0; i < to.items.size(); ++i) index[to.items[i].id] = static_cast<int>(i);
  const auto moved = [&](int item) {
    const auto found = index.find(from.items[item].id);
    check(found != index.end(), "ensemble: {} is not known to all members", from.items[item].id);
    return found->second;
  };
  for (int& item : answers.songs.items) item = moved(item);
  for (Curve& curve : answers.curves) curve.item = moved(curve.item);
}

data::Affect deviation_of(const Predictions& answers, const data::Dataset& dataset) {
  check(answers.songs() > 0, "ensemble: no songs to measure a member's error on");
  data::Affect squares;
  for (int i = 0; i < answers.songs(); ++i) {
    const data::Affect& truth = *dataset.items[answers.items[i]].affect;
    squares.valence += std::pow(answers.song(i)[0] - truth.valence, 2) / answers.songs();
    squares.arousal += std::pow(answers.song(i)[1] - truth.arousal, 2) / answers.songs();
  }
  return {std::sqrt(squares.valence), std::sqrt(squares.arousal)};
}

namespace {

// A member's answers by item.
class Speaker {
 public:
  Speaker(std::size_t member, const Predictions& answers, const Vote& vote, const data::Task& task)
      : number_(member + 1), answers_(answers), vote_(vote), task_(task) {
    const int outputs = vote.deviation ? 2 : task.outputs();
    check(answers.outputs == outputs, "ensemble: member {} has {} outputs, not {}", number_,
          answers.outputs, outputs);
    for (int i = 0; i < answers.songs(); ++i) place_[answers.items[i]] = i;
  }

  // What it says of an item in the ensemble's terms: logarithms of the classes' probabilities, or
  // numbers.
  std::vector<double> about(int item) const {
    const auto found = place_.find(item);
    check(found != place_.end(), "ensemble: member {} has no answer for item {}", number_, item);
    const double* row = answers_.song(found->second);
    if (task_.regression()) return {row, row + answers_.outputs};
    std::vector<double> values = vote_.deviation
                                     ? task_.probabilities({row[0], row[1]}, *vote_.deviation)
                                     : softmax_row(row, answers_.outputs);
    for (double& value : values) value = std::log(std::max(value, 1e-30));
    return values;
  }

 private:
  std::size_t number_;
  const Predictions& answers_;
  const Vote& vote_;
  const data::Task& task_;
  std::unordered_map<int, int> place_;
};

// Logarithms up to a constant become those of probabilities.
void normalise(double* row, int classes) {
  const double most = row[argmax(row, classes)];
  double sum = 0;
  for (int k = 0; k < classes; ++k) sum += std::exp(row[k] - most);
  for (int k = 0; k < classes; ++k) row[k] -= most + std::log(sum);
}

Predictions combine_songs(const std::vector<Answers>& members, const std::vector<Vote>& votes,
                          double total, const data::Task& task) {
  Predictions result;
  result.outputs = task.outputs();
  result.items = members.front().songs.items;
  result.song_outputs.assign(result.items.size() * result.outputs, 0.0);
  for (std::size_t m = 0; m < members.size(); ++m) {
    const Speaker speaker(m, members[m].songs, votes[m], task);
    for (int i = 0; i < result.songs(); ++i) {
      const std::vector<double> values = speaker.about(result.items[i]);
      for (int k = 0; k < result.outputs; ++k)
        result.song_outputs[std::size_t(i) * result.outputs + k] +=
            votes[m].weight / total * values[k];
    }
  }
  if (!task.regression())
    for (int i = 0; i < result.songs(); ++i)
      normalise(result.song_outputs.data() + std::size_t(i) * result.outputs, result.outputs);
  result.window_outputs = result.song_outputs;
  for (int i = 0; i < result.songs(); ++i) result.window_song.push_back(i);
  return result;
}

std::vector<Curve> combine_curves(const std::vector<Answers>& members,
                                  const std::vector<Vote>& votes, double total) {
  std::vector<Curve> result = members.front().curves;
  for (Curve& curve : result) {
    // Front ends may differ in their last frames: the steps that all have.
    std::size_t steps = curve.valence.size();
    std::vector<const Curve*> each;
    for (const Answers& member : members) {
      const auto found = std::find_if(member.curves.begin(), member.curves.end(),
                                      [&](const Curve& other) { return other.item == curve.item; });
      check(found != member.curves.end(), "ensemble: a member has no answer for item {}",
            curve.item);
      each.push_back(&*found);
      steps = std::min(steps, found->valence.size());
    }
    std::vector<double> valence(steps, 0.0), arousal(steps, 0.0);
    for (std::size_t m = 0; m < each.size(); ++m)
      for (std::size_t k = 0; k < steps; ++k) {
        valence[k] += votes[m].weight / total * each[m]->valence[k];
        arousal[k] += votes[m].weight / total * each[m]->arousal[k];
      }
    curve.valence = std::move(valence);
    curve.arousal = std::move(arousal);
  }
  return result;
}

}  // namespace

Answers combine(const std::vector<Answers>& members, const std::vector<Vote>& votes,
                const data::Task& task) {
  check(!members.empty() && members.size() == votes.size(), "ensemble: {} members with {} votes",
        members.size(), votes.size());
  double total = 0;
  for (const Vote& vote : votes) total += vote.weight;
  check(total > 0, "ensemble: its weights add up to {}", total);
  Answers result;
  if (task.dynamic())
    result.curves = combine_curves(members, votes, total);
  else
    result.songs = combine_songs(members, votes, total, task);
  return result;
}

namespace {

// How likely weights make the classes of songs, with a prior, and which way is up.
class PoolLikelihood {
 public:
  PoolLikelihood(const std::vector<Answers>& members, const std::vector<Vote>& votes,
                 const data::Dataset& dataset, const data::Task& task)
      : classes_(task.outputs()), says_(members.size()) {
    double total = 0;
    for (const Vote& vote : votes) total += vote.weight;
    for (const Vote& vote : votes) prior_.push_back(vote.weight / total);
    const std::vector<int>& items = members.front().songs.items;
    for (const int item : items) truth_.push_back(task.label(dataset.items[item]));
    for (std::size_t m = 0; m < members.size(); ++m) {
      const Speaker speaker(m, members[m].songs, votes[m], task);
      for (const int item : items) says_[m].push_back(speaker.about(item));
    }
  }

  const std::vector<double>& prior() const { return prior_; }
  double songs() const { return static_cast<double>(truth_.size()) + prior_songs; }

  double operator()(const std::vector<double>& weights, std::vector<double>& gradient) const {
    double value = 0;
    gradient.assign(weights.size(), 0.0);
    for (std::size_t m = 0; m < weights.size(); ++m) {
      value += prior_songs * prior_[m] * std::log(weights[m]);
      gradient[m] += prior_songs * prior_[m] / weights[m];
    }
    std::vector<double> pooled(classes_);
    for (std::size_t i = 0; i < truth_.size(); ++i) {
      std::fill(pooled.begin(), pooled.end(), 0.0);
      for (std::size_t m = 0; m < weights.size(); ++m)
        for (int k = 0; k < classes_; ++k) pooled[k] += weights[m] * says_[m][i][k];
      normalise(pooled.data(), classes_);
      value += pooled[truth_[i]];
      for (std::size_t m = 0; m < weights.size(); ++m) {
        gradient[m] += says_[m][i][truth_[i]];
        for (int k = 0; k < classes_; ++k) gradient[m] -= std::exp(pooled[k]) * says_[m][i][k];
      }
    }
    return value;
  }

 private:
  static constexpr double prior_songs = 20;
  int classes_;
  std::vector<double> prior_;
  std::vector<int> truth_;
  std::vector<std::vector<std::vector<double>>> says_;  // [member][song][class]
};

}  // namespace

std::vector<double> pool_weights(const std::vector<Answers>& members,
                                 const std::vector<Vote>& votes, const data::Dataset& dataset,
                                 const data::Task& task) {
  check(!members.empty() && members.size() == votes.size(), "ensemble: {} members with {} votes",
        members.size(), votes.size());
  check(!task.regression(), "ensemble: weights by likelihood are for classes");
  const PoolLikelihood likelihood(members, votes, dataset, task);
  std::vector<double> weights = likelihood.prior(), gradient, next, next_gradient;
  double value = likelihood(weights, gradient);
  double rate = 1 / likelihood.songs();
  for (int step = 0; step < 500 && rate > 1e-12; ++step) {
    next = weights;
    double sum = 0;
    const double most = *std::max_element(gradient.begin(), gradient.end());
    for (std::size_t m = 0; m < next.size(); ++m)
      sum += next[m] *= std::exp(rate * (gradient[m] - most));
    for (double& weight : next) weight /= sum;
    const double reached = likelihood(next, next_gradient);
    if (reached < value) {
      rate /= 2;
      continue;
    }
    rate *= 1.2;
    value = reached;
    weights = std::move(next);
    gradient = std::move(next_gradient);
  }
  return weights;
}

double worth_of(const Evaluation& e) {
  return e.regression() ? (e.valence.model.ccc + e.arousal.model.ccc) / 2 : e.song.accuracy;
}

bool same_front_end(const ModelSpec& a, const ModelSpec& b) {
  return a.mel.has_value() == b.mel.has_value() && (!a.mel || a.mel->to_map() == b.mel->to_map());
}

Evaluation judge(const std::string& part, const Answers& answers, const data::Dataset& dataset,
                 const ModelSpec& spec, const Baseline& baseline,
                 const std::optional<Answers>& linear) {
  if (spec.task.dynamic()) {
    std::optional<std::vector<Curve>> floor;
    if (linear) floor = linear->curves;
    return evaluate_over_time(part, answers.curves, dataset, spec.scale, baseline, floor);
  }
  std::optional<Predictions> floor;
  if (linear) floor = linear->songs;
  return evaluate(part, answers.songs, dataset, spec.task, spec.scale, baseline, floor);
}

}  // namespace etude::apps
