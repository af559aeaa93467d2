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

namespace {

Predictions combine_songs(const std::vector<Answers>& members, const std::vector<double>& weights,
                          double total, bool classes) {
  Predictions result;
  const Predictions& first = members.front().songs;
  result.outputs = first.outputs;
  result.items = first.items;
  result.song_outputs.assign(first.song_outputs.size(), 0.0);
  for (std::size_t m = 0; m < members.size(); ++m) {
    const Predictions& member = members[m].songs;
    check(member.outputs == result.outputs, "ensemble: members with {} and with {} outputs",
          result.outputs, member.outputs);
    std::unordered_map<int, int> place;
    for (int i = 0; i < member.songs(); ++i) place[member.items[i]] = i;
    for (int i = 0; i < result.songs(); ++i) {
      const auto found = place.find(result.items[i]);
      check(found != place.end(), "ensemble: member {} has no answer for item {}", m + 1,
            result.items[i]);
      const double* row = member.song(found->second);
      const std::vector<double> values = classes ? softmax_row(row, result.outputs)
                                                 : std::vector<double>(row, row + result.outputs);
      for (int k = 0; k < result.outputs; ++k)
        result.song_outputs[std::size_t(i) * result.outputs + k] += weights[m] / total * values[k];
    }
  }
  if (classes)
    for (double& value : result.song_outputs) value = std::log(std::max(value, 1e-30));
  result.window_outputs = result.song_outputs;
  for (int i = 0; i < result.songs(); ++i) result.window_song.push_back(i);
  return result;
}

std::vector<Curve> combine_curves(const std::vector<Answers>& members,
                                  const std::vector<double>& weights, double total) {
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
        valence[k] += weights[m] / total * each[m]->valence[k];
        arousal[k] += weights[m] / total * each[m]->arousal[k];
      }
    curve.valence = std::move(valence);
    curve.arousal = std::move(arousal);
  }
  return result;
}

}  // namespace

Answers combine(const std::vector<Answers>& members, const std::vector<double>& weights,
                const data::Task& task) {
  check(!members.empty() && members.size() == weights.size(),
        "ensemble: {} members with {} weights", members.size(), weights.size());
  double total = 0;
  for (const double weight : weights) total += weight;
  check(total > 0, "ensemble: its weights add up to {}", total);
  Answers result;
  if (task.dynamic())
    result.curves = combine_curves(members, weights, total);
  else
    result.songs = combine_songs(members, weights, total, !task.regression());
  return result;
}

std::vector<double> mixture_weights(const std::vector<Answers>& members,
                                    const std::vector<double>& prior, const data::Dataset& dataset,
                                    const data::Task& task) {
  check(!members.empty() && members.size() == prior.size(), "ensemble: {} members with {} weights",
        members.size(), prior.size());
  check(!task.regression(), "ensemble: weights by likelihood are for classes");
  const std::size_t n = members.front().songs.items.size();
  // p[m][i]: what member m gives the class that song i of the first member has.
  std::vector<std::vector<double>> p(members.size(), std::vector<double>(n));
  for (std::size_t m = 0; m < members.size(); ++m) {
    const Predictions& answers = members[m].songs;
    std::unordered_map<int, int> place;
    for (int i = 0; i < answers.songs(); ++i) place[answers.items[i]] = i;
    for (std::size_t i = 0; i < n; ++i) {
      const int item = members.front().songs.items[i];
      const auto found = place.find(item);
      check(found != place.end(), "ensemble: member {} has no answer for item {}", m + 1, item);
      p[m][i] = std::max(1e-30, softmax_row(answers.song(found->second),
                                            answers.outputs)[task.label(dataset.items[item])]);
    }
  }
  double total = 0;
  for (const double weight : prior) total += weight;
  constexpr double prior_songs = 20;
  constexpr int steps = 500;
  std::vector<double> weights;
  for (const double weight : prior) weights.push_back(weight / total);
  for (int step = 0; step < steps; ++step) {
    std::vector<double> next;
    for (const double weight : prior) next.push_back(prior_songs * weight / total);
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::size_t m = 0; m < p.size(); ++m) sum += weights[m] * p[m][i];
      for (std::size_t m = 0; m < p.size(); ++m) next[m] += weights[m] * p[m][i] / sum;
    }
    for (double& weight : next) weight /= prior_songs + static_cast<double>(n);
    weights = std::move(next);
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
