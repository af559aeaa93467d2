#include "apps/ensemble.h"

#include <algorithm>

#include "apps/usage.h"

namespace etude::apps {

namespace fs = std::filesystem;

namespace {

constexpr const char* file_name = "ensemble.json";

}  // namespace

void check_ensemble(const Experiment& e) {
  const TrainConfig& c = e.config;
  check_usage(c.members == 0 || !c.ensemble.empty(), "--members: goes with --ensemble");
  if (c.ensemble.empty()) return;
  check_usage(e.recipe.name != "original",
              "--ensemble: does not go with --recipe original, which is one network");
  check_usage(
      c.ensemble != "boosting" || !data::is_regression(data::parse_task(*c.task)),
      "--ensemble boosting: SAMME is for classes; for --task {} there are bagging, snapshot "
      "and diverse",
      *c.task);
  check_usage(c.ensemble != "diverse" || e.mel,
              "--ensemble diverse: needs spectrograms; the data are images");
  check_usage(c.ensemble != "diverse" || !c.width,
              "--ensemble diverse: chooses the --width of its members");
  check_usage(c.ensemble != "snapshot" || !c.epochs || *c.epochs >= std::max(2, c.members),
              "--ensemble snapshot: {} epochs are fewer than its members", c.epochs.value_or(0));
}

bool holds_ensemble(const fs::path& folder) { return fs::exists(folder / file_name); }

Ensemble read_ensemble(const fs::path& folder) {
  const Json json = read_json(folder / file_name);
  Ensemble ensemble;
  try {
    ensemble.kind = json.at("kind");
    for (const Json& each : json.at("members")) {
      Ensemble::Member member{each.at("path"), {}, each.value("what", std::string())};
      member.vote.weight = each.at("weight");
      if (each.contains("deviation"))
        member.vote.deviation = {each["deviation"].at("valence"), each["deviation"].at("arousal")};
      ensemble.members.push_back(std::move(member));
    }
  } catch (const nlohmann::json::exception& e) {
    fail("{}: not an ensemble ({})", (folder / file_name).string(), e.what());
  }
  check(!ensemble.members.empty(), "{}: has no members", (folder / file_name).string());
  return ensemble;
}

void write_ensemble(const fs::path& folder, const Ensemble& ensemble) {
  Json json = {{"kind", ensemble.kind}, {"members", Json::array()}};
  for (const auto& member : ensemble.members) {
    Json each = {{"path", member.path}, {"weight", member.vote.weight}, {"what", member.what}};
    if (member.vote.deviation)
      each["deviation"] = {{"valence", member.vote.deviation->valence},
                           {"arousal", member.vote.deviation->arousal}};
    json["members"].push_back(std::move(each));
  }
  write_json(folder / file_name, json);
}

std::vector<MemberModel> load_models(const fs::path& path, Device device) {
  std::vector<MemberModel> models;
  if (!holds_ensemble(path)) {
    models.push_back({load_model(path, device), {path.string(), {}, {}}});
    return models;
  }
  for (const auto& member : read_ensemble(path).members)
    models.push_back({load_model(path / member.path, device), member});
  const data::Task& first = models.front().model.spec.task;
  for (const MemberModel& each : models) {
    const data::Task& task = each.model.spec.task;
    const bool fits = each.member.vote.deviation
                          ? task.kind == data::TaskKind::va && data::has_levels(first.kind)
                          : task.kind == first.kind && task.classes == first.classes;
    check(fits, "{}: its members differ in what they answer: {} does not answer as {} does",
          path.string(), each.member.path, models.front().member.path);
  }
  return models;
}

}  // namespace etude::apps
