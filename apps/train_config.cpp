#include "apps/train_config.h"

#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <type_traits>

#include "apps/augment.h"
#include "apps/option_check.h"
#include "apps/recipes.h"
#include "apps/usage.h"
#include "data/dataset.h"
#include "data/mel.h"
#include "models/zoo.h"

namespace etude::apps {

namespace {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// f(key, member, group, help, check): the one list of options.
template <class Config, class F>
void visit_fields(Config& c, F&& f) {
  using CLI::IsMember;
  using Words = std::vector<std::string>;
  const CLI::Validator any;
  const CLI::Validator positive = number_from(1), not_negative = number_from(0);
  const CLI::Validator fraction = number_in(0.0, 0.999999), real = number_from(0.0);
  const CLI::Validator above_zero = number_from(1e-12);

  f("dataset", c.dataset, "Data", "Kind of data set", IsMember(data::dataset_kinds()));
  f("data", c.data, "Data", "Root folder of the data; repeat to combine several", any);
  f("task", c.task, "Data", "What to predict [quadrants for deam and pmemo, classes otherwise]",
    IsMember(
        Words{"emotion9", "quadrants", "valence2", "arousal2", "va", "va-dynamic", "classes"}));
  f("cuts", c.cuts, "Data",
    "Where the levels of an axis meet: equal parts of the scale, of the training part's range, or "
    "of its values [scale]",
    IsMember(Words{"scale", "minmax", "tertiles"}));
  f("cuts-from", c.cuts_from, "Data",
    "Whose values minmax and tertiles learn from: the training part's, or all, which leaks [train]",
    IsMember(Words{"train", "all"}));
  f("labels", c.labels, "Data", "DEAM's swapped columns: mended, or as distributed [mended]",
    IsMember(Words{"mended", "as-distributed"}));
  f("groups", c.groups, "Data",
    "CSV with `file` and any of `split`, `fold`, free columns (folder only)", any);
  f("group-by", c.group_by, "Data", "Column whose values never straddle two parts, e.g. artist",
    any);
  f("split-file", c.split_file, "Data",
    "Take the split from this CSV (id,split) instead of the seed", any);
  f("cv", c.cv, "Data", "Cross-validation: a number of folds, or the column that has them", any);
  f("holdout", c.holdout, "Data",
    "COLUMN=VALUE: items with this value are the test part, e.g. speaker=theo; repeatable", any);
  f("val-fraction", c.val_fraction, "Data",
    "Share of the items for validation [0.15; by the recipe]", fraction);
  f("test-fraction", c.test_fraction, "Data",
    "Share of the items for the test, where none is given", fraction);

  f("preset", c.preset, "Front end", "Mel spectrogram preset [chosen for the data]",
    IsMember(data::mel_preset_names()));
  f("mel", c.mel, "Front end",
    "Override one setting, e.g. n_mels=96; repeatable. `etude mel --help` lists them", any);
  f("width", c.width, "Front end", "Frames of a training crop; 0: the longest item [by the data]",
    not_negative);
  f("window-step", c.window_step, "Front end",
    "Frames between the windows an item is judged by [half the width]", not_negative);
  f("cache", c.cache, "Front end",
    "Folder of the feature cache; `none` switches it off [~/.cache/etude]", any);
  f("strict", c.strict, "Front end", "A damaged audio file is an error, not a warning", any);

  f("model", c.model, "Model", "Which network [by the recipe]", IsMember(models::model_names()));
  f("hidden", c.hidden, "Model", "Channels of TinyVGG", positive);
  f("blocks", c.blocks, "Model", "Blocks of TinyVGG [2]", positive);
  f("padding", c.padding, "Model", "Padding of TinyVGG's convolutions: 0 or 1", number_in(0, 1));
  f("dropout", c.dropout, "Model", "Dropout before the last layer", fraction);
  f("init", c.init, "Model", "Start from the weights in this safetensors file", any);
  f("reset-head", c.reset_head, "Model", "With --init: keep the last layer as initialised", any);

  f("recipe", c.recipe, "Training",
    "Choices that go together: etude takes the best for the size of the data (small or general); "
    "original repeats the first published work, flaws included",
    IsMember(recipe_names()));
  f("ensemble", c.ensemble, "Training",
    "Several models that answer as one: bagging, boosting (SAMME), snapshot (of one training), "
    "diverse (front ends, lengths, tasks, a linear model)",
    IsMember(Words{"bagging", "boosting", "snapshot", "diverse"}));
  f("members", c.members, "Training",
    "Members of the ensemble [5; of diverse 6, and 11 for quadrants and the like]",
    number_in(2, 100));
  f("cycles", c.cycles, "Training",
    "How often the schedule runs within the epochs; the weights after each are kept", positive);
  f("optimizer", c.optimizer, "Training", "[by the data]", IsMember(Words{"sgd", "adamw"}));
  f("lr", c.lr, "Training", "Learning rate; the highest one of a schedule [by the data]", real);
  f("lr-start", c.lr_start, "Training", "Rate in the first step of onecycle [lr / 25]", above_zero);
  f("lr-end", c.lr_end, "Training", "Rate in the last step of onecycle [lr-start / 10000]",
    above_zero);
  f("lr-peak", c.lr_peak, "Training",
    "Share of the steps of onecycle before the highest rate [0.3]", fraction);
  f("momentum", c.momentum, "Training", "Momentum of SGD", fraction);
  f("beta1", c.beta1, "Training", "Decay of AdamW's mean of the gradient [0.9]", fraction);
  f("beta2", c.beta2, "Training", "Decay of AdamW's mean of its square [0.999]", fraction);
  f("nesterov", c.nesterov, "Training", "Nesterov momentum", any);
  f("weight-decay", c.weight_decay, "Training", "On filters and linear weights [by the optimizer]",
    real);
  f("schedule", c.schedule, "Training", "Course of the learning rate [by the data]",
    IsMember(Words{"constant", "step", "cosine", "onecycle"}));
  f("warmup", c.warmup, "Training", "Epochs of linear warm-up (not for onecycle)", real);
  f("step-every", c.step_every, "Training", "Epochs between the drops of --schedule step",
    above_zero);
  f("gamma", c.gamma, "Training", "Factor of each drop of --schedule step", above_zero);
  f("epochs", c.epochs, "Training", "Passes over the training part [by the data]", positive);
  f("batch", c.batch, "Training", "Samples a batch [by the data]", positive);
  f("loss", c.loss, "Training",
    "Of va and va-dynamic: mean squared error, or 1 - concordance correlation [mse]",
    IsMember(Words{"mse", "ccc"}));
  f("label-smoothing", c.label_smoothing, "Training",
    "Smoothing of the cross-entropy [by the data]", fraction);
  f("augment", c.augment, "Training",
    "Drawn anew for every sample: none, mel (crop, gain, tilt, both masks), all, or names with "
    "commas: " +
        fmt::format("{}", fmt::join(augmentation_names(), ", ")) + " [by the data]",
    any);
  f("class-weights", c.class_weights, "Training", "Weigh classes equally, or samples",
    IsMember(Words{"none", "balanced"}));
  f("clip-grad", c.clip_grad, "Training", "Largest norm of the gradient; 0: no limit", real);
  f("ema", c.ema, "Training", "Decay of the moving average of the weights; 0: none", fraction);
  f("accumulate", c.accumulate, "Training", "Batches an optimiser step", positive);
  f("patience", c.patience, "Training",
    "Stop after so many epochs without improvement on validation; 0: never [half of all]",
    not_negative);
  f("monitor", c.monitor, "Training",
    "What improvement on validation means, and the best weights [loss]",
    IsMember(Words{"loss", "accuracy"}));

  f("out", c.out, "Run", "Run folder to write", any);
  f("resume", c.resume, "Run", "Go on with the run in --out, from its last saved state", any);
  f("seed", c.seed, "Run", "Seed of everything random", any);
  f("threads", c.threads, "Run", "CPU threads; 0: all. Results do not depend on it", not_negative);
  f("device", c.device, "Run", "auto, cpu, reference, cuda[:n] or simt", any);
  f("linear-provider", c.linear_provider, "Run",
    "Who computes linear layers: own kernels, or cuBLAS on a CUDA device (then the bits are those "
    "of "
    "one kind of GPU) [$ETUDE_LINEAR]",
    IsMember(Words{"own", "cublas"}));
  f("tensorboard", c.tensorboard, "Run", "Write an event file for TensorBoard, too", any);
  f("max-steps", c.max_steps, "Run", "Stop after so many optimiser steps in all, ready to --resume",
    not_negative);
}

std::string json_key(std::string key) {
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

bool stored(const std::string& key) {
  return key != "out" && key != "resume" && key != "max-steps";
}

// Options that may differ on resume: they do not change the result on the same machine.
bool free_on_resume(const std::string& key) {
  return !stored(key) || key == "device" || key == "threads" || key == "data" || key == "cache" ||
         key == "strict" || key == "tensorboard";
}

template <class T>
Json field_json(const T& value) {
  if constexpr (IsOptional<T>::value)
    return value ? Json(*value) : Json();
  else
    return Json(value);
}

}  // namespace

void add_train_options(CLI::App& app, TrainConfig& config) {
  visit_fields(config, [&](const std::string& key, auto& member, const char* group,
                           const std::string& help, const CLI::Validator& validator) {
    using T = std::decay_t<decltype(member)>;
    CLI::Option* option;
    if constexpr (std::is_same_v<T, bool>) {
      option = app.add_flag("--" + key, member, help);
    } else {
      option = app.add_option("--" + key, member, help);
      if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        option->allow_extra_args(false);  // one value a flag: what follows stays a flag of its own
      } else if constexpr (!IsOptional<T>::value) {
        const std::string shown = fmt::format("{}", member);
        if (!shown.empty()) option->default_str(shown);
      }
      option->check(validator);
    }
    option->group(group);
  });
}

void note_given(const CLI::App& app, TrainConfig& config) {
  visit_fields(config, [&](const std::string& key, auto&, const char*, const std::string&,
                           const CLI::Validator&) {
    if (app.get_option("--" + key)->count() > 0) config.given.insert(key);
  });
}

Json to_json(const TrainConfig& config) {
  Json json = Json::object();
  visit_fields(config, [&](const std::string& key, const auto& member, const char*,
                           const std::string&, const CLI::Validator&) {
    if (stored(key)) json[json_key(key)] = field_json(member);
  });
  return json;
}

TrainConfig train_config_from_json(const Json& json) {
  TrainConfig config;
  visit_fields(config, [&](const std::string& key, auto& member, const char*, const std::string&,
                           const CLI::Validator&) {
    using T = std::decay_t<decltype(member)>;
    const auto found = json.find(json_key(key));
    if (found == json.end() || found->is_null()) return;
    try {
      if constexpr (IsOptional<T>::value)
        member = found->template get<typename T::value_type>();
      else
        member = found->template get<T>();
    } catch (const nlohmann::json::exception&) {
      fail("run.json: `{}` has the unexpected value {}", json_key(key), found->dump());
    }
  });
  return config;
}

TrainConfig resume_config(const TrainConfig& saved, const TrainConfig& asked) {
  TrainConfig result = saved;
  const Json before = to_json(saved), now = to_json(asked);
  Json merged = before;
  for (const std::string& key : asked.given) {
    if (!stored(key)) continue;
    const std::string name = json_key(key);
    if (free_on_resume(key)) {
      merged[name] = now[name];
      continue;
    }
    check_usage(
        before[name] == now[name],
        "train --resume: --{} is {} but the run was started with {}; leave it out, or start "
        "a new run with another --out",
        key, now[name].dump(), before[name].dump());
  }
  result = train_config_from_json(merged);
  result.out = asked.out;
  result.resume = true;
  result.max_steps = asked.max_steps;
  return result;
}

}  // namespace etude::apps
