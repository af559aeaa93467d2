// Emotion over time: losses, answers every half second, what they are worth, from end to end.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/losses.h"
#include "apps/onnx.h"
#include "apps/over_time.h"
#include "cli_checks.h"

using namespace etude;
using namespace etude::apps;
using namespace etude::testing;
using nlohmann::json;

namespace {

std::vector<float> draw(int n, std::uint64_t seed) {
  Generator generator(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(generator.uniform());
  return values;
}

}  // namespace

TEST_SUITE("over-time") {
  TEST_CASE("the CCC loss is 1 - CCC, its gradient that of differences, and masks hold") {
    constexpr int n = 5, steps = 3, size = 2 * n * steps;
    const std::vector<float> x = draw(size, 1), t = draw(size, 2);
    std::vector<float> mask(size, 1.0f);
    for (int i = 0; i < size; i += 7) mask[i] = 0;
    const Shape shape{n, 2 * steps};
    const auto loss_at = [&](const std::vector<float>& values) {
      return ccc_loss(Tensor::from(values, shape), Tensor::from(t, shape),
                      Tensor::from(mask, shape))
          .item();
    };
    double expected = 1;
    for (int axis = 0; axis < 2; ++axis) {
      std::vector<double> truth, predicted;
      for (int i = axis; i < size; i += 2) {
        if (mask[i] == 0) continue;
        truth.push_back(t[i]);
        predicted.push_back(x[i]);
      }
      expected -= regress(truth, predicted).ccc / 2;
    }
    CHECK(loss_at(x) == doctest::Approx(expected).epsilon(1e-5));

    Tensor leaf = Tensor::from(x, shape);
    leaf.set_requires_grad(true);
    backward(scale(ccc_loss(leaf, Tensor::from(t, shape), Tensor::from(mask, shape)), 3));
    const std::vector<float> gradient = leaf.grad().to_vector<float>();
    for (int i = 0; i < size; ++i) {
      CAPTURE(i);
      if (mask[i] == 0) {
        CHECK(gradient[i] == 0);
        continue;
      }
      constexpr float h = 1e-2f;
      std::vector<float> up = x, down = x;
      up[i] += h, down[i] -= h;
      CHECK(gradient[i] ==
            doctest::Approx(3 * (loss_at(up) - loss_at(down)) / (2 * h)).epsilon(0.02));
    }
  }

  TEST_CASE("the masked squared error counts what the mask keeps") {
    const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4}, {1, 4});
    const Tensor t = Tensor::from(std::vector<float>{0, 0, 2, 0}, {1, 4});
    const Tensor mask = Tensor::from(std::vector<float>{1, 0, 1, 0}, {1, 4});
    CHECK(masked_mse_loss(x, t, mask, 2).item() == doctest::Approx((1 + 1) / 2.0));
    CHECK_THROWS_AS(masked_mse_loss(x, t, mask, 0), Error);
    CHECK_THROWS_AS(ccc_loss(x, t, Tensor::from(std::vector<float>{1, 1, 0, 0}, {1, 4})), Error);
  }

  TEST_CASE("per song and over all: the mean of each song's measure is not the measure of all") {
    data::Dataset dataset;
    dataset.kind = "pmemo";
    std::vector<Curve> curves;
    for (int song = 0; song < 2; ++song) {
      data::Item item;
      item.id = "pmemo/" + std::to_string(song);
      Curve curve{song, {}, {}};
      for (int step = 0; step < 40; ++step) {
        const double value = 0.2 + 0.5 * song + 0.002 * step;
        if (step >= 31) {
          item.dynamic.seconds.push_back(0.5 * step);
          item.dynamic.valence.push_back(value);
          item.dynamic.arousal.push_back(1 - value);
        }
        // Right about the song, wrong about its course.
        curve.valence.push_back(0.2 + 0.5 * song + 0.07 - 0.002 * (step - 31));
        curve.arousal.push_back(1 - value);
      }
      dataset.items.push_back(item);
      curves.push_back(curve);
    }
    const Evaluation e = evaluate_over_time("test", curves, dataset, {-1, 1}, {-1, 0.45, 0.55}, {});
    CHECK(e.songs == 2);
    CHECK(e.steps == 18);
    CHECK(e.arousal.model.ccc == doctest::Approx(1));
    CHECK(e.arousal.per_song->rmse == doctest::Approx(0));
    CHECK(e.valence.model.ccc > 0.95);
    CHECK(e.valence.per_song->pearson == doctest::Approx(-1));
    CHECK(e.valence.per_song->ccc < 0);
    CHECK(e.valence.baseline_per_song_rmse > 0.4);  // on -1 to 1, twice what it is on 0-1
    const Json json = to_json(e, true);
    CHECK(json.at("scale") == Json({-1, 1}));
    CHECK(json.at("order") == Json({"valence", "arousal"}));
    CHECK(json.at("curves").at(0).at(1).size() == 9);
    CHECK(json.at("per_song").at("pearson").at("valence").get<double>() < -0.99);
    // An annotation beyond the audio is left out.
    curves[0].valence.resize(35);
    curves[0].arousal.resize(35);
    CHECK(beside_annotation(dataset.items[0].dynamic, curves[0]).seconds.size() == 4);
  }

  TEST_CASE("from end to end: a network follows what changes within a song") {
    const TemporaryFolder folder;
    write_moving_corpus(folder / "corpus", 40);
    const std::string run = folder / "run", corpus = folder / "corpus";
    const CliResult trained =
        run_etude({"train",      "--dataset", "pmemo",   "--data",  corpus,      "--task",
                   "va-dynamic", "--mel",     "hop=512", "--mel",   "n_mels=32", "--epochs",
                   "60",         "--batch",   "8",       "--width", "125",       "--augment",
                   "crop",       "--cache",   "none",    "--out",   run});
    CAPTURE(trained.err);
    REQUIRE(trained.code == 0);
    CHECK(trained.err.find("every half second") != std::string::npos);
    const CliResult evaluated = run_etude({"eval", run, "--json", "--cache", "none"});
    REQUIRE(evaluated.code == 0);
    const json e = json::parse(evaluated.out);
    CHECK(e.at("scale") == json({0, 1}));
    CHECK(e.at("steps").get<int>() == 9 * e.at("n").get<int>());
    for (const char* axis : {"valence", "arousal"}) {
      CAPTURE(axis);
      CHECK(e.at("ccc").at(axis).get<double>() > 0.5);
      CHECK(e.at("per_song").at("rmse").at(axis).get<double>() <
            e.at("mean_predictor").at("per_song").at("rmse").at(axis).get<double>());
      CHECK(e.at("linear").at("per_song").at("rmse").at(axis).get<double>() > 0);
    }
    const std::string table = read_all(run + "/predictions-test.csv");
    CHECK(table.find("id,seconds,valence,arousal,predicted_valence,predicted_arousal,scale\n") ==
          0);
    CHECK(table.find(",0 to 1\n") != std::string::npos);
    CHECK(read_all(run + "/report.html").find("Per song, then averaged") != std::string::npos);

    const CliResult predicted =
        run_etude({"predict", run, corpus + "/chorus/1.wav", "--json", "--over-time"});
    REQUIRE(predicted.code == 0);
    const json answer = json::parse(predicted.out).at(0);
    CHECK(answer.at("over_time").size() == 40);
    CHECK(answer.at("over_time").at(1).at("start") == 0.5);
    CHECK(answer.at("scale") == json({0, 1}));
    const CliResult text = run_etude({"predict", run, corpus + "/chorus/1.wav"});
    CHECK(text.out.find("valence") < text.out.find("arousal"));
    // With the error on the test part, and the quadrant's probability under it; not without.
    CHECK(text.out.find("\xC2\xB1") != std::string::npos);
    CHECK(answer.at("confidence").get<double>() > 0.25);
    CHECK(answer.at("confidence").get<double>() <= 1);
    const json alone = json::parse(
        run_etude({"predict", run + "/best.safetensors", corpus + "/chorus/1.wav", "--json"}).out);
    CHECK(alone.at(0).at("valence") == answer.at("valence"));
    CHECK_FALSE(alone.at(0).contains("error"));

    if (onnx_available()) {
      const std::string file = folder / "run.onnx";
      const CliResult exported = run_etude({"export", run, "--onnx", file});
      CAPTURE(exported.err);
      REQUIRE(exported.code == 0);
      CHECK(exported.out.find("valence, arousal of each of") != std::string::npos);
      CHECK(read_all(file).find("outputs.steps") != std::string::npos);
      check_fails({"export", run, "--onnx", file, "--width", "77"}, 2, {"--width 77", "frames"});
    }

    // Hardly trained, a regression answers about the mean, which is where it began.
    for (const std::string task : {"va", "va-dynamic"}) {
      CAPTURE(task);
      const std::string fresh = folder / ("fresh-" + task);
      const CliResult result = run_etude(
          {"train", "--dataset", "pmemo", "--data", corpus, "--task", task, "--mel", "n_mels=32",
           "--epochs", "1", "--lr", "1e-9", "--loss", "ccc", "--cache", "none", "--out", fresh});
      CAPTURE(result.err);
      REQUIRE(result.code == 0);
      const json first = json::parse(read_all(fresh + "/eval-test.json"));
      for (const char* axis : {"valence", "arousal"})
        CHECK(first.at("rmse").at(axis).get<double>() <
              2.5 * first.at("mean_predictor").at("rmse").at(axis).get<double>());
    }

    // Folds name the scale and stand beside the baselines, too.
    const std::string folds = folder / "folds";
    const CliResult crossed =
        run_etude({"train", "--dataset", "pmemo", "--data", corpus, "--task", "va", "--mel",
                   "n_mels=32", "--epochs", "1", "--cv", "2", "--cache", "none", "--out", folds});
    CAPTURE(crossed.err);
    REQUIRE(crossed.code == 0);
    CHECK(crossed.out.find("scale 0 to 1, valence first") != std::string::npos);
    const json cv = json::parse(read_all(folds + "/cv.json"));
    CHECK(cv.at("order") == json({"valence", "arousal"}));
    for (const char* baseline : {"mean_predictor", "linear"})
      CHECK(cv.at(baseline).at("rmse").at("arousal").get<double>() > 0);
    CHECK(read_all(folds + "/report.html").find("task va") != std::string::npos);

    check_fails({"train", "--dataset", "pmemo", "--data", corpus, "--task", "va-dynamic", "--model",
                 "tinyvgg", "--out", folder / "x"},
                2, {"tinyvgg", "vgg4"});
    check_fails({"train", "--dataset", "pmemo", "--data", corpus, "--task", "va-dynamic",
                 "--augment", "mel,tempo", "--out", folder / "x"},
                2, {"--augment", "mel"});
    check_fails({"train", "--dataset", "pmemo", "--data", corpus, "--task", "va-dynamic",
                 "--augment", "crop,tempo", "--out", folder / "x"},
                2, {"tempo", "va-dynamic"});
    check_fails(
        {"train", "--dataset", "pmemo", "--data", corpus, "--loss", "ccc", "--out", folder / "x"},
        2, {"--loss ccc", "quadrants"});
  }
}
