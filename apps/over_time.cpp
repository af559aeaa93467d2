#include "apps/over_time.h"

#include <unordered_map>

#include "data/steps.h"

namespace etude::apps {

namespace {

// One axis of all songs: annotated and predicted, song by song, on the scale.
struct AxisSongs {
  std::vector<std::vector<double>> truth, predicted;
};

AxisSongs axis_songs(const std::vector<Curve>& curves, const data::Dataset& dataset,
                     const data::Scale& scale, bool valence) {
  AxisSongs songs;
  for (const Curve& curve : curves) {
    const AnnotatedCurve c = beside_annotation(dataset.items[curve.item].dynamic, curve);
    std::vector<double> truth, predicted;
    for (const double v : valence ? c.valence : c.arousal) truth.push_back(scale.score(v));
    for (const double v : valence ? c.predicted_valence : c.predicted_arousal)
      predicted.push_back(scale.score(v));
    if (truth.empty()) continue;
    songs.truth.push_back(std::move(truth));
    songs.predicted.push_back(std::move(predicted));
  }
  return songs;
}

std::vector<double> joined(const std::vector<std::vector<double>>& lists) {
  std::vector<double> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

// Measures of each song, then their mean.
PerSong per_song(const AxisSongs& songs) {
  PerSong result;
  const auto n = static_cast<double>(songs.truth.size());
  for (std::size_t i = 0; i < songs.truth.size(); ++i) {
    const Regression one = regress(songs.truth[i], songs.predicted[i]);
    result.rmse += one.rmse / n;
    result.pearson += one.pearson / n;
    result.ccc += one.ccc / n;
  }
  return result;
}

AxisEvaluation evaluate_axis(const std::vector<Curve>& curves, const data::Dataset& dataset,
                             const data::Scale& scale, bool valence, double baseline,
                             const std::optional<std::vector<Curve>>& linear) {
  AxisSongs songs = axis_songs(curves, dataset, scale, valence);
  check(!songs.truth.empty(), "eval: no annotation over time lies within the songs' audio");
  AxisEvaluation result;
  result.model = regress(joined(songs.truth), joined(songs.predicted));
  result.per_song = per_song(songs);
  if (linear) {
    const AxisSongs floor = axis_songs(*linear, dataset, scale, valence);
    result.linear = regress(joined(floor.truth), joined(floor.predicted));
    result.linear_per_song = per_song(floor);
  }
  for (auto& song : songs.predicted) song.assign(song.size(), scale.score(baseline));
  result.baseline_rmse = regress(joined(songs.truth), joined(songs.predicted)).rmse;
  result.baseline_per_song_rmse = per_song(songs).rmse;
  return result;
}

}  // namespace

std::vector<Curve> run_over_time(Module& model, data::Loader& loader, const std::string& label) {
  std::vector<Curve> curves;
  std::vector<std::vector<int>> windows;  // that answered each step
  std::unordered_map<int, std::size_t> index;
  run_batches(model, loader, label, [&](const BatchOutputs& batch) {
    const int steps = batch.outputs / 2;
    for (std::size_t row = 0; row < batch.items.size(); ++row) {
      const int item = batch.items[row], song_steps = loader.song_steps(item);
      const auto [at, is_new] = index.try_emplace(item, curves.size());
      if (is_new) {
        curves.push_back(
            {item, std::vector<double>(song_steps, 0.0), std::vector<double>(song_steps, 0.0)});
        windows.emplace_back(song_steps, 0);
      }
      Curve& curve = curves[at->second];
      for (int k = 0; k < steps; ++k) {
        const int step = batch.starts[row] + k;
        if (step >= song_steps) break;
        const float* answer = batch.values.data() + row * batch.outputs + 2 * k;
        curve.valence[step] += answer[0];
        curve.arousal[step] += answer[1];
        ++windows[at->second][step];
      }
    }
  });
  for (std::size_t i = 0; i < curves.size(); ++i) {
    for (std::size_t step = 0; step < windows[i].size(); ++step) {
      curves[i].valence[step] /= windows[i][step];
      curves[i].arousal[step] /= windows[i][step];
    }
  }
  return curves;
}

AnnotatedCurve beside_annotation(const data::DynamicAnnotation& annotation, const Curve& curve) {
  AnnotatedCurve result;
  for (std::size_t i = 0; i < annotation.seconds.size(); ++i) {
    const int step = data::step_at(annotation.seconds[i]);
    if (step < 0 || step >= static_cast<int>(curve.valence.size())) continue;
    result.seconds.push_back(annotation.seconds[i]);
    result.valence.push_back(annotation.valence[i]);
    result.arousal.push_back(annotation.arousal[i]);
    result.predicted_valence.push_back(curve.valence[step]);
    result.predicted_arousal.push_back(curve.arousal[step]);
  }
  return result;
}

double loss_over_time(const std::string& loss, const std::vector<Curve>& curves,
                      const data::Dataset& dataset) {
  double total = 0;
  for (const bool valence : {true, false}) {
    const AxisSongs songs = axis_songs(curves, dataset, {}, valence);
    if (songs.truth.empty()) return 0;
    if (loss == "ccc") {
      total += (1 - regress(joined(songs.truth), joined(songs.predicted)).ccc) / 2;
      continue;
    }
    for (std::size_t i = 0; i < songs.truth.size(); ++i)
      total += std::pow(regress(songs.truth[i], songs.predicted[i]).rmse, 2) /
               (2 * static_cast<double>(songs.truth.size()));
  }
  return total;
}

Evaluation evaluate_over_time(const std::string& split, const std::vector<Curve>& curves,
                              const data::Dataset& dataset, const data::Scale& scale,
                              const Baseline& baseline,
                              const std::optional<std::vector<Curve>>& linear) {
  check(!curves.empty(), "eval: the {} part is empty", split);
  Evaluation result;
  result.split = split;
  result.kind = dataset.kind;
  result.scale = scale;
  result.over_time = true;
  result.loss = loss_over_time("mse", curves, dataset);
  result.valence = evaluate_axis(curves, dataset, scale, true, baseline.valence, linear);
  result.arousal = evaluate_axis(curves, dataset, scale, false, baseline.arousal, linear);
  for (const Curve& curve : curves) {
    const AnnotatedCurve c = beside_annotation(dataset.items[curve.item].dynamic, curve);
    if (c.seconds.empty()) continue;
    Evaluation::Song song;
    song.id = dataset.items[curve.item].id;
    for (std::size_t i = 0; i < c.seconds.size(); ++i)
      song.curve.push_back(
          {c.seconds[i],
           {scale.score(c.valence[i]), scale.score(c.arousal[i])},
           {scale.score(c.predicted_valence[i]), scale.score(c.predicted_arousal[i])}});
    const auto n = static_cast<double>(song.curve.size());
    for (const auto& step : song.curve) {
      song.true_affect.valence += step.truth.valence / n;
      song.true_affect.arousal += step.truth.arousal / n;
      song.predicted_affect.valence += step.predicted.valence / n;
      song.predicted_affect.arousal += step.predicted.arousal / n;
    }
    result.steps += static_cast<int>(song.curve.size());
    result.list.push_back(std::move(song));
  }
  result.songs = static_cast<int>(result.list.size());
  result.windows = result.songs;
  return result;
}

}  // namespace etude::apps
