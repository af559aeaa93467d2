// What a model needs besides its weights to be used: the network, the front end with its fitted
// statistics, and the meaning of its outputs.
//
// It stands in run.json and, as text, in the metadata of every checkpoint of a run, so that a
// weights file alone is enough to predict.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/json.h"
#include "data/loader.h"
#include "data/mel.h"
#include "data/task.h"
#include "engine/checkpoint.h"
#include "models/zoo.h"

namespace etude::apps {

struct ModelSpec {
  std::string model;  // a name of models::make_model
  models::ModelOptions options;
  std::string dataset;  // the kind it was trained on
  data::Task task;
  data::Scale scale{0, 1};               // of valence and arousal as distributed
  std::optional<data::MelSettings> mel;  // none for images
  data::BandStatistics statistics;       // of the training part; empty: not standardised by band
  int width = 0;                         // frames of a sample; 0: the longest item
  int window_step = 0;  // frames between windows, 0: width; over time: half seconds

  // Where the half seconds of a task over time lie; a sample has options.steps of them.
  data::StepGrid grid() const;
};

// How items are cut into windows for evaluation.
data::LoaderOptions evaluation_loader(const ModelSpec& spec, Device device, int batch_size = 64);

Json to_json(const ModelSpec& spec);
// Error names the key that is missing or of the wrong type.
ModelSpec model_spec_from_json(const Json& json);

// The key of the metadata under which a checkpoint carries its spec.
inline constexpr const char* spec_key = "etude.spec";
Metadata spec_metadata(const ModelSpec& spec);

// A model ready to use: evaluation mode, on the device.
struct LoadedModel {
  ModelSpec spec;
  std::unique_ptr<Module> module;
};
// `path` is a run folder (its best.safetensors is taken, else last) or a checkpoint of one.
LoadedModel load_model(const std::filesystem::path& path, Device device);

}  // namespace etude::apps
