#include "apps/run_folder.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "apps/trainer.h"
#include "apps/version.h"
#include "engine/linear_provider.h"

namespace etude::apps {

namespace {

Json optional_number(const std::optional<double>& value) { return value ? number(*value) : Json(); }

std::optional<double> read_optional(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

std::string to_json_line(const EpochRecord& r) {
  Json json = {{"epoch", r.epoch},
               {"loss", number(r.loss)},
               {"val_loss", optional_number(r.val_loss)},
               {"lr", number(r.lr)},
               {"seconds", number(r.seconds)},
               {"best", r.best}};
  if (r.accuracy) json["accuracy"] = number(*r.accuracy);
  if (r.val_accuracy) json["val_accuracy"] = number(*r.val_accuracy);
  return json.dump() + "\n";
}

// Songs in every class of a part.
Json class_counts(const data::Dataset& dataset, const data::Task& task,
                  const std::vector<int>& items) {
  Json counts = Json::object();
  for (const auto& name : task.classes) counts[name] = 0;
  for (int item : items) {
    Json& count = counts[task.classes[task.label(dataset.items[item])]];
    count = count.get<int>() + 1;
  }
  return counts;
}

}  // namespace

void check_place(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path above = fs::absolute(path).lexically_normal();
  while (!fs::exists(above, error) && above.has_relative_path()) above = above.parent_path();
  check(fs::is_directory(above, error), "{}: {} is a file; name a folder for the run",
        path.string(), above.string());
  check(::access(above.c_str(), W_OK) == 0, "{}: {} cannot be written to ({})", path.string(),
        above.string(), std::strerror(errno));
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check(!error, "{}: the folder cannot be made ({})", path.string(), error.message());
}

void append_metrics(const std::filesystem::path& path, const EpochRecord& record) {
  std::ofstream out(path, std::ios::app | std::ios::binary);
  out << to_json_line(record);
  out.flush();
  check(out.good(), "{}: cannot be written; is the disk full?", path.string());
}

std::vector<EpochRecord> read_metrics(const std::filesystem::path& path) {
  std::vector<EpochRecord> records;
  std::ifstream in(path);
  int number_of_line = 0;
  for (std::string line; std::getline(in, line);) {
    ++number_of_line;
    try {
      const Json json = Json::parse(line);
      EpochRecord r;
      r.epoch = json.at("epoch");
      r.loss = json.at("loss");
      r.lr = json.at("lr");
      r.seconds = json.at("seconds");
      r.best = json.value("best", false);
      r.val_loss = read_optional(json, "val_loss");
      r.accuracy = read_optional(json, "accuracy");
      r.val_accuracy = read_optional(json, "val_accuracy");
      records.push_back(r);
    } catch (const nlohmann::json::exception& e) {
      fail("{}:{}: not a record of an epoch ({})", path.string(), number_of_line, e.what());
    }
  }
  return records;
}

void truncate_metrics(const std::filesystem::path& path, int epochs) {
  if (!std::filesystem::exists(path)) return;
  std::string kept;
  for (const EpochRecord& record : read_metrics(path))
    if (record.epoch <= epochs) kept += to_json_line(record);
  write_text(path, kept);
}

std::string to_line(const EpochRecord& r, int epochs) {
  std::string text = fmt::format("epoch {}/{}: loss {:.4f}", r.epoch, epochs, r.loss);
  if (r.accuracy) text += fmt::format(", accuracy {:.4f}", *r.accuracy);
  if (r.val_loss) text += fmt::format(", val loss {:.4f}", *r.val_loss);
  if (r.val_accuracy) text += fmt::format(", val accuracy {:.4f}", *r.val_accuracy);
  return text + fmt::format(", lr {:.3g}, {:.1f} s{}", r.lr, r.seconds, r.best ? "  *" : "");
}

Json environment_json(Device device) {
  Json libraries = Json::object();
  for (const auto& [name, version_text] : library_versions()) libraries[name] = version_text;
  return {{"etude", version()},
          {"device", to_string(device)},
          {"device_name", describe(device)},
          {"linear_provider", to_string(linear_provider(device))},
          {"instruction_set", chosen_isa()},
          {"threads", num_threads()},
          {"libraries", libraries}};
}

Json read_run(const RunFolder& folder) {
  const Json run = read_json(folder.run_json());
  const auto has = [&](const char* key) {
    return run.is_object() && run.value(key, Json()).is_object();
  };
  check(has("config"), "{}: has no `config`; expected what `etude train` writes",
        folder.run_json().string());
  if (!run.contains("spec")) return run;
  for (const char* key : {"spec", "data", "environment"})
    check(has(key), "{}: `{}` is missing; expected what `etude train` writes",
          folder.run_json().string(), key);
  return run;
}

Json run_json(const TrainConfig& config, const Recipe& recipe, const ModelSpec& spec,
              const data::Dataset& dataset, const data::Split& split, Device device) {
  Json json;
  json["config"] = to_json(config);
  json["recipe"] = to_json(recipe);
  json["spec"] = to_json(spec);
  json["environment"] = environment_json(device);
  Json& data_json = json["data"];
  data_json["items"] = dataset.items.size();
  data_json["split_file"] = "split.csv";
  for (const auto& [name, part] : {std::pair{"train", &split.train}, std::pair{"val", &split.val},
                                   std::pair{"test", &split.test}}) {
    data_json[name] = {{"n", part->size()}};
    if (!spec.task.regression())
      data_json[name]["classes"] = class_counts(dataset, spec.task, *part);
  }
  data_json["notes"] = dataset.notes;
  data_json["warnings"] = dataset.warnings;
  return json;
}

}  // namespace etude::apps
