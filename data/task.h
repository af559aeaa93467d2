// Tasks: from annotations to what a model predicts.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace etude::data {

enum class TaskKind { emotion9, quadrants, valence2, arousal2, va, va_dynamic, classes };
// Numbers rather than classes.
inline bool is_regression(TaskKind kind) {
  return kind == TaskKind::va || kind == TaskKind::va_dynamic;
}
// Classes that are levels of valence and arousal.
inline bool has_levels(TaskKind kind) { return !is_regression(kind) && kind != TaskKind::classes; }
// Where levels are cut, per axis: in equal parts of the scale, of the range from the smallest to
// the largest value, or of the sorted values (quantiles by linear interpolation). Two levels are
// cut at the middle of the scale, of the range, or at the median.
enum class Cuts { scale, minmax, tertiles };

// Thresholds between levels, on 0-1, per axis: a level counts the thresholds with value > t.
struct Thresholds {
  std::vector<double> valence, arousal;
};

// How probable each level of an axis is, from low to high; empty for an axis without levels.
struct LevelProbabilities {
  std::vector<double> valence, arousal;
};

struct Task {
  TaskKind kind = TaskKind::classes;
  Cuts cuts = Cuts::scale;
  std::vector<std::string> classes;  // names, in the order of the labels; empty for regression
  Thresholds thresholds;             // of emotion9, quadrants, valence2, arousal2

  bool regression() const { return is_regression(kind); }
  bool dynamic() const { return kind == TaskKind::va_dynamic; }  // both axes over time (steps.h)
  int outputs() const { return regression() ? 2 : static_cast<int>(classes.size()); }
  // The class of an item; -1 when it has no annotation, and for regression.
  int label(const Item& item) const;
  // The probability of each class where valence and arousal, on 0-1, are normal about `mean`,
  // independent, with a `deviation` above 0 on each axis. Error for a task whose classes do not
  // come from them.
  std::vector<double> probabilities(const Affect& mean, const Affect& deviation) const;
  // What probabilities of the classes, one for each, say of each axis: sums over the classes of a
  // level. Both axes empty for a task whose classes do not come from them.
  LevelProbabilities levels(const std::vector<double>& class_probabilities) const;
};

TaskKind parse_task(const std::string& text);
std::string to_string(TaskKind kind);
Cuts parse_cuts(const std::string& text);
std::string to_string(Cuts cuts);

// quadrants where the items have valence and arousal, else classes.
TaskKind default_task(const Dataset& dataset);

// `fit`: the items whose values set min-max and tertile thresholds (the training part).
Task make_task(TaskKind kind, Cuts cuts, const Dataset& dataset, const std::vector<int>& fit);

// The nine names by id: happy tense angry content neutral distressed relaxed peaceful sad.
const std::array<std::string, 9>& emotion_names();
// happy, angry, sad, relaxed: Q1 (v+ a+), Q2 (v- a+), Q3 (v- a-), Q4 (v+ a-), as Russell's
// circumplex is usually quartered. The ids are 0-3 in this order.
const std::array<std::string, 4>& quadrant_names();

}  // namespace etude::data
