// etude summary: the layers of a model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/option_check.h"
#include "apps/usage.h"
#include "models/zoo.h"

namespace etude::apps {

namespace {

struct Options {
  std::string model = "resnet18", input = "64x64x1";
  models::ModelOptions model_options;
};

Shape parse_input(const std::string& text) {
  Index h = 0, w = 0, c = 0;
  int used = 0;
  const int fields = std::sscanf(text.c_str(), "%ldx%ldx%ld%n", &h, &w, &c, &used);
  check_usage(fields == 3 && used == static_cast<int>(text.size()) && h > 0 && w > 0 && c > 0,
              "--input {}: expected HxWxC, e.g. 64x1200x1", text);
  return {h, w, c};
}

int summary(Options options) {
  const Shape input = parse_input(options.input);
  options.model_options.height = input[0];
  options.model_options.width = input[1];
  options.model_options.channels = input[2];
  const auto model = models::make_model(options.model, options.model_options);
  std::fputs(models::summarize(*model, input).c_str(), stdout);
  return exit_done;
}

}  // namespace

Command summary_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto& m = options->model_options;
  CLI::App* sub =
      app.add_subcommand("summary", "Layers of a model: shapes, parameters, multiply-adds, memory");
  sub->add_option("--model", options->model, "Which network")
      ->check(CLI::IsMember(models::model_names()))
      ->capture_default_str();
  sub->add_option("--input", options->input, "Height x width x channels of one sample")
      ->capture_default_str();
  sub->add_option("--outputs", m.outputs, "Classes")
      ->check(number_in<Index>(1, 1 << 20))
      ->capture_default_str();
  sub->add_option("--hidden", m.hidden, "Channels of TinyVGG")
      ->check(number_in<Index>(1, 1 << 16))
      ->capture_default_str();
  sub->add_option("--blocks", m.blocks, "Blocks of TinyVGG")
      ->check(number_in<Index>(1, 16))
      ->capture_default_str();
  sub->add_option("--padding", m.padding, "Padding of TinyVGG's convolutions")
      ->check(number_in<Index>(0, 1))
      ->capture_default_str();
  sub->add_option("--dropout", m.dropout, "Dropout before the last layer")
      ->check(number_in(0.0, 0.999999))
      ->capture_default_str();
  sub->footer(
      "Examples:\n"
      "  etude summary --model resnet18 --input 224x224x3 --outputs 1000\n"
      "  etude summary --model tinyvgg --blocks 3 --hidden 10 --input 64x1200x1 --outputs 9");
  return {sub, [options] { return summary(*options); }};
}

}  // namespace etude::apps
