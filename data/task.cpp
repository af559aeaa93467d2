#include "data/task.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace etude::data {
namespace {

constexpr std::pair<const char*, TaskKind> kTasks[] = {{"emotion9", TaskKind::emotion9},
                                                       {"quadrants", TaskKind::quadrants},
                                                       {"valence2", TaskKind::valence2},
                                                       {"arousal2", TaskKind::arousal2},
                                                       {"va", TaskKind::va},
                                                       {"va-dynamic", TaskKind::va_dynamic},
                                                       {"classes", TaskKind::classes}};
constexpr std::pair<const char*, Cuts> kCuts[] = {
    {"scale", Cuts::scale}, {"minmax", Cuts::minmax}, {"tertiles", Cuts::tertiles}};

template <class Names, class Value>
std::string name_of(const Names& names, Value value) {
  for (const auto& [name, each] : names)
    if (each == value) return name;
  return "?";
}

template <class Names>
auto parse(const char* what, const Names& names, const std::string& text) {
  std::vector<std::string> choices;
  for (const auto& [name, value] : names) {
    if (text == name) return value;
    choices.push_back(name);
  }
  fail("{}: \"{}\" is unknown; expected one of {}", what, text, fmt::join(choices, ", "));
}

int level(double value, const std::vector<double>& thresholds) {
  int count = 0;
  for (const double threshold : thresholds) count += value > threshold;
  return count;
}

// The class of a level of each axis.
int class_of(TaskKind kind, int valence, int arousal) {
  switch (kind) {
    case TaskKind::emotion9:
      // By arousal from high to low, and within it by valence from high to low.
      return 3 * (2 - arousal) + (2 - valence);
    case TaskKind::quadrants:
      return arousal ? (valence ? 0 : 1) : (valence ? 3 : 2);
    case TaskKind::valence2:
      return valence;
    case TaskKind::arousal2:
      return arousal;
    default:
      return -1;
  }
}

// How much of a normal distribution lies in each level; without thresholds all of it in the one.
std::vector<double> level_shares(double mean, double deviation,
                                 const std::vector<double>& thresholds) {
  check(deviation > 0, "task: a deviation of {}; expected one above 0", deviation);
  // 1 - Phi(x) = erfc(x / sqrt(2)) / 2, exact in both tails.
  const auto above = [&](double x) {
    return std::erfc((x - mean) / (deviation * std::sqrt(2.0))) / 2;
  };
  std::vector<double> shares;
  double left = 1;
  for (const double threshold : thresholds) {
    const double rest = above(threshold);
    shares.push_back(left - rest);
    left = rest;
  }
  shares.push_back(left);
  return shares;
}

// The q-quantile of sorted values: linear interpolation between the two nearest ranks,
// h = (n - 1) q.
double quantile(const std::vector<double>& sorted, double q) {
  const double h = static_cast<double>(sorted.size() - 1) * q;
  const auto low = static_cast<std::size_t>(h);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (h - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

// levels - 1 thresholds between levels of equal width or equal count.
std::vector<double> fit(Cuts cuts, int levels, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  std::vector<double> thresholds;
  for (int i = 1; i < levels; ++i) {
    const double part = static_cast<double>(i) / levels;
    if (cuts == Cuts::scale) thresholds.push_back(part);
    if (cuts == Cuts::minmax)
      // Multiplied before it is divided: scores are round numbers, and so are many thresholds; this
      // order keeps the ties that exact arithmetic has.
      thresholds.push_back(values.front() + (values.back() - values.front()) * i / levels);
    if (cuts == Cuts::tertiles) thresholds.push_back(quantile(values, part));
  }
  return thresholds;
}

}  // namespace

int Task::label(const Item& item) const {
  if (kind == TaskKind::classes) return item.label;
  if (!item.affect || regression()) return -1;
  return class_of(kind, level(item.affect->valence, thresholds.valence),
                  level(item.affect->arousal, thresholds.arousal));
}

std::vector<double> Task::probabilities(const Affect& mean, const Affect& deviation) const {
  check(has_levels(kind), "task: the classes of {} do not come from valence and arousal",
        to_string(kind));
  const auto valence = level_shares(mean.valence, deviation.valence, thresholds.valence);
  const auto arousal = level_shares(mean.arousal, deviation.arousal, thresholds.arousal);
  std::vector<double> result(classes.size(), 0.0);
  for (std::size_t v = 0; v < valence.size(); ++v)
    for (std::size_t a = 0; a < arousal.size(); ++a)
      result.at(class_of(kind, static_cast<int>(v), static_cast<int>(a))) +=
          valence[v] * arousal[a];
  return result;
}

LevelProbabilities Task::levels(const std::vector<double>& class_probabilities) const {
  LevelProbabilities result;
  if (!has_levels(kind)) return result;
  const std::size_t valence = thresholds.valence.size() + 1;
  const std::size_t arousal = thresholds.arousal.size() + 1;
  std::vector<double> of_valence(valence, 0.0), of_arousal(arousal, 0.0);
  for (std::size_t v = 0; v < valence; ++v)
    for (std::size_t a = 0; a < arousal; ++a) {
      const double p =
          class_probabilities.at(class_of(kind, static_cast<int>(v), static_cast<int>(a)));
      of_valence[v] += p;
      of_arousal[a] += p;
    }
  if (valence > 1) result.valence = std::move(of_valence);
  if (arousal > 1) result.arousal = std::move(of_arousal);
  return result;
}

TaskKind parse_task(const std::string& text) { return parse("task", kTasks, text); }
std::string to_string(TaskKind kind) { return name_of(kTasks, kind); }
Cuts parse_cuts(const std::string& text) { return parse("cuts", kCuts, text); }
std::string to_string(Cuts cuts) { return name_of(kCuts, cuts); }

TaskKind default_task(const Dataset& dataset) {
  return dataset.has_affect() ? TaskKind::quadrants : TaskKind::classes;
}

Task make_task(TaskKind kind, Cuts cuts, const Dataset& dataset,
               const std::vector<int>& fit_items) {
  Task task;
  task.kind = kind;
  task.cuts = cuts;
  if (kind == TaskKind::classes) {
    check(!dataset.classes.empty(),
          "task: {} has no classes of its own; expected --task emotion9, quadrants, valence2, "
          "arousal2, va or va-dynamic",
          dataset.kind);
    task.classes = dataset.classes;
    return task;
  }
  check(dataset.has_affect(),
        "task: {} needs valence and arousal, which {} does not have; expected --task classes",
        to_string(kind), dataset.kind);
  switch (kind) {
    case TaskKind::emotion9:
      task.classes.assign(emotion_names().begin(), emotion_names().end());
      break;
    case TaskKind::quadrants:
      task.classes.assign(quadrant_names().begin(), quadrant_names().end());
      break;
    case TaskKind::valence2:
      task.classes = {"negative", "positive"};
      break;
    case TaskKind::arousal2:
      task.classes = {"calm", "energetic"};
      break;
    default:
      return task;
  }

  std::vector<double> valence, arousal;
  for (const int i : fit_items) {
    const Item& item = dataset.items.at(i);
    if (!item.affect) continue;
    valence.push_back(item.affect->valence);
    arousal.push_back(item.affect->arousal);
  }
  check(cuts == Cuts::scale || !valence.empty(),
        "task: cuts {} need annotated training items, and there are none", to_string(cuts));
  const int levels = kind == TaskKind::emotion9 ? 3 : 2;
  if (kind != TaskKind::arousal2) task.thresholds.valence = fit(cuts, levels, std::move(valence));
  if (kind != TaskKind::valence2) task.thresholds.arousal = fit(cuts, levels, std::move(arousal));
  return task;
}

const std::array<std::string, 9>& emotion_names() {
  static const std::array<std::string, 9> names = {
      "happy", "tense", "angry", "content", "neutral", "distressed", "relaxed", "peaceful", "sad"};
  return names;
}

const std::array<std::string, 4>& quadrant_names() {
  static const std::array<std::string, 4> names = {"happy", "angry", "sad", "relaxed"};
  return names;
}

}  // namespace etude::data
