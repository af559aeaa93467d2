// The models: sizes, names, shapes, errors, the summary.
#include <doctest/doctest.h>

#include <cctype>
#include <cmath>
#include <set>

#include "models/linear.h"
#include "models/resnet.h"
#include "models/vgg.h"
#include "models/wide_resnet.h"
#include "models/zoo.h"

using namespace etude;
using models::make_model;
using models::ModelOptions;

namespace {

ModelOptions options(Index h, Index w, Index c, Index outputs) {
  ModelOptions o;
  o.height = h, o.width = w, o.channels = c, o.outputs = outputs;
  return o;
}

std::set<std::string> names(const Module& module) {
  std::set<std::string> result;
  for (const StateEntry& entry : module.state()) result.insert(entry.name);
  return result;
}

// The message of the Error that f throws; empty if it throws none.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("models") {
  TEST_CASE("parameter counts are the published ones") {
    struct Row {
      const char* name;
      ModelOptions options;
      Index parameters;
      std::size_t entries;
    };
    ModelOptions explainer = options(64, 64, 3, 3);
    explainer.padding = 0;
    ModelOptions mer10 = options(64, 1200, 1, 9);
    mer10.blocks = 3;
    ModelOptions mer32 = mer10;
    mer32.hidden = 32;
    const ModelOptions imagenet = options(224, 224, 3, 1000);
    const ModelOptions cifar = options(32, 32, 3, 10);
    const Row rows[] = {
        {"tinyvgg", explainer, 8'083, 10},
        {"tinyvgg", mer10, 112'659, 14},
        {"tinyvgg", mer32, 392'169, 14},
        {"vgg4", options(64, 64, 1, 4), 97'908, 26},
        {"resnet18", imagenet, 11'689'512, 122},
        {"resnet34", imagenet, 21'797'672, 218},
        {"resnet50", imagenet, 25'557'032, 320},
        {"resnet101", imagenet, 44'549'160, 626},
        {"resnet152", imagenet, 60'192'808, 932},
        {"resnet-mer", options(64, 1200, 1, 9), 11'179'657, 142},
        {"wrn-16-4", cifar, 2'748'890, 0},
        {"wrn-28-10", cifar, 36'479'194, 0},
        {"linear", options(64, 100, 1, 4), 64 * 2 * 4 + 4, 5},
        {"statistics", options(64, 512, 1, 4), 6 * 64 * 2 * 4 + 4, 6 * 4 + 1},
        {"statistics", options(64, 20, 1, 4), 4 * 64 * 2 * 4 + 4, 4 * 4 + 1},
    };
    for (const Row& row : rows) {
      INFO(row.name);
      const auto model = make_model(row.name, row.options);
      CHECK(model->parameter_count() == row.parameters);
      if (row.entries) CHECK(model->state().size() == row.entries);
    }
  }

  TEST_CASE("state names are PyTorch's") {
    const auto tiny = names(*make_model("tinyvgg", options(64, 64, 3, 3)));
    CHECK(tiny == std::set<std::string>{"conv_block_1.0.weight", "conv_block_1.0.bias",
                                        "conv_block_1.2.weight", "conv_block_1.2.bias",
                                        "conv_block_2.0.weight", "conv_block_2.0.bias",
                                        "conv_block_2.2.weight", "conv_block_2.2.bias",
                                        "classifier.1.weight", "classifier.1.bias"});
    // In torchvision's order, from the stem to the head.
    const auto state = make_model("resnet18", options(64, 64, 3, 10))->state();
    const char* first[] = {"conv1.weight",          "bn1.weight",         "bn1.bias",
                           "bn1.running_mean",      "bn1.running_var",    "bn1.num_batches_tracked",
                           "layer1.0.conv1.weight", "layer1.0.bn1.weight"};
    for (std::size_t i = 0; i < std::size(first); ++i) CHECK(state[i].name == first[i]);
    CHECK(state[state.size() - 2].name == "fc.weight");
    CHECK(state.back().name == "fc.bias");
    const auto resnet50 = names(*make_model("resnet50", options(64, 64, 3, 10)));
    for (const char* name : {"layer1.0.downsample.0.weight", "layer1.0.downsample.1.running_var",
                             "layer2.0.conv3.weight", "layer4.2.bn3.num_batches_tracked"})
      CHECK(resnet50.count(name) == 1);
    CHECK(resnet50.count("layer1.1.downsample.0.weight") == 0);
    const auto wide = names(*make_model("wrn-16-4", options(32, 32, 3, 10)));
    for (const char* name : {"block1.layer.0.convShortcut.weight", "block3.layer.1.conv2.weight",
                             "bn1.weight", "fc.bias"})
      CHECK(wide.count(name) == 1);
  }

  TEST_CASE("every model maps a batch to logits, and every parameter gets a gradient") {
    for (const std::string& name : models::model_names()) {
      if (name == "resnet101" || name == "resnet152" || name == "wrn-28-10") continue;  // by size
      for (const auto& [h, w, c] : {std::tuple<Index, Index, Index>{28, 28, 1}, {32, 40, 3}}) {
        const Shape shown{h, w, c};  // clang 14 cannot capture a structured binding
        INFO(name << " " << to_string(shown));
        ModelOptions o = options(h, w, c, 4);
        o.dropout = 0.1;
        const auto model = make_model(name, o);
        Generator generator(7);
        std::vector<float> values(static_cast<std::size_t>(2 * h * w * c));
        for (float& v : values) v = static_cast<float>(generator.normal());
        const Tensor y = (*model)(Tensor::from(values, {2, h, w, c}));
        CHECK(y.shape() == Shape{2, 4});
        backward(cross_entropy(y, Tensor::from(std::vector<std::int64_t>{0, 3}, {2})));
        for (const StateEntry& entry : model->state()) {
          INFO(entry.name);
          if (entry.trainable) CHECK(entry.tensor.grad().defined());
        }
        CHECK(names(*model).count(models::head_prefix(name) + "weight") == 1);
      }
    }
  }

  TEST_CASE("ResNets and wide ResNets take images down to one pixel") {
    for (const char* name : {"resnet18", "resnet50", "resnet-mer", "wrn-16-4"}) {
      INFO(name);
      const auto model = make_model(name, options(1, 1, 3, 2));
      model->train(false);
      const NoGrad no_grad;
      CHECK((*model)(Tensor::zeros({1, 1, 1, 3})).shape() == Shape{1, 2});
    }
  }

  TEST_CASE("the seed decides the initial weights") {
    ModelOptions o = options(32, 32, 1, 4);
    const auto a = make_model("vgg4", o), b = make_model("vgg4", o);
    o.seed = 1;
    const auto c = make_model("vgg4", o);
    const auto weight = [](const Module& m) { return m.state().front().tensor.to_vector<float>(); };
    CHECK(weight(*a) == weight(*b));
    CHECK(weight(*a) != weight(*c));
  }

  TEST_CASE("initialisation: variance 2 / fan_out, norms 1 and 0") {
    const auto model = make_model("resnet34", options(64, 64, 3, 10));
    for (const StateEntry& entry : model->state()) {
      INFO(entry.name);
      if (entry.name == "layer4.1.conv1.weight") {
        double sum = 0, squares = 0;
        for (const float x : entry.tensor.to_vector<float>()) sum += x, squares += double{x} * x;
        const auto n = static_cast<double>(entry.tensor.size());
        const double variance = squares / n - (sum / n) * (sum / n);
        const double expected = 2.0 / (512 * 9);
        // n is 2.4 million: the mean has a deviation of 1.3e-5, the variance one of 0.1 %.
        CHECK(std::abs(sum / n) < 7e-5);
        CHECK(std::abs(variance / expected - 1) < 0.005);
      }
      if (entry.name == "layer4.1.bn2.weight")
        CHECK(entry.tensor.to_vector<float>() == std::vector<float>(512, 1));
    }
    ModelOptions zero = options(64, 64, 3, 10);
    zero.zero_init_residual = true;
    for (const char* name : {"resnet18", "resnet50"}) {
      const std::string last = name == std::string("resnet18") ? "bn2" : "bn3";
      for (const StateEntry& entry : make_model(name, zero)->state())
        if (entry.name == "layer2.1." + last + ".weight")
          for (const float x : entry.tensor.to_vector<float>()) CHECK(x == 0);
    }
  }

  TEST_CASE("what cannot be built is said") {
    const auto message = [](const char* name, const ModelOptions& o) {
      return error_of([&] { make_model(name, o); });
    };
    CHECK(contains(message("resnet19", options(32, 32, 1, 4)), "tinyvgg, vgg4, resnet18"));
    CHECK(contains(message("resnet18", options(0, 32, 1, 4)), "0x32x1"));
    CHECK(contains(message("resnet18", options(32, 32, 1, 0)), "outputs is 0"));
    CHECK(contains(message("vgg4", options(15, 32, 1, 4)), "at least 16x16"));
    ModelOptions explainer = options(15, 64, 1, 4);
    explainer.padding = 0;
    CHECK(contains(message("tinyvgg", explainer), "at least 16x16"));
    explainer.height = explainer.width = 16;
    CHECK(message("tinyvgg", explainer).empty());
    explainer.blocks = 3;
    CHECK(contains(message("tinyvgg", explainer), "at least 36x36"));
    CHECK(contains(error_of([] {
                     models::WideResNet(models::WideResNetOptions{27, 1});
                   }),
                   "6 n + 4"));
    const auto model = make_model("tinyvgg", options(28, 28, 1, 4));
    CHECK(contains(error_of([&] { (*model)(Tensor::zeros({1, 28, 30, 1})); }), "28x28x1"));
  }

  TEST_CASE("a temporal head: an answer a step, from networks that end in a global pool") {
    for (const char* name : {"vgg4", "resnet18", "resnet-mer", "wrn-16-4"}) {
      CAPTURE(name);
      ModelOptions o = options(32, 129, 1, 2);
      o.steps = 12;
      const auto model = make_model(name, o);
      CHECK((*model)(Tensor::zeros({2, 32, 129, 1})).shape() == Shape{2, 24});
      CHECK(names(*model).count("head.context.weight") == 1);
      CHECK(names(*model).count("fc.weight") == 0);
      CHECK(models::head_prefix(name, true) == "head.");
    }
    ModelOptions o = options(32, 64, 1, 2);
    o.steps = 4;
    for (const char* name : {"tinyvgg", "linear"}) {
      CHECK_FALSE(models::has_temporal_head(name));
      CHECK(contains(error_of([&] { make_model(name, o); }), "4 steps"));
    }
    // What happens late in the input moves late answers most.
    const auto model = make_model("vgg4", o);
    model->train(false);
    Tensor x = Tensor::zeros({1, 32, 64, 1});
    const auto before = (*model)(x).to_vector<float>();
    for (int band = 0; band < 32; ++band)
      for (int frame = 56; frame < 64; ++frame) x.data<float>()[band * 64 + frame] = 5;
    const auto after = (*model)(x).to_vector<float>();
    double first = 0, last = 0;
    for (int axis = 0; axis < 2; ++axis) {
      first += std::abs(after[axis] - before[axis]);
      last += std::abs(after[6 + axis] - before[6 + axis]);
    }
    CHECK(last > first);
  }

  TEST_CASE("dropout leaves the state names alone") {
    for (const char* name : {"tinyvgg", "vgg4", "resnet18", "wrn-16-4"}) {
      ModelOptions o = options(32, 32, 1, 4);
      const auto without = names(*make_model(name, o));
      o.dropout = 0.5;
      CHECK(names(*make_model(name, o)) == without);
    }
  }

  TEST_CASE("the linear model standardises features of any scale") {
    // Features of channel 0 are around 1e3, of channel 1 around 1e-3; both must count.
    const auto model = make_model("linear", options(2, 16, 2, 2));
    Generator generator(3);
    std::vector<float> values(static_cast<std::size_t>(8 * 2 * 16 * 2));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i % 2 ? 1e-3 * (generator.normal() + 5)
                                           : 1e3 * (generator.normal() + 5));
    const Tensor x = Tensor::from(values, {8, 2, 16, 2});
    (*model)(x);
    (*model)(x);
    // After two equal batches the average is that batch's, and evaluation centres every feature.
    const auto state = model->state();
    CHECK(state[0].name == "norm.running_mean");
    const auto mean = state[0].tensor.to_vector<float>();
    CHECK(mean[0] == doctest::Approx(5e3).epsilon(0.1));
    CHECK(mean[1] == doctest::Approx(5e-3).epsilon(0.1));
    CHECK(state[2].tensor.item() == 2);
    // One example cannot be standardised by itself: it does not fail and changes nothing.
    (*model)(Tensor::zeros({1, 2, 16, 2}));
    CHECK(state[0].tensor.to_vector<float>() == mean);
    CHECK(state[2].tensor.item() == 2);
  }

  TEST_CASE("statistics at several rates tell patterns that mean and deviation do not") {
    // Two classes of +-1, in turn every column or every eighth: the same mean and deviation.
    const auto model = make_model("statistics", options(1, 64, 1, 2));
    std::vector<float> values;
    for (const int period : {1, 8})
      for (int column = 0; column < 64; ++column)
        values.push_back(column / period % 2 == 0 ? 1.0f : -1.0f);
    const Tensor x = Tensor::from(values, {2, 1, 64, 1});
    (*model)(x);
    // Column averages of 2, 4 and 8 are 0 in the first, +-1 in the second; of 16 and 32, 0 in both.
    const double second[] = {1, 1, 1, 1, 0, 0};
    for (const StateEntry& entry : model->state()) {
      if (entry.name.find("running_mean") == std::string::npos) continue;
      const int scale =
          entry.name[4] == '.' && std::isdigit(entry.name[5]) ? entry.name[5] - '0' : 0;
      const auto mean = entry.tensor.to_vector<float>();
      CHECK(mean[0] == doctest::Approx(0));
      CHECK(mean[1] == doctest::Approx((second[scale] + (scale == 0 ? 1 : 0)) / 2));
    }
    CHECK(names(*model).count("fc.5.weight") == 1);
    CHECK_THROWS_WITH_AS((*model)(Tensor::zeros({1, 1, 31, 1})), doctest::Contains("at least 32"),
                         Error);
  }

  // Evaluation that records nothing makes the norms part of the convolutions.
  TEST_CASE("evaluation gives the same with and without gradients") {
    // Roundings of the norms alone differ, some 1e-7 a layer, of fifty layers at most.
    constexpr double tolerance = 2e-5;
    Generator generator(3);
    std::vector<float> pixels(4 * 32 * 32);
    for (float& pixel : pixels) pixel = static_cast<float>(generator.normal());
    const Tensor x = Tensor::from(pixels, {4, 32, 32, 1});
    for (const char* name : {"vgg4", "resnet18", "resnet50", "resnet-mer", "wrn-16-4"}) {
      INFO(name);
      const auto model = make_model(name, options(32, 32, 1, 3));
      {
        const NoGrad no_grad;
        (*model)(x);  // running statistics that are not 0 and 1
      }
      model->train(false);
      const auto compare = [&] {
        const std::vector<float> expected = (*model)(x).to_vector<float>();
        const NoGrad no_grad;
        const std::vector<float> got = (*model)(x).to_vector<float>();
        double largest = 0, error = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          largest = std::max(largest, static_cast<double>(std::abs(expected[i])));
          error = std::max(error, static_cast<double>(std::abs(got[i] - expected[i])));
        }
        CHECK(error <= tolerance * largest);
        CHECK(largest > 0);
        Module::set_observer([](Module&, const Shape&, const Tensor&) {});
        CHECK((*model)(x).to_vector<float>() == expected);  // layer by layer
        Module::set_observer({});
        return expected;
      };
      const std::vector<float> before = compare();
      for (const StateEntry& entry : model->state())  // what is new counts at once
        if (entry.name.find("running_") == std::string::npos && entry.trainable)
          entry.tensor.copy_from(scale(entry.tensor.detach(), 1.25));
      CHECK(compare() != before);
    }
  }

  TEST_CASE("summary") {
    const auto model = make_model("resnet18", options(224, 224, 3, 1000));
    CHECK(model->training());
    const std::string text = models::summarize(*model, {224, 224, 3});
    CHECK(model->training());
    CHECK(contains(text, "11,689,512 total, 11,689,512 trainable, 0 fixed"));
    CHECK(contains(text, "1.81 G forward"));  // the number every table of networks gives
    CHECK(contains(text, "1x112x112x64"));
    CHECK(contains(text, "1x1000"));
    CHECK(!contains(text, "not run"));
    // Running statistics are untouched, and a batch multiplies the work.
    for (const StateEntry& entry : model->state())
      if (entry.name == "bn1.num_batches_tracked") CHECK(entry.tensor.item() == 0);
    CHECK(
        contains(models::summarize(*make_model("tinyvgg", options(28, 28, 1, 10)), {32, 28, 28, 1}),
                 "32x28x28x10"));
    // vgg4 on 16x16: a convolution, a norm and a pool a block; the average pool and the logits. The
    // flatten is a view and takes nothing.
    const Index numbers =
        (2 * 256 + 64) * 16 + (2 * 64 + 16) * 32 + (2 * 16 + 4) * 64 + (2 * 4 + 1) * 128 + 128 + 4;
    CHECK(contains(models::summarize(*make_model("vgg4", options(16, 16, 1, 4)), {16, 16, 1}),
                   fmt::format("{:.2f} KiB forward", static_cast<double>(numbers) * 4 / 1024)));
  }
}
