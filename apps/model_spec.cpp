#include "apps/model_spec.h"

namespace etude::apps {

namespace {

// Fields by name: a type error or a missing key says which.
template <class T>
T get(const Json& json, const char* key) {
  const auto found = json.find(key);
  check(found != json.end(), "model spec: `{}` is missing", key);
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    fail("model spec: `{}` has the unexpected value {}", key, found->dump());
  }
}

Json options_json(const models::ModelOptions& o) {
  return {{"height", o.height},
          {"width", o.width},
          {"channels", o.channels},
          {"outputs", o.outputs},
          {"steps", o.steps},
          {"hidden", o.hidden},
          {"blocks", o.blocks},
          {"padding", o.padding},
          {"dropout", o.dropout},
          {"seed", o.seed},
          {"zero_init_residual", o.zero_init_residual}};
}

models::ModelOptions options_from_json(const Json& json) {
  models::ModelOptions o;
  o.height = get<Index>(json, "height");
  o.width = get<Index>(json, "width");
  o.channels = get<Index>(json, "channels");
  o.outputs = get<Index>(json, "outputs");
  o.steps = json.value("steps", Index(0));  // runs from before there was one
  o.hidden = get<Index>(json, "hidden");
  o.blocks = get<Index>(json, "blocks");
  o.padding = get<Index>(json, "padding");
  o.dropout = get<double>(json, "dropout");
  o.zero_init_residual = get<bool>(json, "zero_init_residual");
  o.seed = get<std::uint64_t>(json, "seed");
  return o;
}

}  // namespace

Json to_json(const ModelSpec& spec) {
  Json json;
  json["model"] = spec.model;
  json["options"] = options_json(spec.options);
  json["dataset"] = spec.dataset;
  json["task"] = {
      {"kind", data::to_string(spec.task.kind)},
      {"cuts", data::to_string(spec.task.cuts)},
      {"classes", spec.task.classes},
      {"thresholds",
       {{"valence", spec.task.thresholds.valence}, {"arousal", spec.task.thresholds.arousal}}}};
  json["scale"] = {spec.scale.low, spec.scale.high};
  json["mel"] = spec.mel ? Json(spec.mel->to_map()) : Json();
  json["statistics"] = {{"mean", spec.statistics.mean}, {"deviation", spec.statistics.deviation}};
  json["width"] = spec.width;
  json["window_step"] = spec.window_step;
  return json;
}

ModelSpec model_spec_from_json(const Json& json) {
  ModelSpec spec;
  spec.model = get<std::string>(json, "model");
  spec.options = options_from_json(get<Json>(json, "options"));
  spec.dataset = get<std::string>(json, "dataset");
  const Json task = get<Json>(json, "task"), thresholds = get<Json>(task, "thresholds");
  spec.task.kind = data::parse_task(get<std::string>(task, "kind"));
  spec.task.cuts = data::parse_cuts(get<std::string>(task, "cuts"));
  spec.task.classes = get<std::vector<std::string>>(task, "classes");
  spec.task.thresholds.valence = get<std::vector<double>>(thresholds, "valence");
  spec.task.thresholds.arousal = get<std::vector<double>>(thresholds, "arousal");
  const auto scale = get<std::vector<double>>(json, "scale");
  check(scale.size() == 2 && scale[0] < scale[1], "model spec: `scale` must be [low, high]");
  spec.scale = {scale[0], scale[1]};
  if (const Json mel = get<Json>(json, "mel"); !mel.is_null()) {
    spec.mel.emplace();
    for (const auto& [name, value] : mel.items()) spec.mel->set(name, value.get<std::string>());
  }
  const Json statistics = get<Json>(json, "statistics");
  spec.statistics.mean = get<std::vector<float>>(statistics, "mean");
  spec.statistics.deviation = get<std::vector<float>>(statistics, "deviation");
  spec.width = get<int>(json, "width");
  spec.window_step = get<int>(json, "window_step");
  return spec;
}

data::StepGrid ModelSpec::grid() const {
  if (!task.dynamic() || !mel) return {};
  return data::StepGrid::of(mel->sample_rate, static_cast<double>(mel->hop));
}

data::LoaderOptions evaluation_loader(const ModelSpec& spec, Device device, int batch_size) {
  data::LoaderOptions options;
  options.batch_size = batch_size;
  options.width = spec.width;
  options.window_step = spec.window_step;
  options.device = device;
  if (spec.task.dynamic()) {
    options.steps = static_cast<int>(spec.options.steps);
    options.grid = spec.grid();
  }
  return options;
}

Metadata spec_metadata(const ModelSpec& spec) {
  return {{"format", "pt"}, {spec_key, to_json(spec).dump()}};
}

LoadedModel load_model(const std::filesystem::path& path, Device device) {
  namespace fs = std::filesystem;
  fs::path weights = path;
  if (fs::is_directory(path)) {
    weights = path / "best.safetensors";
    if (!fs::exists(weights)) weights = path / "last.safetensors";
    check(fs::exists(weights) || !fs::exists(path / "fold-1") || fs::exists(path / "cv.json"),
          "{}: a cross-validation that is not finished; go on with `etude train --resume --out {}`",
          path.string(), path.string());
    check(fs::exists(weights) || !fs::exists(path / "fold-1"),
          "{}: holds the folds of a cross-validation; name one of them, e.g. {}", path.string(),
          (path / "fold-1").string());
    check(fs::exists(weights) || !fs::exists(path / "ensemble.json"),
          "{}: holds an ensemble; name one of its members (ensemble.json lists them)",
          path.string());
    check(fs::exists(weights) || !fs::exists(path / "member-1"),
          "{}: an ensemble that is not finished; go on with `etude train --resume --out {}`",
          path.string(), path.string());
    check(fs::exists(weights),
          "{}: no best.safetensors or last.safetensors in it; is it a run folder of `etude train`?",
          path.string());
  } else {
    check(fs::exists(path), "{}: no such run folder or checkpoint", path.string());
  }
  const Metadata metadata = read_safetensors(weights).metadata;
  const auto found = metadata.find(spec_key);
  check(found != metadata.end(),
        "{}: has no `{}` in its metadata, so it is not a checkpoint of an etude run; start from "
        "such weights with `etude train --init`",
        weights.string(), spec_key);
  LoadedModel loaded;
  try {
    loaded.spec = model_spec_from_json(Json::parse(found->second));
  } catch (const nlohmann::json::exception& e) {
    fail("{}: `{}` is not valid JSON ({})", weights.string(), spec_key, e.what());
  }
  loaded.module = models::make_model(loaded.spec.model, loaded.spec.options);
  load_state(weights, loaded.module->state());
  loaded.module->to(device);
  loaded.module->train(false);
  return loaded;
}

}  // namespace etude::apps
