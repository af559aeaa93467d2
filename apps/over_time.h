// Emotion over time: a model's answers every half second (data/steps.h), and what they are worth.
#pragma once

#include "apps/evaluate.h"

namespace etude::apps {

// Answers of one song for every step from its beginning to its end, on 0-1.
struct Curve {
  int item = 0;
  std::vector<double> valence, arousal;
};

// What a model says of a part: one of the two, by the task.
struct Answers {
  Predictions songs;
  std::vector<Curve> curves;  // of va-dynamic
};

// Runs the model over the loader's windows; where they overlap, their answers are averaged.
std::vector<Curve> run_over_time(Module& model, data::Loader& loader,
                                 const std::string& label = {});

// The annotated steps of one song beside the answers. Steps that the song's audio does not have are
// left out.
struct AnnotatedCurve {
  std::vector<double> seconds, valence, arousal, predicted_valence, predicted_arousal;  // 0-1
};
AnnotatedCurve beside_annotation(const data::DynamicAnnotation& annotation, const Curve& curve);

// Mean over songs of the squared error, both axes, on 0-1; with "ccc" 1 - the mean of both axes'
// CCC over all steps.
double loss_over_time(const std::string& loss, const std::vector<Curve>& curves,
                      const data::Dataset& dataset);

// Each axis over all annotated steps, and per song and then averaged (as in the MediaEval
// benchmark: Aljanaki, Yang, Soleymani, 2017). `scale`: of the annotations over time.
Evaluation evaluate_over_time(const std::string& split, const std::vector<Curve>& curves,
                              const data::Dataset& dataset, const data::Scale& scale,
                              const Baseline& baseline,
                              const std::optional<std::vector<Curve>>& linear);

}  // namespace etude::apps
