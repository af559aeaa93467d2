// Evaluation as JSON, as text and as CSV.
#include <fmt/format.h>
#include <fmt/ranges.h>

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

// "6 songs, 72 windows"; "30 images"; "6 songs, 360 half seconds".
std::string what_was_judged(const Evaluation& e) {
  std::string text = data::counted_items(e.kind, e.songs);
  if (e.over_time) return text + fmt::format(", {} half seconds", e.steps);
  if (e.windows != e.songs) text += fmt::format(", {} windows", e.windows);
  return text;
}

const char* linear_inputs(const Evaluation& e) {
  return e.kind == "idx" ? "pixel rows" : "mel bands";
}

std::string scale_name(const data::Scale& scale) {
  return fmt::format("{:g} to {:g}", scale.low, scale.high);
}

// "cuts tertiles: valence at 3.6, 6.1; arousal at 3.9, 7.1 (scale 1 to 9, valence first)".
std::string levels_text(const Evaluation& e) {
  std::string text = fmt::format("cuts {}: ", data::to_string(e.cuts));
  for (const auto& [axis, at] :
       {std::pair{"valence", &e.thresholds.valence}, {"arousal", &e.thresholds.arousal}})
    if (!at->empty())
      text +=
          fmt::format("{}{} at {:.3g}", text.back() == ' ' ? "" : "; ", axis, fmt::join(*at, ", "));
  return text + fmt::format(" (scale {}, valence first)", scale_name(e.scale));
}

// What members are compared by.
const char* member_measure(const Evaluation& e) { return e.regression() ? "ccc" : "accuracy"; }

std::string members_text(const Evaluation& e) {
  if (e.members.empty()) return {};
  std::string text =
      fmt::format("\n{} of each member alone{}\n", e.regression() ? "CCC" : "accuracy",
                  e.regression() ? " (mean of both axes)" : "");
  for (const auto& member : e.members)
    text += fmt::format("  {:<36}{:>7.4f}{}{}\n", member.name, member.worth,
                        member.what.empty() ? "" : "  ", member.what);
  return text;
}

// Per song and then averaged, beside the same of the linear floor and the mean predictor.
void put_per_song(const Evaluation& e, Json& json) {
  const auto values = [&](std::optional<PerSong> AxisEvaluation::*which) {
    return Json{
        {"rmse", per_axis(e, [=](const AxisEvaluation& a) { return (a.*which)->rmse; })},
        {"pearson", per_axis(e, [=](const AxisEvaluation& a) { return (a.*which)->pearson; })},
        {"ccc", per_axis(e, [=](const AxisEvaluation& a) { return (a.*which)->ccc; })}};
  };
  json["steps"] = e.steps;
  json["per_song"] = values(&AxisEvaluation::per_song);
  json["mean_predictor"]["per_song"] = {
      {"rmse", per_axis(e, [](const AxisEvaluation& a) { return a.baseline_per_song_rmse; })}};
  if (e.valence.linear_per_song)
    json["linear"]["per_song"] = values(&AxisEvaluation::linear_per_song);
}

std::string over_time_text(const Evaluation& e) {
  std::string text = fmt::format(
      "scale {}, valence first; a value every half second\n\n{:<34}{:>9}{:>9}{:>9}\n"
      "per song, then averaged\n",
      scale_name(e.scale), "", "RMSE", "r", "CCC");
  const auto row = [&](const std::string& name, double rmse, double r, double ccc) {
    text += fmt::format("  {:<32}{:>9.3f}{:>9.3f}{:>9.3f}\n", name, rmse, r, ccc);
  };
  for (const auto& [name, axis] : axes(e)) {
    row(name, axis->per_song->rmse, axis->per_song->pearson, axis->per_song->ccc);
    if (axis->linear_per_song)
      row(std::string(name) + ", linear", axis->linear_per_song->rmse,
          axis->linear_per_song->pearson, axis->linear_per_song->ccc);
    row(std::string(name) + ", mean of the training part", axis->baseline_per_song_rmse, 0, 0);
  }
  text += "over all half seconds of all songs\n";
  for (const auto& [name, axis] : axes(e)) {
    row(name, axis->model.rmse, axis->model.pearson, axis->model.ccc);
    if (axis->linear)
      row(std::string(name) + ", linear", axis->linear->rmse, axis->linear->pearson,
          axis->linear->ccc);
    row(std::string(name) + ", mean of the training part", axis->baseline_rmse, 0, 0);
  }
  return text;
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
    json["order"] = {"valence", "arousal"};
    json["r2"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.r2; });
    json["rmse"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.rmse; });
    json["pearson"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.pearson; });
    json["ccc"] = per_axis(e, [](const AxisEvaluation& a) { return a.model.ccc; });
    json["mean_predictor"] = {
        {"rmse", per_axis(e, [](const AxisEvaluation& a) { return a.baseline_rmse; })}};
    if (e.valence.linear) {
      json["linear"] = {
          {"r2", per_axis(e, [](const AxisEvaluation& a) { return a.linear->r2; })},
          {"rmse", per_axis(e, [](const AxisEvaluation& a) { return a.linear->rmse; })},
          {"pearson", per_axis(e, [](const AxisEvaluation& a) { return a.linear->pearson; })},
          {"ccc", per_axis(e, [](const AxisEvaluation& a) { return a.linear->ccc; })}};
    }
    if (e.over_time) put_per_song(e, json);
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
      if (e.linear) json["per_class"].back()["linear_f1"] = number(e.linear->classes[c].f1);
    }
    if (e.has_levels()) {
      json["cuts"] = data::to_string(e.cuts);
      json["thresholds"] = {{"valence", e.thresholds.valence}, {"arousal", e.thresholds.arousal}};
      json["scale"] = {e.scale.low, e.scale.high};
      json["order"] = {"valence", "arousal"};
    }
    json["confusion"] = e.song.confusion;
  }
  if (!e.members.empty()) {
    json["members"] = Json::array();
    for (const auto& member : e.members)
      json["members"].push_back(
          {{"member", member.name}, {member_measure(e), number(member.worth)}});
  }
  if (!with_list) return json;
  json["list"] = Json::array();
  for (const auto& song : e.list) {
    if (e.regression())
      json["list"].push_back({song.id, song.true_affect.valence, song.true_affect.arousal,
                              song.predicted_affect.valence, song.predicted_affect.arousal});
    else  // [id, truth, predicted, their probabilities, valence, arousal as annotated]
      json["list"].push_back({song.id, song.truth, song.predicted,
                              number(song.probabilities[song.truth]),
                              number(song.probabilities[song.predicted]),
                              song.annotated ? number(song.true_affect.valence) : Json(),
                              song.annotated ? number(song.true_affect.arousal) : Json()});
  }
  if (!e.regression() && !e.list.empty() && e.list.front().annotated) {
    json["scale"] = {e.scale.low, e.scale.high};
    json["order"] = {"valence", "arousal"};
  }
  if (e.over_time) {
    // [id, [[seconds, valence, arousal, predicted valence, predicted arousal], ...]]
    json["curves"] = Json::array();
    for (const auto& song : e.list) {
      Json steps = Json::array();
      for (const auto& s : song.curve)
        steps.push_back({s.seconds, s.truth.valence, s.truth.arousal, s.predicted.valence,
                         s.predicted.arousal});
      json["curves"].push_back({song.id, std::move(steps)});
    }
  }
  return json;
}

std::string headline(const Evaluation& e) {
  const std::string what = what_was_judged(e);
  if (e.over_time) {
    std::string text = e.split + ":";
    for (const auto& [name, axis] : axes(e))
      text += fmt::format(
          " {} RMSE {:.3f} (mean predictor {:.3f}{}), r {:.3f}, CCC {:.3f};", name,
          axis->per_song->rmse, axis->baseline_per_song_rmse,
          axis->linear ? fmt::format(", linear {:.3f}", axis->linear_per_song->rmse) : "",
          axis->per_song->pearson, axis->per_song->ccc);
    return text + fmt::format(" per song; CCC over all: {:.3f}, {:.3f}; scale {}; {}",
                              e.valence.model.ccc, e.arousal.model.ccc, scale_name(e.scale), what);
  }
  if (e.regression()) {
    std::string text = e.split + ":";
    for (const auto& [name, axis] : axes(e)) {
      text += fmt::format(" {} R2 {:.3f}, CCC {:.3f}, RMSE {:.3f} (mean predictor {:.3f}{});", name,
                          axis->model.r2, axis->model.ccc, axis->model.rmse, axis->baseline_rmse,
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
  if (e.over_time) {
    text += over_time_text(e);
    return text + fmt::format("\nloss      {:.4f} (mean squared error on 0-1)\n", e.loss) +
           members_text(e);
  }
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
    return text + fmt::format("\nloss      {:.4f} (mean squared error on 0-1)\n", e.loss) +
           members_text(e);
  }
  if (e.has_levels()) text += levels_text(e) + "\n\n";
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
         confusion_text(e.song, e.classes) + members_text(e);
}

std::string predictions_csv(const Evaluation& e) {
  std::string text;
  if (e.over_time) {
    text = "id,seconds,valence,arousal,predicted_valence,predicted_arousal,scale\n";
    for (const auto& song : e.list)
      for (const auto& s : song.curve)
        text += fmt::format("{},{:g},{:.6g},{:.6g},{:.6g},{:.6g},{}\n", data::csv_field(song.id),
                            s.seconds, s.truth.valence, s.truth.arousal, s.predicted.valence,
                            s.predicted.arousal, scale_name(e.scale));
    return text;
  }
  if (e.regression()) {
    text = "id,valence,arousal,predicted_valence,predicted_arousal,scale\n";
    for (const auto& s : e.list)
      text += fmt::format("{},{:.6g},{:.6g},{:.6g},{:.6g},{}\n", data::csv_field(s.id),
                          s.true_affect.valence, s.true_affect.arousal, s.predicted_affect.valence,
                          s.predicted_affect.arousal, scale_name(e.scale));
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
