// The program on other devices: what it says where one is absent, and whole runs on the emulator,
// with device memory out of the host's reach, beside the CPU's.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <variant>

#include "cli_data.h"
#include "cli_runner.h"
#include "data/npy.h"

using namespace etude;
using namespace etude::testing;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

namespace {

// What `etude info` says of a device.
Json device_entry(const std::string& name) {
  static const Json info = Json::parse(run_etude({"info", "--json"}).out);
  for (const Json& entry : info["devices"])
    if (entry["name"] == name) return entry;
  return {};
}
bool available(const std::string& name) {
  const Json entry = device_entry(name);
  return !entry.is_null() && entry["available"].get<bool>();
}

// Exit code 1, and one line with all of `parts`.
void check_fails(const Words& arguments, const Words& parts) {
  const CliResult result = run_etude(arguments);
  CAPTURE(result.err);
  CHECK(result.code == 1);
  const auto errors = result.errors();
  REQUIRE(errors.size() == 1);
  for (const auto& part : parts) {
    CAPTURE(part);
    CHECK(errors[0].find(part) != std::string::npos);
  }
}

struct Corpus {
  TemporaryFolder folder;
  std::string images = folder / "idx", tones = folder / "tones";
  Corpus() {
    write_idx_corpus(images, 64, 24);
    write_tone_corpus(tones, 8);
  }
  CliResult train(const std::string& device, const std::string& out, Words more) const {
    Words words = {"train", "--dataset", "idx",  "--data", images, "--epochs", "2",   "--batch",
                   "16",    "--cache",   "none", "--out",  out,    "--device", device};
    words.insert(words.end(), more.begin(), more.end());
    return run_etude(words);
  }
};
Corpus& corpus() {
  static Corpus instance;
  return instance;
}

std::vector<Json> records(const std::string& run) {
  std::vector<Json> result;
  std::ifstream in(run + "/metrics.jsonl");
  for (std::string line; std::getline(in, line);) result.push_back(Json::parse(line));
  return result;
}

// Sets a variable of the programs that are run while it lives.
class With {
 public:
  With(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~With() { unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace

TEST_SUITE("cli.device") {
  TEST_CASE("a device that is not there: the reason, exit code 1, nothing written") {
    const TemporaryFolder folder;
    const std::string out = folder / "run";
    CHECK(available("cpu"));
    if (!available("cuda")) {
      const std::string reason = device_entry("cuda")["remark"];
      CHECK(reason.size() > 20);
      for (const char* name : {"cuda", "cuda:1"}) {
        const Words train = {"train",    "--dataset", "idx",   "--data", corpus().images,
                             "--device", name,        "--out", out};
        check_fails(train, {std::string("device ") + name, reason});
      }
      check_fails({"mel", corpus().tones + "/low/0.wav", "--device", "cuda"}, {"cuda", reason});
      check_fails({"predict", "no-run", "x.wav", "--device", "cuda"}, {"cuda", reason});
      check_fails({"eval", "no-run", "--device", "cuda"}, {"cuda", reason});
    }
    check_fails({"mel", "x.wav", "--device", "gpu"}, {"'gpu'", "cuda:N"});
    check_fails({"mel", "x.wav", "--device", "cuda:700"}, {"cuda:700"});
    CHECK_FALSE(std::filesystem::exists(out));
  }

  TEST_CASE("auto never chooses the emulator, and says what it chose") {
    const Json info = Json::parse(run_etude({"info", "--json"}).out);
    CHECK(info["auto"] == (available("cuda") ? "cuda" : "cpu"));
    CHECK(info["vendor"].is_object());
    CHECK_FALSE(info["vendor"].empty());
    const TemporaryFolder folder;
    const CliResult result = run_etude({"mel", corpus().tones + "/low/0.wav"});
    CHECK(result.code == 0);
    CHECK(result.err.find("device: " + info["auto"].get<std::string>()) != std::string::npos);
  }

  TEST_CASE("a linear provider that cannot be used: the reason, exit code 1") {
    const TemporaryFolder folder;
    const Words train = {"train",    "--dataset", "idx",   "--data",      corpus().images,
                         "--device", "cpu",       "--out", folder / "run"};
    Words asked = train;
    asked.insert(asked.end(), {"--linear-provider", "cublas"});
    {
      const With absent("ETUDE_VENDOR", "/nowhere/libetude-vendor.so");
      check_fails(asked, {"cublas", "/nowhere/libetude-vendor.so"});
      const With by_variable("ETUDE_LINEAR", "cublas");
      check_fails(train, {"cublas", "/nowhere/libetude-vendor.so"});
      const std::string info = run_etude({"info"}).out;
      CHECK(info.find("libetude-vendor: /nowhere/libetude-vendor.so") != std::string::npos);
    }
    check_fails(asked, {"cublas"});  // whatever is installed: this is no CUDA device
    const With nonsense("ETUDE_LINEAR", "abacus");
    check_fails(train, {"abacus", "own or cublas"});
  }

  TEST_CASE("the program runs on the emulator as on the CPU") {
    if (!available("simt")) {
      MESSAGE("skipped: this build has no emulator");
      return;
    }
    const With guard("SIMT_GUARD_HOST", "1");
    const TemporaryFolder folder;
    for (const Words& model : {Words{"--model", "tinyvgg", "--hidden", "4"},
                               Words{"--model", "resnet18"}, Words{"--model", "linear"}}) {
      CAPTURE(model[1]);
      Words options = model;
      // Every optional part of a step.
      options.insert(options.end(), {"--ema", "0.5", "--clip-grad", "1", "--accumulate", "2",
                                     "--class-weights", "balanced", "--label-smoothing", "0.1"});
      // Adam divides by the gradient's size: where that is nearly nothing, the last bit decides.
      if (model[1] == "resnet18")
        options.insert(options.end(), {"--optimizer", "sgd", "--lr", "0.005"});
      if (model[1] == "tinyvgg") options.insert(options.end(), {"--dropout", "0.3"});
      const std::string cpu = folder / (model[1] + "-cpu"), simt = folder / (model[1] + "-simt");
      for (const auto& [device, out] : {std::pair{"cpu", cpu}, {"simt", simt}}) {
        const CliResult result = corpus().train(device, out, options);
        CAPTURE(result.err);
        REQUIRE(result.code == 0);
        CHECK(result.err.find(std::string("device: ") + device) != std::string::npos);
      }
      const auto a = records(cpu), b = records(simt);
      REQUIRE(a.size() == 2);
      REQUIRE(b.size() == 2);
      for (std::size_t e = 0; e < a.size(); ++e)
        for (const std::string key : {"loss", "val_loss"}) {
          const double x = a[e][key], y = b[e][key];
          CAPTURE(key);
          CHECK(std::abs(x - y) <= 1e-4 * std::abs(x));
        }
      const Json run = Json::parse(read_all(simt + "/run.json"));
      CHECK(run["environment"]["device"] == "simt");
      CHECK(run["environment"]["linear_provider"] == "own");
      const CliResult eval = run_etude({"eval", simt, "--json", "--device", "simt"});
      CAPTURE(eval.err);
      REQUIRE(eval.code == 0);
      const Json here = Json::parse(eval.out);
      const Json there = Json::parse(run_etude({"eval", simt, "--json", "--device", "cpu"}).out);
      CHECK(std::abs(here["loss"].get<double>() - there["loss"].get<double>()) <=
            1e-4 * there["loss"].get<double>());
    }
  }

  TEST_CASE("mel and predict on the emulator") {
    if (!available("simt")) return;
    const With guard("SIMT_GUARD_HOST", "1");
    const TemporaryFolder folder;
    const std::string file = corpus().tones + "/high/0.wav";
    for (const char* preset : {"librosa", "original"}) {
      std::vector<std::vector<float>> values;
      for (const char* device : {"cpu", "simt"}) {
        const std::string out = folder / (std::string(device) + ".npy");
        const CliResult result =
            run_etude({"mel", file, "--preset", preset, "--device", device, "--out", out});
        CAPTURE(result.err);
        REQUIRE(result.code == 0);
        values.push_back(std::get<std::vector<float>>(data::read_npy(out).values));
      }
      REQUIRE(values[0].size() == values[1].size());
      float peak = 0, difference = 0;
      for (std::size_t i = 0; i < values[0].size(); ++i) {
        peak = std::max(peak, std::abs(values[0][i]));
        difference = std::max(difference, std::abs(values[0][i] - values[1][i]));
      }
      CHECK(difference <= 1e-4F * peak);
    }
    const std::string run = folder / "run";
    const CliResult train = run_etude({"train", "--dataset", "folder", "--data", corpus().tones,
                                       "--model", "vgg4", "--epochs", "1", "--batch", "4",
                                       "--cache", "none", "--device", "simt", "--out", run});
    CAPTURE(train.err);
    REQUIRE(train.code == 0);
    const CliResult predict = run_etude({"predict", run, file, "--json", "--device", "simt"});
    CAPTURE(predict.err);
    CHECK(predict.code == 0);
  }

  // The same draws on both, done by the back end's own kernel.
  TEST_CASE("augmentation on the emulator is that of the CPU") {
    if (!available("simt")) return;
    const With guard("SIMT_GUARD_HOST", "1");
    const TemporaryFolder folder;
    std::vector<std::vector<Json>> of_device;
    std::vector<std::vector<float>> values;
    for (const std::string device : {"cpu", "simt"}) {
      const std::string out = folder / device;
      const CliResult train = run_etude(
          {"train",    "--dataset",   "folder",  "--data", corpus().tones, "--model", "linear",
           "--epochs", "3",           "--batch", "4",      "--width",      "32",      "--augment",
           "all",      "--optimizer", "sgd",     "--lr",   "0.01",         "--cache", "none",
           "--device", device,        "--out",   out});
      CAPTURE(train.err);
      REQUIRE(train.code == 0);
      of_device.push_back(records(out));
      const std::string npy = folder / (device + ".npy");
      const CliResult mel =
          run_etude({"mel", corpus().tones + "/high/0.wav", "--preset", "mer", "--mel",
                     "fill_seconds=0", "--augment", "all", "--mix", corpus().tones + "/low/0.wav",
                     "--device", device, "--out", npy});
      CAPTURE(mel.err);
      REQUIRE(mel.code == 0);
      values.push_back(std::get<std::vector<float>>(data::read_npy(npy).values));
    }
    REQUIRE(of_device[0].size() == 3);
    REQUIRE(of_device[1].size() == 3);
    for (std::size_t e = 0; e < 3; ++e) {
      const double x = of_device[0][e]["loss"], y = of_device[1][e]["loss"];
      CHECK(std::abs(x - y) <= 1e-4 * std::abs(x));
    }
    REQUIRE(values[0].size() == values[1].size());
    float peak = 0, difference = 0;
    for (std::size_t i = 0; i < values[0].size(); ++i) {
      peak = std::max(peak, std::abs(values[0][i]));
      difference = std::max(difference, std::abs(values[0][i] - values[1][i]));
    }
    CHECK(difference <= 1e-4F * peak);
  }
}
