#include "apps/evaluate.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "apps/interrupt.h"
#include "apps/progress.h"
#include "engine/autograd.h"
#include "engine/transfer.h"

namespace etude::apps {

namespace {

struct EvaluationMode {
  explicit EvaluationMode(Module& model) : module(model), was_training(model.training()) {
    module.train(false);
  }
  ~EvaluationMode() { module.train(was_training); }
  Module& module;
  bool was_training;
};

Classification classify_rows(const std::vector<double>& rows, int classes,
                             const std::vector<int>& truth) {
  std::vector<int> predicted;
  for (std::size_t i = 0; i < truth.size(); ++i)
    predicted.push_back(argmax(rows.data() + i * static_cast<std::size_t>(classes), classes));
  return classify(truth, predicted, classes);
}

// One axis of all songs: truth and prediction on the scale.
struct AxisValues {
  std::vector<double> truth, predicted;
};

AxisValues axis_values(const Predictions& p, const data::Dataset& dataset, const data::Scale& scale,
                       int axis) {
  AxisValues values;
  for (int i = 0; i < p.songs(); ++i) {
    const data::Affect& affect = *dataset.items[p.items[i]].affect;
    values.truth.push_back(scale.score(axis == 0 ? affect.valence : affect.arousal));
    values.predicted.push_back(scale.score(p.song(i)[axis]));
  }
  return values;
}

AxisEvaluation evaluate_axis(const Predictions& p, const data::Dataset& dataset,
                             const data::Scale& scale, int axis, double baseline,
                             const std::optional<Predictions>& linear) {
  const AxisValues values = axis_values(p, dataset, scale, axis);
  AxisEvaluation result;
  result.model = regress(values.truth, values.predicted);
  const std::vector<double> constant(values.truth.size(), scale.score(baseline));
  result.baseline_rmse = regress(values.truth, constant).rmse;
  if (linear) {
    const AxisValues floor = axis_values(*linear, dataset, scale, axis);
    result.linear = regress(floor.truth, floor.predicted);
  }
  return result;
}

}  // namespace

void run_batches(Module& model, data::Loader& loader, const std::string& label,
                 const std::function<void(const BatchOutputs&)>& take) {
  const NoGrad no_grad;
  const EvaluationMode mode(model);
  ProgressBar bar(label, loader.batches(), "batches");
  loader.start_epoch(0);
  data::Batch batch;
  // Of the batch before, so that the device need not be waited for.
  Download outputs;
  BatchOutputs last;
  const auto hand_over = [&] {
    if (last.items.empty()) return;
    last.values = outputs.get<float>();
    for (std::size_t i = 0; i < last.values.size(); ++i)
      check(std::isfinite(last.values[i]),
            "the model's output for item {} is {}: its weights are damaged, "
            "or its input is not finite",
            last.items[i / last.outputs], last.values[i]);
    take(last);
  };
  for (long done = 0; loader.next(batch);) {
    check_interrupted();
    const Tensor y = model(batch.x);
    Download coming(y);
    hand_over();
    outputs = std::move(coming);
    last.items = batch.items;
    last.starts = batch.starts;
    last.outputs = static_cast<int>(y.dim(1));
    if (!label.empty()) bar.update(++done);
  }
  hand_over();
}

Predictions run_model(Module& model, data::Loader& loader, const std::string& label) {
  Predictions result;
  std::unordered_map<int, int> song_of;  // item -> index into result.items
  std::vector<int> windows_of;
  run_batches(model, loader, label, [&](const BatchOutputs& batch) {
    result.outputs = batch.outputs;
    for (std::size_t row = 0; row < batch.items.size(); ++row) {
      const auto [at, is_new] = song_of.try_emplace(batch.items[row], result.songs());
      if (is_new) {
        result.items.push_back(batch.items[row]);
        result.song_outputs.resize(result.song_outputs.size() + result.outputs, 0.0);
        windows_of.push_back(0);
      }
      const int song = at->second;
      ++windows_of[song];
      result.window_song.push_back(song);
      for (int k = 0; k < result.outputs; ++k) {
        const double value = batch.values[row * result.outputs + k];
        result.window_outputs.push_back(value);
        result.song_outputs[std::size_t(song) * result.outputs + k] += value;
      }
    }
  });
  for (int song = 0; song < result.songs(); ++song)
    for (int k = 0; k < result.outputs; ++k)
      result.song_outputs[std::size_t(song) * result.outputs + k] /= windows_of[song];
  return result;
}

double mean_loss(const Predictions& p, const data::Dataset& dataset, const data::Task& task,
                 const std::string& loss) {
  double total = 0;
  if (task.regression() && loss == "ccc") {
    for (int axis = 0; axis < 2; ++axis) {
      const AxisValues values = axis_values(p, dataset, {}, axis);
      total += (1 - regress(values.truth, values.predicted).ccc) / 2;
    }
    return total;
  }
  for (int i = 0; i < p.songs(); ++i) {
    const data::Item& item = dataset.items[p.items[i]];
    if (task.regression()) {
      const double v = p.song(i)[0] - item.affect->valence, a = p.song(i)[1] - item.affect->arousal;
      total += (v * v + a * a) / 2;
    } else {
      total += cross_entropy_row(p.song(i), p.outputs, task.label(item));
    }
  }
  return p.songs() > 0 ? total / p.songs() : 0;
}

double mean_accuracy(const Predictions& p, const data::Dataset& dataset, const data::Task& task) {
  if (task.regression() || p.songs() == 0) return 0;
  int correct = 0;
  for (int i = 0; i < p.songs(); ++i)
    correct += argmax(p.song(i), p.outputs) == task.label(dataset.items[p.items[i]]);
  return static_cast<double>(correct) / p.songs();
}

Baseline fit_baseline(const data::Dataset& dataset, const data::Task& task,
                      const std::vector<int>& train) {
  Baseline result;
  if (task.dynamic()) {
    double n = 0, valence = 0, arousal = 0;
    for (int i : train) {
      const data::DynamicAnnotation& curve = dataset.items[i].dynamic;
      n += static_cast<double>(curve.seconds.size());
      for (const double v : curve.valence) valence += v;
      for (const double a : curve.arousal) arousal += a;
    }
    if (n > 0) result.valence = valence / n, result.arousal = arousal / n;
  } else if (task.regression()) {
    result.valence = result.arousal = 0;
    for (int i : train) {
      result.valence += dataset.items[i].affect->valence / static_cast<double>(train.size());
      result.arousal += dataset.items[i].affect->arousal / static_cast<double>(train.size());
    }
  } else {
    std::vector<int> labels;
    for (int i : train) labels.push_back(task.label(dataset.items[i]));
    result.majority = majority_class(labels, task.outputs());
  }
  return result;
}

Evaluation evaluate(const std::string& split, const Predictions& p, const data::Dataset& dataset,
                    const data::Task& task, const data::Scale& scale, const Baseline& baseline,
                    const std::optional<Predictions>& linear) {
  check(p.songs() > 0, "eval: the {} part is empty", split);
  Evaluation result;
  result.split = split;
  result.kind = dataset.kind;
  result.scale = scale;
  result.songs = p.songs();
  result.windows = p.windows();
  result.loss = mean_loss(p, dataset, task);
  if (task.regression()) {
    result.valence = evaluate_axis(p, dataset, scale, 0, baseline.valence, linear);
    result.arousal = evaluate_axis(p, dataset, scale, 1, baseline.arousal, linear);
  } else {
    result.classes = task.classes;
    result.cuts = task.cuts;
    for (const double t : task.thresholds.valence)
      result.thresholds.valence.push_back(scale.score(t));
    for (const double t : task.thresholds.arousal)
      result.thresholds.arousal.push_back(scale.score(t));
    std::vector<int> truth, window_truth;
    for (int item : p.items) truth.push_back(task.label(dataset.items[item]));
    for (int song : p.window_song) window_truth.push_back(truth[song]);
    result.song = classify_rows(p.song_outputs, p.outputs, truth);
    result.window = classify_rows(p.window_outputs, p.outputs, window_truth);
    result.majority = share(truth, baseline.majority);
    if (baseline.majority >= 0) result.majority_class = task.classes[baseline.majority];
    if (linear) {
      std::vector<int> floor_truth;
      for (int item : linear->items) floor_truth.push_back(task.label(dataset.items[item]));
      result.linear = classify_rows(linear->song_outputs, linear->outputs, floor_truth);
    }
  }
  for (int i = 0; i < p.songs(); ++i) {
    const data::Item& item = dataset.items[p.items[i]];
    Evaluation::Song song;
    song.id = item.id;
    if (task.regression()) {
      song.true_affect = {scale.score(item.affect->valence), scale.score(item.affect->arousal)};
      song.predicted_affect = {scale.score(p.song(i)[0]), scale.score(p.song(i)[1])};
    } else {
      song.truth = task.label(item);
      song.predicted = argmax(p.song(i), p.outputs);
      song.probabilities = softmax_row(p.song(i), p.outputs);
      song.annotated = item.affect.has_value();
      if (song.annotated)
        song.true_affect = {scale.score(item.affect->valence), scale.score(item.affect->arousal)};
    }
    result.list.push_back(std::move(song));
  }
  return result;
}

}  // namespace etude::apps
