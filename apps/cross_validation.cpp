#include "apps/cross_validation.h"

#include <map>

#include "apps/metrics.h"
#include "apps/progress.h"
#include "apps/report.h"

namespace etude::apps {

namespace {

// The numbers of a fold that a mean makes sense of.
Json fold_numbers(const std::string& name, const Evaluation& e) {
  Json json = {{"name", name}};
  if (e.regression()) {
    for (const auto& [axis, value] :
         {std::pair{"valence", &e.valence}, std::pair{"arousal", &e.arousal}}) {
      const std::string prefix = std::string(axis) + " ";
      json[prefix + "R2"] = value->model.r2;
      json[prefix + "RMSE"] = value->model.rmse;
      json[prefix + "r"] = value->model.pearson;
      json[prefix + "CCC"] = value->model.ccc;
      json[prefix + "RMSE, mean"] = value->baseline_rmse;
      if (value->linear) json[prefix + "RMSE, linear"] = value->linear->rmse;
      if (!value->per_song) continue;
      json[prefix + "RMSE per song"] = value->per_song->rmse;
      json[prefix + "r per song"] = value->per_song->pearson;
      json[prefix + "CCC per song"] = value->per_song->ccc;
      json[prefix + "RMSE per song, mean"] = value->baseline_per_song_rmse;
      if (value->linear_per_song)
        json[prefix + "RMSE per song, linear"] = value->linear_per_song->rmse;
    }
  } else {
    json["accuracy"] = e.song.accuracy;
    json["macro-F1"] = e.song.macro_f1;
    json["majority"] = e.majority;
    if (e.linear) json["linear"] = e.linear->accuracy;
  }
  if (!e.members.empty()) {
    double mean = 0, best = e.members.front().worth;
    for (const auto& member : e.members) {
      mean += member.worth / static_cast<double>(e.members.size());
      best = std::max(best, member.worth);
    }
    json["members' mean"] = mean;
    json["best member"] = best;  // chosen by the held-out part itself: too good by that
  }
  json["loss"] = e.loss;
  json["n"] = e.songs;
  return json;
}

// The names that the evaluation of a single run has, so that a program reads both alike: means over
// the folds, and `n` items in all.
void put_contract(Json& summary, const Experiment& experiment) {
  const Json mean = summary.at("mean");  // a copy: new keys move the old ones
  int n = 0;
  for (const Json& fold : summary.at("folds")) n += fold.at("n").get<int>();
  summary["n"] = n;
  summary["items"] = data::counted_items(experiment.corpus.dataset.kind, n);
  summary["loss"] = mean.at("loss");
  if (mean.contains("accuracy")) {
    summary["accuracy"] = mean.at("accuracy");
    summary["macro_f1"] = mean.at("macro-F1");
    summary["majority"] = mean.at("majority");
    summary["linear"] = mean.value("linear", Json());
    return;
  }
  for (const auto& [key, name] :
       {std::pair{"r2", "R2"}, {"rmse", "RMSE"}, {"pearson", "r"}, {"ccc", "CCC"}})
    for (const std::string axis : {"valence", "arousal"})
      summary[key][axis] = mean.at(axis + " " + name);
  for (const std::string axis : {"valence", "arousal"}) {
    summary["mean_predictor"]["rmse"][axis] = mean.at(axis + " RMSE, mean");
    if (mean.contains(axis + " RMSE, linear"))
      summary["linear"]["rmse"][axis] = mean.at(axis + " RMSE, linear");
  }
}

}  // namespace

Json cross_validate(Experiments& experiments, const std::vector<data::Split>& splits,
                    const std::filesystem::path& folder) {
  Json folds = Json::array();
  std::map<std::string, std::vector<double>> values;
  std::vector<std::string> order;
  std::optional<data::Scale> scale;  // of valence and arousal
  for (std::size_t k = 0; k < splits.size(); ++k) {
    const std::string name = fmt::format("fold-{}", k + 1);
    const auto result = train_run(experiments, splits[k], folder / name,
                                  fmt::format("fold {}/{}: ", k + 1, splits.size()), folder);
    if (!result) return {};
    note(fmt::format("fold {}/{}: {}", k + 1, splits.size(), headline(result->result)));
    const Json fold = fold_numbers(name, result->result);
    for (const auto& [key, value] : fold.items()) {
      if (!value.is_number_float()) continue;
      if (values.count(key) == 0) order.push_back(key);
      values[key].push_back(value.get<double>());
    }
    folds.push_back(fold);
    if (result->result.regression()) scale = result->result.scale;
  }
  Json summary = {{"mean", Json::object()}, {"deviation", Json::object()}, {"folds", folds}};
  if (scale) {
    summary["scale"] = {scale->low, scale->high};
    summary["order"] = {"valence", "arousal"};
  }
  for (const std::string& key : order) {
    const MeanSpread spread = mean_spread(values[key]);
    summary["mean"][key] = spread.mean;
    summary["deviation"][key] = spread.deviation;
  }
  put_contract(summary, experiments.base());
  write_json(folder / "cv.json", summary);
  write_cv_report(folder, summary);
  return summary;
}

std::string cv_text(const Json& summary) {
  std::string text = fmt::format("{} folds, mean and deviation on the held-out parts\n",
                                 summary.at("folds").size());
  if (summary.contains("scale"))
    text += fmt::format("scale {:g} to {:g}, valence first\n", summary.at("scale")[0].get<double>(),
                        summary.at("scale")[1].get<double>());
  for (const auto& [name, mean] : summary.at("mean").items())
    text += fmt::format("{:<{}}{:.4f} +- {:.4f}\n", name, summary.contains("scale") ? 30 : 22,
                        mean.get<double>(), summary.at("deviation").at(name).get<double>());
  return text;
}

}  // namespace etude::apps
