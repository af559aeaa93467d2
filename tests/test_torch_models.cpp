// Whole networks, optimisers and schedules against PyTorch (fixtures/make_torch.py made the
// numbers): logits, loss, every gradient, running statistics, ten steps of training.
#include <functional>

#include "engine/optimizer.h"
#include "engine/schedule.h"
#include "models/resnet.h"
#include "models/vgg.h"
#include "models/wide_resnet.h"
#include "temporary_folder.h"
#include "torch_fixture.h"

using namespace etude;
using namespace etude::testing;

namespace {

const Fixture& fixture() {
  static const Fixture instance("torch_models");
  return instance;
}

struct Network {
  std::string name;
  std::function<std::unique_ptr<Module>()> make;
  std::vector<std::string> optimizers;
};

std::unique_ptr<Module> make_resnet(models::ResNetOptions::Block block, std::array<Index, 4> layers,
                                    Index channels, Index width, bool mer = false) {
  models::ResNetOptions o;
  o.block = block;
  o.layers = layers;
  o.channels = channels;
  o.outputs = 5;
  o.width = width;
  o.conv_bias = o.pool_first = mer;
  return std::make_unique<models::ResNet>(o);
}

const std::vector<Network>& networks() {
  using models::ResNetOptions;
  static const std::vector<Network> all = {
      {"tinyvgg",
       [] {
         return std::make_unique<models::TinyVgg>(
             models::TinyVggOptions{20, 24, 3, 3, /*hidden=*/6, /*blocks=*/2, /*padding=*/0});
       },
       {"sgd", "sgd_dampening", "sgd_plain", "adamw"}},
      {"resnet18",
       [] {
         return make_resnet(ResNetOptions::basic, {2, 2, 2, 2}, 3, 6);
       },
       {"sgd", "adamw"}},
      {"bottleneck",
       [] {
         return make_resnet(ResNetOptions::bottleneck, {1, 2, 1, 1}, 3, 4);
       },
       {"sgd"}},
      {"resnet_mer",
       [] {
         return make_resnet(ResNetOptions::basic, {1, 1, 1, 1}, 1, 4, true);
       },
       {"sgd"}},
      {"wide_resnet",
       [] {
         return std::make_unique<models::WideResNet>(models::WideResNetOptions{10, 1, 3, 5});
       },
       {"sgd"}},
  };
  return all;
}

std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const Module& module) {
  if (name == "sgd") {
    SgdOptions o;
    o.lr = 0.02, o.momentum = 0.9, o.weight_decay = 0.01, o.nesterov = true;
    return std::make_unique<Sgd>(module, o);
  }
  if (name == "sgd_dampening") {
    SgdOptions o;
    o.lr = 0.02, o.momentum = 0.8, o.dampening = 0.3;
    return std::make_unique<Sgd>(module, o);
  }
  if (name == "sgd_plain") {
    SgdOptions o;
    o.lr = 0.05, o.momentum = 0;
    return std::make_unique<Sgd>(module, o);
  }
  AdamwOptions o;
  o.lr = 0.003, o.beta1 = 0.9, o.beta2 = 0.99, o.weight_decay = 0.05;
  return std::make_unique<Adamw>(module, o);
}

// The network with the fixture's weights, which arrive by way of a checkpoint file.
std::unique_ptr<Module> load(const Network& network, const Place& place) {
  auto module = network.make();
  module->to(place.dtype);
  module->to(place.device);
  const std::string prefix = network.name + ".state.";
  std::vector<std::pair<std::string, Tensor>> state;
  for (const auto& [name, tensor] : fixture().all())
    if (name.starts_with(prefix)) state.emplace_back(name.substr(prefix.size()), tensor);
  const TemporaryFolder folder;
  write_safetensors(folder / "state.safetensors", state);
  load_state(folder / "state.safetensors", module->state());
  return module;
}

// Compares tensors of the module's state with the fixture's NAME.WHAT.<entry>.
void check_entries(const std::string& what, const Module& module, const Place& place,
                   double tolerance, const std::function<Tensor(const StateEntry&)>& pick,
                   double scale = 0) {
  for (const StateEntry& entry : module.state()) {
    const std::string name = what + "." + entry.name;
    const Tensor tensor = pick(entry);
    if (!tensor.defined()) continue;
    check_close(name, to_torch_layout(tensor.to(cpu_device), entry.layout), fixture()[name], place,
                tolerance, scale);
  }
}

Tensor gradient_of(const StateEntry& entry) {
  return entry.trainable ? entry.tensor.grad() : Tensor{};
}

// The bias of a convolution before a batch norm has a gradient of zero, computed as a sum of many
// that cancel: its error is measured against a small part of the largest gradient.
double scale_of_zero(const Module& module) {
  double scale = 0;
  for (const Tensor& parameter : module.parameters())
    scale = std::max(scale, 1e-2 * largest(parameter.grad()));
  return scale;
}

// Rounding grows through some twenty layers and their batch norms.
constexpr double logits_tolerance = 1e-5;
constexpr double gradient_tolerance = 5e-5;
constexpr double training_tolerance = 1e-4;

}  // namespace

TEST_SUITE("torch.models") {
  TEST_CASE("logits, loss and every gradient of whole networks") {
    for (const Network& network : networks()) {
      for_each_place([&](const Place& place) {
        const std::string& name = network.name;
        const auto module = load(network, place);
        const Tensor x = put_nchw(fixture()[name + ".x"], place);
        const Tensor labels = put(fixture()[name + ".labels"], place);
        const Tensor logits = (*module)(x);
        check_close(name + " logits", logits, fixture()[name + ".logits"], place, logits_tolerance);
        const Tensor loss = cross_entropy(logits, labels);
        check_close(name + " loss", loss, fixture()[name + ".loss"], place, logits_tolerance);
        backward(loss);
        check_entries(name + ".grad", *module, place, gradient_tolerance, gradient_of,
                      scale_of_zero(*module));
        check_entries(
            name + ".after", *module, place, logits_tolerance, [](const StateEntry& entry) {
              return entry.name.find("running_") != std::string::npos ? entry.tensor : Tensor{};
            });
        module->train(false);
        const NoGrad no_grad;
        check_close(name + " evaluation", (*module)(x), fixture()[name + ".logits_eval"], place,
                    logits_tolerance);
      });
    }
  }

  TEST_CASE("ten losses of SGD and AdamW") {
    for (const Network& network : networks()) {
      for (const std::string& optimizer_name : network.optimizers) {
        for_each_place([&](const Place& place) {
          const std::string& name = network.name;
          const auto module = load(network, place);
          const auto optimizer = make_optimizer(optimizer_name, *module);
          Ema ema(*module, 0.9);
          const Tensor x = put_nchw(fixture()[name + ".x"], place);
          const Tensor labels = put(fixture()[name + ".labels"], place);
          std::vector<double> losses;
          for (int i = 0; i < 10; ++i) {
            optimizer->zero_grad();
            const Tensor loss = cross_entropy((*module)(x), labels);
            backward(loss);
            optimizer->step();
            ema.update();
            losses.push_back(loss.item());
          }
          const std::string what = name + "." + optimizer_name;
          check_close(what + "_losses", Tensor::from(losses, {10}), fixture()[what + "_losses"],
                      place, training_tolerance);
          if (!fixture().has(what + ".classifier.1.bias")) return;
          const auto parameter = [](const StateEntry& entry) {
            return entry.trainable ? entry.tensor : Tensor{};
          };
          check_entries(what, *module, place, training_tolerance, parameter);
          ema.swap();
          check_entries(what + "_ema", *module, place, training_tolerance, parameter);
          ema.swap();
          check_entries(what, *module, place, training_tolerance, parameter);
        });
      }
    }
  }

  TEST_CASE("gradients clipped to a common norm") {
    const Network& network = networks().front();
    for_each_place([&](const Place& place) {
      const auto module = load(network, place);
      const auto optimizer = make_optimizer("sgd", *module);
      backward(cross_entropy((*module)(put_nchw(fixture()["tinyvgg.x"], place)),
                             put(fixture()["tinyvgg.labels"], place)));
      const Tensor norm = optimizer->clip_gradients(0.5);
      check_close("norm", norm, fixture()["tinyvgg.norm"], place, gradient_tolerance);
      check_entries("tinyvgg.clipped", *module, place, gradient_tolerance, gradient_of);
    });
  }

  TEST_CASE("learning-rate schedules") {
    const Fixture fixed("torch_schedules");
    const auto compare = [&](const std::string& name, const Schedule& schedule) {
      const std::vector<double> expected = fixed[name].to_vector<double>();
      REQUIRE(static_cast<Index>(expected.size()) == schedule.total_steps);
      for (Index i = 0; i < schedule.total_steps; ++i) {
        INFO(name << " step " << i);
        // PyTorch computes some of them by recursion; the rounding adds up to a few digits.
        CHECK(std::abs(schedule.factor(i) - expected[static_cast<std::size_t>(i)]) <= 1e-13);
      }
    };
    Schedule one_cycle;
    one_cycle.kind = Schedule::one_cycle;
    one_cycle.total_steps = 10;
    compare("one_cycle.10.0.3.25.10000", one_cycle);
    one_cycle.total_steps = 3;
    compare("one_cycle.3.0.3.25.10000", one_cycle);
    one_cycle.total_steps = 37;
    one_cycle.pct_start = 0.25, one_cycle.div_factor = 10, one_cycle.final_div_factor = 1e3;
    compare("one_cycle.37.0.25.10.1000", one_cycle);
    Schedule cosine;
    cosine.kind = Schedule::cosine;
    cosine.total_steps = 20;
    cosine.final_factor = 0.05;
    compare("cosine.20.0.05", cosine);
    Schedule step;
    step.kind = Schedule::step;
    step.total_steps = 20;
    step.step_every = 6;
    step.gamma = 0.3;
    compare("step.20.6.0.3", step);
  }

}  // TEST_SUITE
