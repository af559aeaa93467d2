#include "apps/training_state.h"

#include "apps/json.h"
#include "engine/checkpoint.h"
#include "engine/layers.h"

namespace etude::apps {

namespace {

constexpr const char* progress_key = "etude.progress";
constexpr const char* where_key = "etude.where";

void collect_dropouts(Module& module, std::vector<Dropout*>& out) {
  if (auto* dropout = dynamic_cast<Dropout*>(&module)) out.push_back(dropout);
  for (const auto& [name, child] : module.children()) collect_dropouts(*child, out);
}

std::vector<StateEntry> all_entries(const TrainingState& state) {
  std::vector<StateEntry> entries;
  const auto append = [&](const std::string& prefix, std::vector<StateEntry> part) {
    for (StateEntry& entry : part) {
      entry.name = prefix + entry.name;
      entries.push_back(std::move(entry));
    }
  };
  append("model.", state.model.state());
  append("optimizer.", state.optimizer.state());
  if (state.ema) append("ema.", state.ema->state());
  return entries;
}

// Doubles survive the text: the writer prints the shortest form that reads back to the same bits.
Json progress_json(const TrainingState& state) {
  const Progress& p = state.progress;
  Json json = {{"epoch", p.epoch},         {"batch", p.batch},
               {"step", p.step},           {"loss_sum", p.loss_sum},
               {"samples", p.samples},     {"correct", p.correct},
               {"seconds", p.seconds},     {"best", p.best ? Json(*p.best) : Json()},
               {"best_loss", p.best_loss}, {"best_epoch", p.best_epoch},
               {"done", p.done},           {"optimizer_steps", state.optimizer.steps()}};
  std::vector<Dropout*> dropouts;
  collect_dropouts(state.model, dropouts);
  json["dropout"] = Json::array();
  for (Dropout* dropout : dropouts) {
    const PhiloxState stream = dropout->generator().state();
    json["dropout"].push_back({stream.seed, stream.offset});
  }
  return json;
}

void restore_progress(const Json& json, const TrainingState& state) {
  Progress p;
  p.epoch = json.at("epoch");
  p.batch = json.at("batch");
  p.step = json.at("step");
  p.loss_sum = json.at("loss_sum");
  p.samples = json.at("samples");
  p.correct = json.at("correct");
  p.seconds = json.at("seconds");
  if (!json.at("best").is_null()) p.best = json.at("best").get<double>();
  p.best_loss = json.value("best_loss", p.best.value_or(0));
  p.best_epoch = json.at("best_epoch");
  p.done = json.at("done");
  state.optimizer.set_steps(json.at("optimizer_steps"));
  std::vector<Dropout*> dropouts;
  collect_dropouts(state.model, dropouts);
  const Json& streams = json.at("dropout");
  check(streams.size() == dropouts.size(), "{} dropout layers are saved, the model has {}",
        streams.size(), dropouts.size());
  for (std::size_t i = 0; i < dropouts.size(); ++i)
    dropouts[i]->generator().set_state({streams[i].at(0), streams[i].at(1)});
  state.progress = p;
}

}  // namespace

void save_training_state(const std::filesystem::path& path, const TrainingState& state,
                         const std::string& where) {
  save_state(path, all_entries(state),
             {{progress_key, progress_json(state).dump()}, {where_key, where}});
}

std::string load_training_state(const std::filesystem::path& path, const TrainingState& state) {
  const Metadata metadata = load_state(path, all_entries(state));
  const auto progress = metadata.find(progress_key), where = metadata.find(where_key);
  check(progress != metadata.end() && where != metadata.end(),
        "{}: not a training state (its metadata lacks `{}`)", path.string(), progress_key);
  try {
    restore_progress(Json::parse(progress->second), state);
  } catch (const std::exception& e) {
    fail("{}: damaged training state ({})", path.string(), e.what());
  }
  return where->second;
}

}  // namespace etude::apps
