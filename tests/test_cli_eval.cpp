// What the program says about a trained model: words, baselines, other data, folds, damaged runs.
#include "cli_checks.h"

using namespace etude;
using namespace etude::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

Json eval_json(const Words& arguments, std::string* err = nullptr) {
  const CliResult result = run_etude(Words{"eval"} + arguments + Words{"--json"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  if (err) *err = result.err;
  return Json::parse(result.out);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A run on images, made once.
const std::string& image_run() {
  static const std::string out = [] {
    const std::string path = corpora().folder / "image-run";
    REQUIRE(run_etude(corpora().train_idx(path, 1)).code == 0);
    return path;
  }();
  return out;
}

// A copy of a run that a test may spoil.
std::string copied(const std::string& run, const TemporaryFolder& folder) {
  fs::copy(run, folder / "copy", fs::copy_options::recursive);
  return folder / "copy";
}

}  // namespace

TEST_SUITE("cli.eval") {
  TEST_CASE("items are called what they are: files, images") {
    const std::string tones = run_etude({"eval", corpora().tone_model()}).out;
    const Json json = eval_json({corpora().tone_model()});
    CHECK(contains(tones, "test part: " + json["n"].dump() + " files"));
    CHECK(json["items"] == json["n"].dump() + " files");
    CHECK_FALSE(contains(tones, "song"));
    CHECK(contains(tones, "mel bands"));
    const std::string images = run_etude({"eval", image_run()}).out;
    CHECK(contains(images, "test part: 30 images"));
    CHECK_FALSE(contains(images, "song"));
    CHECK(contains(images, "pixel rows"));
    const std::string report = read_all(image_run() + "/report.html");
    CHECK(contains(report, "images judged"));
    CHECK_FALSE(contains(report, "songs judged"));
  }

  TEST_CASE("the linear floor stands in every report") {
    for (const std::string& run : {corpora().tone_model(), image_run()}) {
      CAPTURE(run);
      CHECK(eval_json({run})["linear"].is_number());
      CHECK(contains(read_all(run + "/report.html"), "linear floor"));
    }
  }

  TEST_CASE("data under another name: the recorded parts hold; other data is judged whole") {
    const TemporaryFolder folder;
    const std::string& run = corpora().tone_model();
    const Json before = eval_json({run});
    fs::copy(corpora().tones, folder / "renamed", fs::copy_options::recursive);
    std::string err;
    const Json moved = eval_json({run, "--data", folder / "renamed"}, &err);
    CHECK(contains(err, "by file name"));
    CHECK(moved["split"] == "test");
    CHECK(moved["n"] == before["n"]);
    CHECK(moved["loss"] == before["loss"]);

    write_tone_corpus(folder / "other", 3);
    for (const char* name : {"low", "high"})
      fs::rename(folder / "other" / name / "0.wav", folder / "other" / name / "new.wav");
    const Json other = eval_json({run, "--data", folder / "other"}, &err);
    CHECK(contains(err, "all of it is judged"));
    CHECK(other["split"] == "all");
    CHECK(other["n"] == 6);
    CHECK_FALSE(fs::exists(fs::path(run) / "copy"));
    fs::remove(fs::path(run) / "eval-all.json");
  }

  TEST_CASE("a groups file of the training data does not stand in the way of other data") {
    const TemporaryFolder folder;
    const std::string groups = folder / "groups.csv", out = folder / "run";
    std::string text = "file,split\n";
    for (const char* name : {"low", "high"})
      for (int i = 0; i < 24; ++i)
        text +=
            std::string(name) + "/" + std::to_string(i) + (i < 6 ? ".wav,test\n" : ".wav,train\n");
    write_all(groups, text);
    const CliResult train =
        run_etude({"train", "--dataset", "folder", "--data", corpora().tones, "--groups", groups,
                   "--model", "linear", "--epochs", "2", "--cache", "none", "--out", out});
    CAPTURE(train.err);
    REQUIRE(train.code == 0);
    CHECK(eval_json({out})["n"] == 12);
    for (const char* name : {"low", "high"}) {
      fs::create_directories(folder / "other" / name);
      fs::copy(fs::path(corpora().tones) / name / "0.wav", folder / "other" / name / "x.wav");
    }
    CHECK(eval_json({out, "--data", folder / "other"})["n"] == 2);
  }

  TEST_CASE("a cross-validation answers in the words of a single run, and names its folds") {
    const TemporaryFolder folder;
    const std::string out = folder / "cv";
    const CliResult result =
        run_etude({"train", "--dataset", "folder", "--data", corpora().tones, "--model", "linear",
                   "--epochs", "2", "--cache", "none", "--cv", "2", "--out", out});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json cv = eval_json({out});
    for (const char* key : {"accuracy", "majority", "macro_f1", "loss", "linear"}) {
      CAPTURE(key);
      CHECK(cv[key].is_number());
    }
    CHECK(cv["n"] == 48);
    CHECK(cv["accuracy"] == cv["mean"]["accuracy"]);
    check_fails({"eval", out, "--split", "val"}, 2, {"fold-1"});
    check_fails({"predict", out, corpora().tones + "/low/0.wav"}, 1, {"fold-1"});
    CHECK(run_etude({"eval", out + "/fold-1", "--split", "val"}).code == 0);
  }

  TEST_CASE("an interrupted cross-validation: what it says to do goes on with all folds") {
    const TemporaryFolder folder;
    const std::string out = folder / "cv";
    const CliResult cut = run_etude(
        {"train", "--dataset", "folder", "--data", corpora().tones, "--model", "linear", "--epochs",
         "20000", "--patience", "0", "--cache", "none", "--cv", "2", "--out", out},
        [&](pid_t child) {
          for (int i = 0; i < 6000 && records(out + "/fold-1").size() < 2; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
          ::kill(child, SIGINT);
        });
    CAPTURE(cut.err);
    CHECK(cut.code == 130);
    CHECK(contains(cut.err, "--resume --out " + out + "\n"));
    check_fails({"eval", out}, 1, {"not finished", "--resume --out " + out});
    const Words more = {"train", "--resume", "--max-steps", "1", "--out"};
    // One fold by itself is a run, with the parts that were recorded; no folds appear within it.
    const std::string split = read_all(out + "/fold-1/split.csv");
    CHECK(run_etude(more + Words{out + "/fold-1"}).code == 0);
    CHECK(read_all(out + "/fold-1/split.csv") == split);
    CHECK_FALSE(fs::exists(out + "/fold-1/fold-1"));
    CHECK(run_etude(more + Words{out}).code == 0);
  }

  TEST_CASE("a run folder that is none, or of two runs") {
    const TemporaryFolder folder;
    const std::string run = copied(image_run(), folder);
    fs::copy_file(corpora().tone_model() + "/best.safetensors", run + "/best.safetensors",
                  fs::copy_options::overwrite_existing);
    check_fails({"eval", run}, 1, {"copy", "another run"});
    for (const char* text : {"{}", "{\"config\": 3}", "[]", "{"}) {
      CAPTURE(text);
      write_all(run + "/run.json", text);
      check_fails({"eval", run}, 1, {"run.json"});
      check_fails({"train", "--resume", "--out", run}, 1, {"run.json"});
    }
  }

  TEST_CASE("the best epoch: by accuracy, the lower loss among equals") {
    const TemporaryFolder folder;
    const std::string out = folder / "run";
    REQUIRE(run_etude(corpora().train_idx(out, 8) + Words{"--monitor", "accuracy"}).code == 0);
    double accuracy = -1, loss = 0;
    int ties = 0;
    for (const Json& r : records(out)) {
      const double a = r["val_accuracy"], l = r["val_loss"];
      const bool better = a > accuracy || (a == accuracy && l < loss);
      ties += a == accuracy;
      CHECK(r["best"] == better);
      if (better) accuracy = a, loss = l;
    }
    CHECK(ties > 0);  // else the rule was not tried
  }

  TEST_CASE("without a validation part the last epoch is the best, and nothing stops early") {
    const TemporaryFolder folder;
    const std::string out = folder / "run";
    const CliResult result =
        run_etude(corpora().train_idx(out, 5) + Words{"--val-fraction", "0", "--patience", "1",
                                                      "--optimizer", "sgd", "--lr", "0.5"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const auto epochs = records(out);
    REQUIRE(epochs.size() == 5);
    for (const Json& r : epochs) {
      CHECK(r["val_loss"].is_null());
      CHECK(r["best"] == true);
    }
    CHECK(read_all(out + "/best.safetensors") == read_all(out + "/last.safetensors"));
  }
}
