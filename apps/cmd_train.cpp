// etude train: trains a model and writes a run folder.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/cross_validation.h"
#include "apps/ensemble.h"
#include "apps/experiment.h"
#include "apps/progress.h"
#include "apps/tensorboard.h"
#include "apps/usage.h"

namespace etude::apps {

namespace {

namespace fs = std::filesystem;

// Folds and members lie below a folder that has the configuration, too, so that it can be resumed.
void write_config(const fs::path& folder, const Experiment& e) {
  make_folder(folder);
  write_json(RunFolder(folder).run_json(), {{"config", to_json(e.config)},
                                            {"recipe", to_json(e.recipe)},
                                            {"environment", environment_json(e.device)}});
}

int train(TrainConfig config) {
  check_usage(!config.tensorboard || tensorboard_available(),
              "train --tensorboard: this etude was built without protobuf; install libonnx-dev, "
              "libprotobuf-dev and protobuf-compiler and build again");
  check_usage(!config.out.empty(), "train: --out RUN is missing: where the run is written");
  const RunFolder folder(config.out);
  const bool exists = fs::exists(folder.run_json());
  if (config.resume) {
    check(exists, "train --resume: {} holds no run (no run.json)", config.out);
    config = resume_config(train_config_from_json(read_run(folder).at("config")), config);
  } else {
    check_usage(!exists,
                "train: {} already holds a run; go on with --resume, or give another --out",
                config.out);
    check_usage(!config.dataset.empty(), "train: --dataset is missing (deam, pmemo, folder, idx)");
    check_usage(!config.data.empty(), "train: --data DIR is missing: where the data set is");
    check_usage(!config.reset_head || !config.init.empty(),
                "train: --reset-head goes with --init WEIGHTS");
    check_usage(config.holdout.empty() || (config.cv.empty() && config.split_file.empty()),
                "train: --holdout names the test part; it does not go with --{}",
                config.cv.empty() ? "split-file" : "cv");
    const std::string schedule = config.schedule.value_or("onecycle");
    check_usage(
        config.warmup == 0 || schedule != "onecycle",
        "train: --warmup goes with --schedule constant, step or cosine; onecycle has its own");
    for (const char* key : {"lr-start", "lr-end", "lr-peak"})
      check_usage(schedule == "onecycle" || config.given.count(key) == 0,
                  "train: --{} goes with --schedule onecycle, not {}", key, schedule);
    const std::string task = config.task.value_or("classes");
    for (const char* key : {"class-weights", "label-smoothing"})
      check_usage(!data::is_regression(data::parse_task(task)) || config.given.count(key) == 0,
                  "train: --{} goes with classes; --task {} has none", key, task);
  }
  check_place(config.out);
  const Experiment experiment = open_experiment(std::move(config));
  check_ensemble(experiment);
  Experiments experiments(experiment);
  if (!experiment.config.cv.empty()) {
    const std::vector<data::Split> splits = make_experiment_folds(experiment);
    write_config(folder.path(), experiment);
    const Json summary = cross_validate(experiments, splits, folder.path());
    if (summary.is_null()) return exit_done;
    fmt::print("{}report    {}\n", cv_text(summary), folder.report().string());
    return exit_done;
  }
  if (!experiment.config.ensemble.empty()) write_config(folder.path(), experiment);
  const auto outcome =
      train_run(experiments, make_experiment_split(experiment), folder.path(), "", folder.path());
  if (!outcome) return exit_done;
  if (outcome->validation) {
    fmt::print("as the original reports it, on the part that chose the weights:\n  {}\n",
               headline(*outcome->validation));
    fmt::print("honestly, on songs that chose nothing:\n  {}\n", headline(outcome->result));
  } else {
    fmt::print("{}\n", headline(outcome->result));
  }
  fmt::print("report: {}\n", folder.report().string());
  return exit_done;
}

}  // namespace

Command train_command(CLI::App& app) {
  auto config = std::make_shared<TrainConfig>();
  CLI::App* sub = app.add_subcommand("train", "Train a model and write a run folder");
  add_train_options(*sub, *config);
  sub->footer(
      "[by the data]: chosen for images, short clips, sounds or songs, and written to run.json.\n"
      "\n"
      "Examples:\n"
      "  etude train --dataset deam --data DEAM --out run1\n"
      "  etude train --dataset deam --data DEAM --task va --group-by artist --cv 10 --out run2\n"
      "  etude train --dataset folder --data esc10 --groups esc10/groups.csv --cv fold --out run3\n"
      "  etude train --dataset idx --data /usr/share/datasets/fashion-mnist --model tinyvgg \\\n"
      "              --epochs 5 --out run4\n"
      "  etude train --dataset deam --data DEAM --ensemble diverse --out run5\n"
      "  etude train --resume --out run1          go on after Ctrl-C\n"
      "  etude train --config run.toml            any option as `key = value`");
  return {sub, [config, sub] {
            note_given(*sub, *config);
            return train(*config);
          }};
}

}  // namespace etude::apps
