#include "models/zoo.h"

#include "models/linear.h"
#include "models/resnet.h"
#include "models/vgg.h"
#include "models/wide_resnet.h"

namespace etude::models {

namespace {

using Factory = std::unique_ptr<Module> (*)(const ModelOptions&);

struct Entry {
  const char* name;
  Factory make;
  const char* head;
  Index least_side;  // of the input; 1 where the model has its own rule
  bool temporal = true;
};

std::unique_ptr<Module> make_tinyvgg(const ModelOptions& o) {
  return std::make_unique<TinyVgg>(TinyVggOptions{
      o.height, o.width, o.channels, o.outputs, o.hidden, o.blocks, o.padding, o.dropout, o.seed});
}

std::unique_ptr<Module> make_vgg4(const ModelOptions& o) {
  return std::make_unique<Vgg4>(Vgg4Options{o.channels, o.outputs, o.steps, o.dropout, o.seed});
}

ResNetOptions resnet_options(const ModelOptions& o) {
  ResNetOptions r;
  r.channels = o.channels;
  r.outputs = o.outputs;
  r.steps = o.steps;
  r.dropout = o.dropout;
  r.zero_init_residual = o.zero_init_residual;
  r.seed = o.seed;
  return r;
}

template <ResNetOptions::Block block, Index a, Index b, Index c, Index d>
std::unique_ptr<Module> make_resnet(const ModelOptions& o) {
  ResNetOptions r = resnet_options(o);
  r.block = block;
  r.layers = {a, b, c, d};
  return std::make_unique<ResNet>(r);
}

std::unique_ptr<Module> make_resnet_mer(const ModelOptions& o) {
  ResNetOptions r = resnet_options(o);
  r.conv_bias = true;
  r.pool_first = true;
  return std::make_unique<ResNet>(r);
}

template <Index depth, Index widen>
std::unique_ptr<Module> make_wide_resnet(const ModelOptions& o) {
  return std::make_unique<WideResNet>(
      WideResNetOptions{depth, widen, o.channels, o.outputs, o.steps, o.dropout, o.seed});
}

std::unique_ptr<Module> make_linear(const ModelOptions& o) {
  return std::make_unique<LinearModel>(o.height, o.channels, o.outputs, o.seed);
}

std::unique_ptr<Module> make_statistics(const ModelOptions& o) {
  return std::make_unique<StatisticsModel>(o.height, o.width, o.channels, o.outputs, o.seed);
}

constexpr auto basic = ResNetOptions::basic;
constexpr auto bottleneck = ResNetOptions::bottleneck;

constexpr Entry entries[] = {
    {"tinyvgg", make_tinyvgg, "classifier.1.", 1, false},
    {"vgg4", make_vgg4, "fc.", 16},
    {"resnet18", make_resnet<basic, 2, 2, 2, 2>, "fc.", 1},
    {"resnet34", make_resnet<basic, 3, 4, 6, 3>, "fc.", 1},
    {"resnet50", make_resnet<bottleneck, 3, 4, 6, 3>, "fc.", 1},
    {"resnet101", make_resnet<bottleneck, 3, 4, 23, 3>, "fc.", 1},
    {"resnet152", make_resnet<bottleneck, 3, 8, 36, 3>, "fc.", 1},
    {"resnet-mer", make_resnet_mer, "fc.", 1},
    {"wrn-16-4", make_wide_resnet<16, 4>, "fc.", 1},
    {"wrn-28-10", make_wide_resnet<28, 10>, "fc.", 1},
    {"linear", make_linear, "fc.", 1, false},
    {"statistics", make_statistics, "fc.", 1, false},
};

const Entry& find(const std::string& name) {
  for (const Entry& entry : entries)
    if (name == entry.name) return entry;
  fail("model '{}' is unknown; there are {}", name, fmt::join(model_names(), ", "));
}

}  // namespace

std::unique_ptr<Module> make_model(const std::string& name, const ModelOptions& options) {
  const Entry& entry = find(name);
  check(options.height > 0 && options.width > 0 && options.channels > 0,
        "model {}: the input size {}x{}x{} (HxWxC) must be positive", name, options.height,
        options.width, options.channels);
  check(options.outputs > 0, "model {}: outputs is {}, must be positive", name, options.outputs);
  check(options.steps == 0 || (options.steps > 0 && entry.temporal),
        "model {}: {} steps over time; only a network that ends in a global pool has them", name,
        options.steps);
  check(options.dropout >= 0 && options.dropout < 1, "model {}: dropout is {}, must lie in [0, 1)",
        name, options.dropout);
  check(options.height >= entry.least_side && options.width >= entry.least_side,
        "model {}: an input of {}x{} is too small: at least {}x{}", name, options.height,
        options.width, entry.least_side, entry.least_side);
  return entry.make(options);
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.emplace_back(entry.name);
  return names;
}

std::string head_prefix(const std::string& name, bool over_time) {
  return over_time ? "head." : find(name).head;
}

bool has_temporal_head(const std::string& name) { return find(name).temporal; }

}  // namespace etude::models
