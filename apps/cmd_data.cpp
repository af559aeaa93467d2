// etude data verify | prepare: a data set before anything is trained on it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/experiment.h"
#include "apps/interrupt.h"
#include "apps/option_check.h"
#include "apps/progress.h"
#include "apps/usage.h"
#include "data/verify.h"

namespace etude::apps {

namespace {

struct VerifyOptions {
  std::vector<std::string> roots;
  std::string dataset, labels = "mended", groups;
  int threads = 0;
  bool fast = false, json = false, strict = false, explain = false;
};

int verify(const VerifyOptions& options) {
  data::VerifyOptions how;
  how.dataset.deam_labels =
      options.labels == "mended" ? data::DeamLabels::mended : data::DeamLabels::as_distributed;
  how.dataset.groups = options.groups;
  check_usage(!options.explain || !options.json,
              "data verify: --explain is for people, --json for programs; give one of them");
  how.fast = options.fast || options.explain;
  how.threads = options.threads;
  std::unique_ptr<ProgressBar> bar;
  how.progress = [&](int done, int total) {
    if (!bar) bar = std::make_unique<ProgressBar>("decoding", total, "files");
    bar->update(done);
    return !interrupted();
  };
  const data::VerifyReport report =
      data::verify_dataset(options.dataset, {options.roots.begin(), options.roots.end()}, how);
  bar.reset();
  check_interrupted();
  const std::string text = options.explain ? data::explain(report)
                           : options.json  ? data::to_json(report)
                                           : data::to_text(report);
  std::fputs(text.c_str(), stdout);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', stdout);
  return options.strict && report.problems() > 0 ? exit_failed : exit_done;
}

int prepare(TrainConfig config) {
  const auto start = Clock::now();
  const Experiment experiment = open_experiment(std::move(config));
  const auto& features = experiment.corpus.features;
  if (!experiment.mel) {
    fmt::print("{} images; nothing to prepare\n", features.items.size());
    return exit_done;
  }
  fmt::print("{} items ready ({} were in the cache), preset {}, {} bands, {:.1f} s; cache: {}\n",
             features.items.size(), features.from_cache, experiment.mel->preset,
             experiment.mel->n_mels, seconds_since(start),
             cache_folder(experiment.config.cache).string());
  return exit_done;
}

}  // namespace

Command data_verify_command(CLI::App& data_app) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* sub =
      data_app.add_subcommand("verify", "Counts, defects and class shares of a data set");
  sub->add_option("roots", options->roots, "Root folders")->required();
  sub->add_option("--dataset", options->dataset, "Kind of data set")
      ->check(CLI::IsMember(data::dataset_kinds()))
      ->required();
  sub->add_option("--labels", options->labels, "DEAM's swapped columns: mended or as-distributed")
      ->check(CLI::IsMember({"mended", "as-distributed"}))
      ->capture_default_str();
  sub->add_option("--groups", options->groups, "CSV with a column `file` (folder only)");
  sub->add_flag("--explain", options->explain,
                "Whether DEAM's columns are exchanged here, and the evidence (opens no audio)");
  sub->add_flag("--fast", options->fast, "Do not open the audio files");
  sub->add_flag("--strict", options->strict, "Exit code 1 when a file is damaged or unreadable");
  sub->add_option("--threads", options->threads, "0: all")->check(number_in(0, 4096));
  sub->add_flag("--json", options->json, "One JSON object on stdout");
  sub->footer(
      "Examples:\n"
      "  etude data verify DEAM --dataset deam\n"
      "  etude data verify esc10 --dataset folder --groups esc10/groups.csv --json");
  return {sub, [options] { return verify(*options); }};
}

Command data_prepare_command(CLI::App& data_app) {
  auto config = std::make_shared<TrainConfig>();
  CLI::App* sub = data_app.add_subcommand("prepare", "Fill the feature cache before training");
  sub->add_option("roots", config->data, "Root folders")->required();
  sub->add_option("--dataset", config->dataset, "Kind of data set")
      ->check(CLI::IsMember(data::dataset_kinds()))
      ->required();
  sub->add_option("--groups", config->groups, "CSV with a column `file` (folder only)");
  sub->add_option("--preset", config->preset, "Mel spectrogram preset [chosen for the data]")
      ->check(CLI::IsMember(data::mel_preset_names()));
  sub->add_option("--mel", config->mel, "Override one setting, e.g. n_mels=96; repeatable")
      ->allow_extra_args(false);
  sub->add_option("--cache", config->cache, "Folder of the feature cache [~/.cache/etude]");
  sub->add_option("--threads", config->threads, "0: all")->check(number_in(0, 4096));
  sub->add_flag("--strict", config->strict, "A damaged file is an error, not a warning");
  sub->footer(
      "Training does the same by itself; this does it ahead. The settings must be those of the\n"
      "training.\n"
      "\n"
      "Example:\n"
      "  etude data prepare DEAM --dataset deam");
  return {sub, [config] { return prepare(*config); }};
}

}  // namespace etude::apps
