// Evaluation as JSON, as text and as CSV.
#include <fmt/format.h>

#include "apps/evaluate.h"
#include "data/csv.h"

namespace etude::apps {

namespace {

using Axis = std::pair<const char*, const AxisEvaluation*>;

std::vector<Axis> axes(const Evaluation& e) {
  return {{"valence", &e.valence}, {"arousal", &e.arousal}};
}

template <class Value>
Json per_axis(const Evaluation& e, Value value) {
  Json json;
  for (const auto& [name, axis] : axes(e)) json[name] = number(value(*axis));
  return json;
}

// "6 songs, 72 windows"; "30 images".
std::string what_was_judged(const Evaluation& e) {
  std::string text = data::counted_items(e.kind, e.songs);
  if (e.windows != e.songs) text += fmt::format(", {} windows", e.windows);
  return text;
}

const char* linear_inputs(const Evaluation& e) {
  return e.kind == "idx" ? "pixel rows" : "mel bands";
}

std::string scale_name(const data::Scale& scale) {
  return fmt::format("{:g}-{:g}", scale.low, scale.high);
}

}  // namespace

Json to_json(const Evaluation& e, bool with_list) {
  Json json;
  json["split"] = e.split;
  json["n"] = e.songs;
  json["items"] = data::counted_items(e.kind, e.songs);
  json["windows"] = e.windows;
  json["loss"] = number(e.loss);
  if (e.regression()) {
    json["scale"] = {e.scale.low, e.scale.high};
    json["r2"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.r2; });
    json["rmse"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.rmse; });
    json["pearson"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.pearson; });
    json["ccc"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.ccc; });
    json["mean_predictor"] = {
        {"rmse", per_axis(e, [](const AxisEvaluation& a) { return a.baseline_rmse; })}};
    if (e.valence.linear) {
      json["linear"] = {
          {"r2", per_axis(e, [](const AxisEvaluation& a) { return a.linear->r2; })},
          {"rmse", per_axis(e, [](const AxisEvaluation& a) { return a.linear->rmse; })}};
    }
  } else {
    json["accuracy"] = number(e.song.accuracy);
    json["accuracy_interval"] = {e.song.accuracy_low, e.song.accuracy_high};
    json["majority"] = number(e.majority);
    json["majority_class"] = e.majority_class;
    json["linear"] = e.linear ? number(e.linear->accuracy) : Json();
    json["macro_f1"] = number(e.song.macro_f1);
    json["linear_macro_f1"] = e.linear ? number(e.linear->macro_f1) : Json();
    json["window_accuracy"] = number(e.window.accuracy);
    json["window_macro_f1"] = number(e.window.macro_f1);
    json["classes"] = e.classes;
    json["per_class"] = Json::array();
    for (std::size_t c = 0; c < e.classes.size(); ++c) {
      const ClassMetrics& m = e.song.classes[c];
      json["per_class"].push_back({{"class", e.classes[c]},
                                   {"precision", number(m.precision)},
                                   {"recall", number(m.recall)},
                                   {"f1", number(m.f1)},
                                   {"support", m.support}});
    }
    json["confusion"] = e.song.confusion;
  }
  if (!with_list) return json;
  json["list"] = Json::array();
  for (const auto& song : e.list) {
    if (e.regression())
      json["list"].push_back({song.id, song.true_affect.valence, song.true_affect.arousal,
                              song.predicted_affect.valence, song.predicted_affect.arousal});
    else
      json["list"].push_back({song.id, song.truth, song.predicted});
  }
  return json;
}

std::string headline(const Evaluation& e) {
  const std::string what = what_was_judged(e);
  if (e.regression()) {
    std::string text = e.split + ":";
    for (const auto& [name, axis] : axes(e)) {
      text += fmt::format(" {} R2 {:.3f}, RMSE {:.3f} (mean predictor {:.3f}{});", name,
                          axis->model.r2, axis->model.rmse, axis->baseline_rmse,
                          axis->linear ? fmt::format(", linear {:.3f}", axis->linear->rmse) : "");
    }
    return text + fmt::format(" scale {}; {}", scale_name(e.scale), what);
  }
  return fmt::format("{}: accuracy {:.4f} (majority {:.4f}{}), macro-F1 {:.4f}; {}", e.split,
                     e.song.accuracy, e.majority,
                     e.linear ? fmt::format(", linear {:.4f}", e.linear->accuracy) : "",
                     e.song.macro_f1, what);
}

std::string to_text(const Evaluation& e) {
  std::string text = fmt::format("{} part: {}\n\n", e.split, what_was_judged(e));
  if (e.regression()) {
    text += fmt::format("scale {}, valence first\n{:<10}{:>9}{:>9}{:>9}{:>9}{:>16}{:>14}\n",
                        scale_name(e.scale), "", "R2", "RMSE", "r", "CCC", "mean predictor",
                        e.valence.linear ? "linear" : "");
    for (const auto& [name, axis] : axes(e)) {
      const Regression& m = axis->model;
      text += fmt::format("{:<10}{:>9.3f}{:>9.3f}{:>9.3f}{:>9.3f}{:>11} {:.3f}", name, m.r2, m.rmse,
                          m.pearson, m.ccc, "RMSE", axis->baseline_rmse);
      if (axis->linear) text += fmt::format("{:>8} {:.3f}", "RMSE", axis->linear->rmse);
      text += "\n";
    }
    return text + fmt::format("\nloss      {:.4f} (mean squared error on 0-1)\n", e.loss);
  }
  text += fmt::format("accuracy  {:.4f}  (95 % interval {:.3f} to {:.3f})\n", e.song.accuracy,
                      e.song.accuracy_low, e.song.accuracy_high);
  text += fmt::format("majority  {:.4f}  (always \"{}\")\n", e.majority, e.majority_class);
  if (e.linear)
    text += fmt::format("linear    {:.4f}  (mean and deviation of the {}, softmax)\n",
                        e.linear->accuracy, linear_inputs(e));
  text += fmt::format("macro-F1  {:.4f}\nloss      {:.4f}\n", e.song.macro_f1, e.loss);
  if (e.windows != e.songs)
    text += fmt::format("per window: accuracy {:.4f}, macro-F1 {:.4f}\n", e.window.accuracy,
                        e.window.macro_f1);
  return text + "\n" + class_table_text(e.song, e.classes) + "\n" +
         confusion_text(e.song, e.classes);
}

std::string predictions_csv(const Evaluation& e) {
  std::string text;
  if (e.regression()) {
    text = "id,valence,arousal,predicted_valence,predicted_arousal\n";
    for (const auto& s : e.list)
      text += fmt::format("{},{:.6g},{:.6g},{:.6g},{:.6g}\n", data::csv_field(s.id),
                          s.true_affect.valence, s.true_affect.arousal, s.predicted_affect.valence,
                          s.predicted_affect.arousal);
    return text;
  }
  text = "id,truth,predicted";
  for (const auto& name : e.classes) text += "," + data::csv_field("p(" + name + ")");
  text += "\n";
  for (const auto& s : e.list) {
    text += fmt::format("{},{},{}", data::csv_field(s.id), data::csv_field(e.classes[s.truth]),
                        data::csv_field(e.classes[s.predicted]));
    for (double p : s.probabilities) text += fmt::format(",{:.6g}", p);
    text += "\n";
  }
  return text;
}

}  // namespace etude::apps
