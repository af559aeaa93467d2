// Optimisers and schedules beyond what the PyTorch fixtures show.
#include "engine/optimizer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/checkpoint.h"
#include "engine/dispatch.h"
#include "engine/layers.h"
#include "engine/schedule.h"
#include "models/resnet.h"
#include "temporary_folder.h"

using namespace etude;

namespace {

// Two linear layers of which forward uses one, so that the other gets no gradient.
class Pair final : public Module {
 public:
  explicit Pair(std::uint64_t seed) : Pair(Generator(seed)) {}
  Tensor forward(const Tensor& x) override { return (use_second ? second_ : first_)(x); }
  std::string kind() const override { return "Pair"; }
  bool use_second = false;

 private:
  explicit Pair(Generator generator)
      : first_(3, 2, true, generator), second_(3, 2, true, generator) {
    register_module("first", first_);
    register_module("second", second_);
  }
  Linear first_, second_;
};

const Tensor& pair_input() {
  static const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, -1, 0.5f, 2}, {2, 3});
  return x;
}

void step(Module& module, Optimizer& optimizer, const Tensor& x) {
  optimizer.zero_grad();
  backward(cross_entropy(module(x), Tensor::from(std::vector<std::int64_t>{0, 1}, {2})));
  optimizer.step();
}

using Numbers = std::vector<std::vector<double>>;

// Every number of a state, for a comparison bit by bit.
Numbers numbers(const std::vector<StateEntry>& state) {
  Numbers result;
  for (const StateEntry& entry : state) {
    if (entry.tensor.dtype() == DType::i64)
      result.push_back({entry.tensor.item()});
    else
      result.push_back(entry.tensor.to(DType::f64).to_vector<double>());
  }
  return result;
}

Tensor find(const std::vector<StateEntry>& state, const std::string& name) {
  for (const StateEntry& entry : state)
    if (entry.name == name) return entry.tensor;
  FAIL("no entry " << name);
  return {};
}

std::unique_ptr<Module> small_resnet() {
  models::ResNetOptions o;
  o.layers = {1, 1, 1, 1};
  o.channels = 2, o.outputs = 2, o.width = 4;
  return std::make_unique<models::ResNet>(o);
}

Tensor small_image() {
  Generator generator(11);
  std::vector<float> values(2 * 24 * 20 * 2);
  for (float& v : values) v = static_cast<float>(generator.normal());
  return Tensor::from(values, {2, 24, 20, 2});
}

template <class MakeOptimizer>
void check_resume(MakeOptimizer make) {
  const testing::TemporaryFolder folder;
  const Tensor x = small_image();
  const auto whole = small_resnet();
  const auto optimizer = make(*whole);
  for (int i = 0; i < 3; ++i) step(*whole, *optimizer, x);
  save_state(folder / "model", whole->state());
  save_state(folder / "optimizer", optimizer->state());
  const Index steps = optimizer->steps();
  CHECK(steps == 3);
  for (int i = 0; i < 3; ++i) step(*whole, *optimizer, x);

  const auto resumed = small_resnet();
  const auto other = make(*resumed);
  load_state(folder / "model", resumed->state());
  load_state(folder / "optimizer", other->state());
  other->set_steps(steps);
  for (int i = 0; i < 3; ++i) step(*resumed, *other, x);
  CHECK(numbers(resumed->state()) == numbers(whole->state()));
  CHECK(numbers(other->state()) == numbers(optimizer->state()));
  CHECK(other->steps() == 6);

  // The check above can fail: without the optimiser's state the runs part.
  const auto forgetful = small_resnet();
  const auto fresh = make(*forgetful);
  load_state(folder / "model", forgetful->state());
  for (int i = 0; i < 3; ++i) step(*forgetful, *fresh, x);
  CHECK(numbers(forgetful->state()) != numbers(whole->state()));
}

}  // namespace

TEST_SUITE("optimizer") {
  TEST_CASE("a resumed run equals the uninterrupted one bit for bit") {
    SUBCASE("sgd") {
      check_resume([](const Module& m) {
        SgdOptions o;
        o.weight_decay = 0.01, o.dampening = 0.1;
        return std::make_unique<Sgd>(m, o);
      });
    }
    SUBCASE("adamw") {
      check_resume([](const Module& m) { return std::make_unique<Adamw>(m, AdamwOptions{}); });
    }
  }

  TEST_CASE("a parameter without a gradient is left alone and keeps its own count") {
    Pair module(1);
    Adamw optimizer(module, AdamwOptions{});
    const auto before = numbers(module.state());
    for (int i = 0; i < 4; ++i) step(module, optimizer, pair_input());
    const auto after = numbers(module.state());
    CHECK(after[0] != before[0]);
    CHECK(after[2] == before[2]);
    CHECK(after[3] == before[3]);
    CHECK(find(optimizer.state(), "first.weight.step").item() == 4);
    CHECK(find(optimizer.state(), "second.weight.step").item() == 0);
    CHECK(optimizer.steps() == 4);

    // Its first step is the same as that of an optimiser that starts now.
    module.use_second = true;
    Pair twin(1);
    twin.use_second = true;
    Adamw late(twin, AdamwOptions{});
    step(module, optimizer, pair_input());
    step(twin, late, pair_input());
    CHECK(numbers(module.state())[2] == numbers(twin.state())[2]);
    CHECK(numbers(module.state())[3] == numbers(twin.state())[3]);
    // And the first layer rests meanwhile.
    CHECK(numbers(module.state())[0] == after[0]);
  }

  TEST_CASE("weight decay can spare biases and norms") {
    for (const bool all : {true, false}) {
      Pair module(1);
      SgdOptions o;
      o.lr = 0.1, o.momentum = 0, o.weight_decay = 0.5;
      Sgd optimizer(module, o, all);
      const auto before = numbers(module.state());
      // A gradient of zero shows the decay alone: p -= lr wd p.
      backward(scale(sum(module(pair_input())), 0));
      optimizer.step();
      const auto after = numbers(module.state());
      CHECK(after[0][0] == doctest::Approx(0.95 * before[0][0]).epsilon(1e-6));
      CHECK(after[1][0] == doctest::Approx((all ? 0.95 : 1.0) * before[1][0]).epsilon(1e-6));
    }
  }

  TEST_CASE("clipping leaves small gradients alone") {
    Pair module(1);
    Sgd optimizer(module, SgdOptions{});
    CHECK(optimizer.clip_gradients(1).item() == 0);  // no gradient at all
    backward(sum(module(pair_input())));
    const auto gradient = [&] {
      return find(module.state(), "first.weight").grad().to_vector<float>();
    };
    const auto before = gradient();
    const double norm = optimizer.clip_gradients(1e6).item();
    CHECK(gradient() == before);
    // d sum(y) / d w = the sum of the inputs, for each of two outputs; d / d b = 2.
    CHECK(norm == doctest::Approx(std::sqrt(2 * (0 + 2.5 * 2.5 + 5 * 5) + 2 * 4)).epsilon(1e-6));
    optimizer.clip_gradients(norm / 2);
    CHECK(gradient()[2] == doctest::Approx(before[2] / 2).epsilon(1e-5));
  }

  TEST_CASE("lists of more tensors than one launch takes, empty ones among them") {
    constexpr Index count = 400;
    // The norm and the numbers of all tensors after a clip and two steps of AdamW.
    const auto run = [](Device device) {
      Generator generator(3);
      std::vector<Index> sizes;
      std::vector<double> decay;
      std::vector<Tensor> columns[4];
      std::vector<float*> pointers[4];
      for (Index t = 0; t < count; ++t) {
        sizes.push_back(t * 7 % 12);
        decay.push_back(t % 2 ? 0 : 0.1);
        for (int c = 0; c < 4; ++c) {
          std::vector<float> values(static_cast<std::size_t>(sizes.back()));
          for (float& v : values) v = static_cast<float>(generator.uniform(0.1, 1));
          columns[c].push_back(Tensor::from(values, {sizes.back()}, device));
          pointers[c].push_back(columns[c].back().data<float>());
        }
      }
      const std::vector<const float*> grads(pointers[1].begin(), pointers[1].end());
      const TensorList<float> list{count,        sizes.data(),       pointers[0].data(),
                                   grads.data(), pointers[2].data(), pointers[3].data(),
                                   decay.data()};
      const Kernels<float>& kernels = kernels_for<float>(device);
      const Stream stream = current_stream(device);
      const Tensor norm({}, DType::f32, device);
      const Workspace work(device, kernels.gradient_norm_workspace(list));
      kernels.gradient_norm(stream, list, norm.data<float>(), work.data());
      kernels.gradient_clip(stream, list, pointers[1].data(), norm.data<float>(), 1);
      for (const Index step : {1, 2}) kernels.adamw_step(stream, list, {.lr = 0.1, .step = step});
      std::vector<float> result = norm.to_vector<float>();
      for (const auto& column : columns)
        for (const Tensor& tensor : column)
          for (const float v : tensor.to_vector<float>()) result.push_back(v);
      return result;
    };
    const std::vector<float> expected = run(reference_device);
    for (const Device device : available_devices()) {
      INFO(to_string(device));
      const std::vector<float> got = run(device);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i)
        REQUIRE(std::abs(got[i] - expected[i]) <= 1e-6f * (1 + std::abs(expected[i])));
    }
  }

  TEST_CASE("moving average: weights are averaged, statistics copied, swapped and back") {
    const auto module = small_resnet();
    Sgd optimizer(*module, SgdOptions{});
    Ema ema(*module, 0.5);
    const double start = find(module->state(), "conv1.weight").to_vector<float>()[0];
    step(*module, optimizer, small_image());
    ema.update();
    const auto trained = numbers(module->state());
    const double now = find(module->state(), "conv1.weight").to_vector<float>()[0];
    ema.swap();
    CHECK(find(module->state(), "conv1.weight").to_vector<float>()[0] ==
          doctest::Approx((start + now) / 2).epsilon(1e-6));
    CHECK(find(module->state(), "bn1.num_batches_tracked").item() == 1);
    ema.swap();
    CHECK(numbers(module->state()) == trained);
  }

  TEST_CASE("impossible options are refused") {
    const Pair module(1);
    SgdOptions nesterov;
    nesterov.nesterov = true, nesterov.momentum = 0;
    CHECK_THROWS_AS(Sgd(module, nesterov), Error);
    AdamwOptions beta;
    beta.beta2 = 1;
    CHECK_THROWS_AS(Adamw(module, beta), Error);
    CHECK_THROWS_AS(Ema(module, 1), Error);
    CHECK_THROWS_AS(Sgd(module, SgdOptions{}).clip_gradients(0), Error);
  }
}

TEST_SUITE("schedule") {
  TEST_CASE("warm-up rises linearly to the full rate and hands over") {
    Schedule s;
    s.kind = Schedule::cosine;
    s.total_steps = 14;
    s.warmup_steps = 4;
    for (Index i = 0; i < 4; ++i)
      CHECK(s.factor(i) == doctest::Approx(static_cast<double>(i + 1) / 5));
    CHECK(s.factor(4) == 1);
    CHECK(s.factor(9) == doctest::Approx(0.5));
    CHECK(s.factor(14) == 0);
    s.kind = Schedule::constant;
    CHECK(s.factor(0) == doctest::Approx(0.2));
    CHECK(s.factor(100) == 1);
  }

  TEST_CASE("the published one-cycle values") {
    Schedule s;
    s.kind = Schedule::one_cycle;
    s.total_steps = 10;
    const double expected[] = {.04, .52, 1, .95048, .81175, .61126, .38874, .18826, .04952, 0};
    for (Index i = 0; i < 10; ++i) CHECK(std::abs(s.factor(i) - expected[i]) < 1e-5);
    CHECK(s.factor(25) == s.factor(9));
  }

  TEST_CASE("short one-cycles stay finite") {
    for (Index total = 1; total < 12; ++total)
      for (const double pct : {0.0, 0.1, 0.25, 0.5, 1.0}) {
        Schedule s;
        s.kind = Schedule::one_cycle;
        s.total_steps = total;
        s.pct_start = pct;
        for (Index i = 0; i < total; ++i) {
          CHECK(s.factor(i) >= 0);
          CHECK(s.factor(i) <= 1 + 1e-12);
        }
      }
  }

  TEST_CASE("impossible schedules are refused") {
    Schedule s;
    s.total_steps = 0;
    CHECK_THROWS_AS(s.factor(0), Error);
    s.total_steps = 5;
    CHECK_THROWS_AS(s.factor(-1), Error);
    s.kind = Schedule::step;
    s.step_every = 0;
    CHECK_THROWS_AS(s.factor(0), Error);
  }
}
