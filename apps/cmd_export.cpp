// etude export: a trained network for other runtimes.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/model_spec.h"
#include "apps/onnx.h"
#include "apps/option_check.h"
#include "apps/usage.h"
#include "data/files.h"

namespace etude::apps {

namespace {

struct Options {
  std::string run, onnx;
  int width = 0;
};

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ","));
}

// What a program that runs the graph must know: the front end, and what the outputs mean.
std::map<std::string, std::string> metadata_of(const ModelSpec& spec) {
  std::map<std::string, std::string> meta{{spec_key, to_json(spec).dump()}};
  if (spec.mel)
    for (const auto& [name, value] : spec.mel->to_map()) meta["mel." + name] = value;
  if (!spec.statistics.mean.empty()) {
    meta["band.mean"] = fmt::format("{}", fmt::join(spec.statistics.mean, ","));
    meta["band.deviation"] = fmt::format("{}", fmt::join(spec.statistics.deviation, ","));
  }
  if (spec.task.regression()) {
    meta["outputs"] = "valence,arousal";
    if (spec.task.dynamic()) {
      meta["outputs.steps"] = std::to_string(spec.options.steps);
      meta["outputs.seconds"] = "0.5";  // a step
    }
    meta["scale"] = fmt::format("{},{}", spec.scale.low, spec.scale.high);  // of 0 and 1
  } else {
    meta["classes"] = join(spec.task.classes);
  }
  return meta;
}

int run_export(const Options& options) {
  check_usage(onnx_available(),
              "export --onnx: this etude was built without ONNX; install libonnx-dev, "
              "libprotobuf-dev and protobuf-compiler and build again");
  LoadedModel loaded = load_model(options.run, cpu_device);
  ModelSpec& spec = loaded.spec;
  const models::ModelOptions& o = spec.options;
  const Index width = options.width > 0 ? options.width : o.width;
  check_usage(width > 0, "export: {} takes any width; say one with --width", spec.model);
  check_usage(!spec.task.dynamic() || width == o.width,
              "export --width {}: the {} half seconds that the run answers for have {} frames",
              width, o.steps, o.width);
  const OnnxGraph graph =
      to_onnx(*loaded.module, {o.height, width, o.channels},
              spec.task.regression() ? "valence_arousal" : "logits", metadata_of(spec));
  data::write_file(options.onnx, graph.bytes);
  fmt::print("{}: {} -> {}; {} nodes, {} parameters, {:.1f} MB\n", options.onnx, graph.input,
             graph.output, graph.nodes, loaded.module->parameter_count(),
             static_cast<double>(graph.bytes.size()) / 1e6);
  if (spec.mel)
    fmt::print(
        "  x is a {}-band mel spectrogram (preset {}), standardised: {}; every setting is in "
        "the metadata\n",
        spec.mel->n_mels, spec.mel->preset, spec.mel->to_map().at("standardize"));
  if (spec.task.regression())
    fmt::print("  outputs: valence, arousal{}; 0 to 1 stands for {:g} to {:g}\n",
               spec.task.dynamic() ? fmt::format(" of each of {} half seconds", o.steps) : "",
               spec.scale.low, spec.scale.high);
  else
    fmt::print("  outputs: logits of {}\n", join(spec.task.classes));
  return exit_done;
}

}  // namespace

Command export_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("export", "A trained network as an ONNX file");
  sub->add_option("run", options->run, "Run folder, or a checkpoint of one")->required();
  sub->add_option("--onnx", options->onnx, "File to write")->required();
  sub->add_option("--width", options->width,
                  "Frames of the input; 0: as trained. Networks that average over time take any")
      ->check(number_in(0, 1 << 20))
      ->capture_default_str();
  sub->footer(
      "The graph begins at the standardised spectrogram x [N, 1, bands, frames] and ends at the\n"
      "logits (or valence and arousal). The front end is not in it: its settings, the statistics\n"
      "of the bands, classes and scale are in the file's metadata. Weights elsewhere: the\n"
      "safetensors files of a run have PyTorch's names and layout as they are.\n"
      "\n"
      "Example:\n"
      "  etude export run1 --onnx run1.onnx");
  return {sub, [options] { return run_export(*options); }};
}

}  // namespace etude::apps
