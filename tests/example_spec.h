// The description of a model with everything in it that text can get wrong.
#pragma once

#include "apps/model_spec.h"

namespace etude::testing {

inline apps::ModelSpec example_spec() {
  apps::ModelSpec spec;
  spec.model = "tinyvgg";
  spec.options.height = 64;
  spec.options.width = 96;
  spec.options.outputs = 3;
  spec.options.seed = 12345678901234567ULL;
  spec.dataset = "folder";
  spec.task.kind = data::TaskKind::classes;
  spec.task.classes = {"a & b", "<c>", "d"};
  spec.task.thresholds.valence = {1.0 / 3, 2.0 / 3};
  spec.scale = {1, 9};
  spec.mel = data::mel_preset("mer");
  spec.mel->set("n_mels", "64");
  spec.statistics.mean = {0.1f, -3.7e-5f};
  spec.statistics.deviation = {1.0f / 3, 2};
  spec.width = 96;
  spec.window_step = 48;
  return spec;
}

}  // namespace etude::testing
