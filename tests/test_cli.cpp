// The program from outside: exit codes, one clear line for wrong input, resume, Ctrl-C.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli_checks.h"

using namespace etude;
using namespace etude::testing;
using Json = nlohmann::json;

TEST_SUITE("cli.usage") {
  TEST_CASE("help and version go to stdout and are no error") {
    for (const Words& arguments :
         {Words{"--help"}, {"--version"}, {"train", "--help"}, {"data", "verify", "--help"}}) {
      const CliResult result = run_etude(arguments);
      CHECK(result.code == 0);
      CHECK(!result.out.empty());
      CHECK(result.err.empty());
    }
    for (const char* command : {"synth", "train", "eval", "predict", "mel", "summary", "info"}) {
      const CliResult result = run_etude({command, "--help"});
      CAPTURE(command);
      CHECK(result.code == 0);
      CHECK(result.out.find("etude " + std::string(command)) != std::string::npos);  // an example
    }
  }

  TEST_CASE("usage errors are exit code 2 and one line") {
    CHECK(run_etude({}).code == 2);
    check_fails({"dance"}, 2, {"no command `dance`"});
    check_fails({"train", "--no-such-option"}, 2, {"--no-such-option", "etude train --help"});
    check_fails({"train", "--model", "alexnet"}, 2, {"alexnet"});
    check_fails({"train", "--epochs", "many"}, 2, {"epochs"});
    check_fails({"train", "--epochs", "0"}, 2, {"epochs"});
    check_fails({"train", "--dataset", "idx", "--data", "x"}, 2, {"--out"});
    check_fails({"train", "--out", "x"}, 2, {"--dataset"});
    check_fails({"predict"}, 2, {});
    check_fails({"summary", "--input", "64x64"}, 2, {"64x64", "HxWxC"});
    check_fails({"mel", "x.wav", "--mel", "n_mels"}, 2, {"NAME=VALUE"});
    check_fails({"mel", "x.wav", "--mel", "colour=red"}, 2, {"colour"});
    check_fails({"mel", "x.wav", "--out", "x.jpg"}, 2, {".npy"});
    check_fails({"mel", "x.wav", "--mel", "preset=mer"}, 2, {"--preset mer"});
    check_fails({"mel", "x.wav", "--mel", "hop=0"}, 2, {"hop = 0"});
    check_fails({"train", "--lr", "fast"}, 2, {"--lr: expected a number of 0 or more, not fast"});
    check_fails({"train", "--padding", "2"}, 2, {"from 0 to 1, not 2"});
    const Words train = {"train", "--dataset", "idx", "--data", "x", "--out", "x"};
    check_fails(train + Words{"--reset-head"}, 2, {"--init"});
    check_fails(train + Words{"--warmup", "2"}, 2, {"--warmup", "onecycle"});
    check_fails(train + Words{"--schedule", "cosine", "--lr-peak", "0.2"}, 2,
                {"--lr-peak", "onecycle", "cosine"});
    check_fails(train + Words{"--task", "va", "--class-weights", "balanced"}, 2,
                {"--class-weights", "va"});
    check_fails(train + Words{"--task", "va-dynamic", "--label-smoothing", "0.1"}, 2,
                {"--label-smoothing", "va-dynamic"});
    check_fails(corpora().train_idx("x") + Words{"--preset", "mer"}, 2, {"--preset", "images"});
  }

  TEST_CASE("data that standard output does not take is a failure") {
    const TemporaryFolder folder;
    const std::string err = folder / "err";
    const int status = std::system((ETUDE_PROGRAM " info > /dev/full 2> " + err).c_str());
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(read_all(err).find("etude: standard output") == 0);
  }

  TEST_CASE("config files: keys are options, unknown keys are errors") {
    const TemporaryFolder folder;
    const std::string config = folder / "run.toml", out = folder / "run";
    const auto train = Words{"train", "--config", config};
    write_all(config, "dataset = \"idx\"\ndata = \"" + corpora().idx +
                          "\"\nmodel = \"tinyvgg\"\nhidden = 4\nepochs = 1\nlabel_smoothing = 0.1\n"
                          "nesterov = true\n[eval]\nsplit = \"train\"\n");
    const CliResult result = run_etude(train + Words{"--out", out, "--hidden", "3"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json run = Json::parse(read_all(out + "/run.json"));
    CHECK(run["config"]["epochs"] == 1);
    CHECK(run["config"]["label_smoothing"] == 0.1);
    CHECK(run["config"]["nesterov"] == true);
    CHECK(run["config"]["hidden"] == 3);  // the command line wins
    write_all(config, "split = \"val\"\n[train]\nepochs = 3\n");
    const CliResult eval = run_etude({"eval", out, "--config", config, "--json"});
    CAPTURE(eval.err);
    REQUIRE(eval.code == 0);
    CHECK(Json::parse(eval.out)["split"] == "val");

    write_all(config, "epochz = 3\n");
    check_fails(train, 2, {"epochz"});
    write_all(config, "[train]\nepochz = 3\n");
    check_fails(train, 2, {"epochz"});
    write_all(config, "[trane]\nepochs = 3\n");
    check_fails(train, 2, {"trane"});
    write_all(config, "model = \"alexnet\"\n");
    check_fails(train, 2, {"alexnet"});
    check_fails({"train", "--config", folder / "missing.toml"}, 2, {"missing.toml"});
  }
}

TEST_SUITE("cli.input") {
  TEST_CASE("missing and wrong data") {
    const TemporaryFolder folder;
    const std::string missing = folder / "nowhere", out = folder / "run", groups = folder / "g.csv";
    check_fails({"train", "--dataset", "deam", "--data", missing, "--out", out}, 1, {"nowhere"});
    check_fails({"data", "verify", missing, "--dataset", "deam"}, 1, {"nowhere"});
    check_fails({"data", "verify", corpora().tones, "--dataset", "idx"}, 1, {});
    check_fails({"eval", missing}, 1, {"nowhere"});
    check_fails({"eval", folder.path()}, 1, {"run folder"});
    check_fails({"train", "--resume", "--out", missing}, 1, {"nowhere", "run.json"});
    check_fails(
        {"train", "--dataset", "idx", "--data", corpora().idx, "--task", "va", "--out", out}, 2,
        {"--task va"});

    const Words train = {"train", "--dataset", "folder", "--data",   corpora().tones, "--cache",
                         "none",  "--out",     out,      "--groups", groups};
    write_all(groups, "path,split\nlow/0.wav,test\n");
    check_fails(train, 1, {"g.csv", "file"});
    write_all(groups, "file,split\nlow/0.wav\n");
    check_fails(train, 1, {"g.csv", "2"});
    // Folds and weights that are not there: the same command with the mistake mended must run.
    const Words plain(train.begin(), train.end() - 2);
    check_fails(plain + Words{"--cv", "speaker"}, 1, {"speaker"});
    check_fails(plain + Words{"--cv", "1"}, 2, {"2 folds"});
    check_fails(plain + Words{"--cv", "99999999999"}, 1, {"48 items", "folds"});
    check_fails(plain + Words{"--group-by", "speaker"}, 1, {"speaker"});
    check_fails(plain + Words{"--init", missing}, 1, {"nowhere"});
    check_fails(corpora().train_idx(groups), 1, {"g.csv", "is a file"});
    check_fails(corpora().train_idx(groups + "/run"), 1, {"g.csv", "is a file"});
    CHECK(!std::filesystem::exists(out));  // nothing is left behind
  }

  TEST_CASE("audio that is none") {
    const TemporaryFolder folder;
    const std::string run = corpora().tone_model();
    const auto bad = [&](const std::string& name, const std::string& bytes) {
      write_all(folder / name, bytes);
      return std::string(folder / name);
    };
    const std::string text = bad("text.mp3", "This is not music.\n" + std::string(3000, 'x'));
    const std::string m4a = bad("song.m4a", std::string("\0\0\0\x20"
                                                        "ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0",
                                                        32) +
                                                std::string(4000, '\1'));
    const std::string empty = bad("empty.wav", "");
    for (const std::string& file : {text, m4a, empty, std::string(folder / "missing.mp3")}) {
      check_fails({"predict", run, file}, 1, {std::filesystem::path(file).filename()});
      check_fails({"mel", file}, 1, {std::filesystem::path(file).filename()});
    }
    check_fails({"predict", run, m4a}, 1, {"m4a"});

    // The good ones among several are answered.
    const std::string good = corpora().tones + "/low/3.wav";
    const CliResult result = run_etude({"predict", run, text, good, "--json"});
    CHECK(result.code == 1);
    const Json answers = Json::parse(result.out);
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].contains("error"));
    CHECK(answers[1]["class"] == "low");
    CHECK(answers[1]["probabilities"].size() == 2);
  }

  TEST_CASE("a truncated mp3 is used with a warning, and an error when strict") {
    const TemporaryFolder folder;
    const std::string whole = folder / "whole.mp3", cut = folder / "cut.mp3";
    data::save_audio(whole, tone(300, 4, 22050, 1), 1, 22050, data::AudioFormat::mp3);
    const std::string bytes = read_all(whole);
    write_all(cut, bytes.substr(0, bytes.size() / 2));
    CHECK(run_etude({"mel", whole}).err.find("warning") == std::string::npos);
    const CliResult result = run_etude({"mel", cut});
    CHECK(result.code == 0);
    CHECK(result.err.find("warning: ") != std::string::npos);
    CHECK(result.err.find("cut.mp3") != std::string::npos);
    check_fails({"mel", cut, "--strict"}, 1, {"cut.mp3"});
    check_fails({"predict", corpora().tone_model(), cut, "--strict"}, 1, {"cut.mp3"});
    CHECK(run_etude({"predict", corpora().tone_model(), cut}).code == 0);
  }

  TEST_CASE("weights of another model") {
    const TemporaryFolder folder;
    const std::string weights = corpora().tone_model() + "/best.safetensors";
    check_fails(corpora().train_idx(folder / "run") + Words{"--init", weights}, 1,
                {"best.safetensors"});
    const std::string other = folder / "other.safetensors";
    write_all(other, "no safetensors");
    check_fails(corpora().train_idx(folder / "run2") + Words{"--init", other}, 1,
                {"other.safetensors"});
    check_fails({"predict", other, "x.wav"}, 1, {"other.safetensors"});
    // The same network for another number of classes: all but the last layer can be used.
    namespace fs = std::filesystem;
    fs::copy(corpora().tones, folder / "three", fs::copy_options::recursive);
    fs::copy(corpora().tones + "/low", folder / "three" / "more", fs::copy_options::recursive);
    const Words three = {"train",   "--dataset", "folder",   "--data", folder / "three",
                         "--model", "vgg4",      "--epochs", "1",      "--cache",
                         "none",    "--init",    weights,    "--out",  folder / "run3"};
    check_fails(three, 1, {"fc.weight", "--reset-head"});
    CHECK(run_etude(three + Words{"--reset-head"}).code == 0);
  }

  TEST_CASE("a run is never overwritten") {
    const TemporaryFolder folder;
    const std::string out = folder / "run";
    REQUIRE(run_etude(corpora().train_idx(out)).code == 0);
    const std::string before = read_all(out + "/best.safetensors");
    check_fails(corpora().train_idx(out), 2, {"--resume"});
    CHECK(read_all(out + "/best.safetensors") == before);
    check_fails({"train", "--resume", "--out", out, "--lr", "0.5"}, 2, {"--lr"});
  }
}

TEST_SUITE("cli.train") {
  TEST_CASE("a small network learns images, and the run folder is complete") {
    const TemporaryFolder folder;
    const std::string out = folder / "run";
    const CliResult train = run_etude(corpora().train_idx(out, 8) + Words{"--lr", "0.01"});
    CAPTURE(train.err);
    REQUIRE(train.code == 0);
    CHECK(train.out.find("accuracy") != std::string::npos);
    for (const char* name : {"run.json", "metrics.jsonl", "best.safetensors", "last.safetensors",
                             "state.safetensors", "split.csv", "report.html", "eval-test.json"}) {
      CAPTURE(name);
      CHECK(std::filesystem::exists(folder / "run" / name));
    }
    const auto epochs = records(out);
    REQUIRE(epochs.size() == 8);
    for (const char* key : {"epoch", "loss", "val_loss", "lr"}) CHECK(epochs[0].contains(key));
    CHECK(epochs.back()["loss"] < epochs.front()["loss"]);

    const CliResult eval = run_etude({"eval", out, "--json"});
    REQUIRE(eval.code == 0);
    const Json result = Json::parse(eval.out);
    CHECK(result["accuracy"] > 0.9);
    CHECK(result["majority"] == doctest::Approx(1.0 / 3));
    CHECK(result["n"] == 30);
    CHECK(result["confusion"].size() == 3);
    CHECK(Json::parse(read_all(out + "/eval-test.json"))["loss"] == result["loss"]);
    const CliResult text = run_etude({"eval", out, "--split", "val"});
    CHECK(text.out.find("majority") != std::string::npos);
    // The data under another name: the recorded split still holds.
    std::filesystem::create_directory_symlink(corpora().idx, folder / "moved");
    const CliResult moved = run_etude({"eval", out, "--data", folder / "moved", "--json"});
    CAPTURE(moved.err);
    REQUIRE(moved.code == 0);
    CHECK(Json::parse(moved.out)["accuracy"] == result["accuracy"]);
  }

  TEST_CASE("tones: the linear floor stands beside the model, and predict hears them") {
    const std::string run = corpora().tone_model();
    const Json result = Json::parse(read_all(run + "/eval-test.json"));
    CHECK(result["accuracy"] > 0.8);
    CHECK(result["linear"] > 0.8);
    CHECK(result["majority"] == doctest::Approx(0.5).epsilon(0.3));
    const CliResult time = run_etude({"predict", run + "/best.safetensors",
                                      corpora().tones + "/high/1.wav", "--over-time", "--json"});
    REQUIRE(time.code == 0);
    const Json answer = Json::parse(time.out)[0];
    CHECK(answer["class"] == "high");
    CHECK(answer["over_time"].size() == answer["windows"]);
  }

  TEST_CASE("a run that was stopped and resumed equals one that was not, bit for bit") {
    struct Recipe {
      const char* name;
      Words options;
    };
    const std::vector<Recipe> recipes = {
        {"adamw, dropout, moving average",
         {"--optimizer", "adamw", "--dropout", "0.3", "--ema", "0.9", "--patience", "0"}},
        {"sgd, accumulation, clipping, cosine",
         {"--optimizer", "sgd", "--lr", "0.02", "--accumulate", "2", "--clip-grad", "1",
          "--schedule", "cosine", "--warmup", "1", "--nesterov", "--class-weights", "balanced"}}};
    for (const Recipe& recipe : recipes) {
      CAPTURE(recipe.name);
      const TemporaryFolder folder;
      const std::string whole = folder / "whole", parts = folder / "parts";
      REQUIRE(run_etude(corpora().train_idx(whole) + recipe.options).code == 0);
      // Stopped in the middle of the second epoch, then after the third, then to the end.
      const CliResult first =
          run_etude(corpora().train_idx(parts) + recipe.options + Words{"--max-steps", "7"});
      CAPTURE(first.err);
      REQUIRE(first.code == 0);
      CHECK(records(parts).size() < 4);
      REQUIRE(
          run_etude({"train", "--resume", "--out", parts, "--max-steps", "13", "--threads", "1"})
              .code == 0);
      const CliResult rest = run_etude({"train", "--resume", "--out", parts});
      CAPTURE(rest.err);
      REQUIRE(rest.code == 0);
      CHECK(rest.err.find("warning") == std::string::npos);
      for (const char* file : {"last.safetensors", "best.safetensors"})
        CHECK(read_all(whole + "/" + file) == read_all(parts + "/" + file));
      CHECK(records(whole) == records(parts));
      CHECK(read_all(whole + "/eval-test.json") == read_all(parts + "/eval-test.json"));
    }
  }

  TEST_CASE("Ctrl-C saves, exits 130, and nothing is lost") {
    const TemporaryFolder folder;
    const std::string whole = folder / "whole", cut = folder / "cut";
    const Words longer = {"--patience", "0"};
    REQUIRE(run_etude(corpora().train_idx(whole, 40) + longer).code == 0);
    const CliResult result = run_etude(corpora().train_idx(cut, 40) + longer, [&](pid_t child) {
      // After the first epochs have been written.
      for (int i = 0; i < 6000; ++i) {
        if (records(cut).size() >= 2) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      ::kill(child, SIGINT);
    });
    CAPTURE(result.err);
    CHECK(result.code == 130);
    CHECK(result.err.find("--resume") != std::string::npos);
    CHECK(records(cut).size() < 40);
    REQUIRE(run_etude({"train", "--resume", "--out", cut}).code == 0);
    CHECK(read_all(whole + "/last.safetensors") == read_all(cut + "/last.safetensors"));
    CHECK(records(whole) == records(cut));
  }

  TEST_CASE("the same seed gives the same bits with any number of threads") {
    const TemporaryFolder folder;
    const std::string one = folder / "one", three = folder / "three", other = folder / "other";
    REQUIRE(run_etude(corpora().train_idx(one) + Words{"--threads", "1"}).code == 0);
    REQUIRE(run_etude(corpora().train_idx(three) + Words{"--threads", "3"}).code == 0);
    REQUIRE(run_etude(corpora().train_idx(other) + Words{"--seed", "1"}).code == 0);
    CHECK(read_all(one + "/best.safetensors") == read_all(three + "/best.safetensors"));
    CHECK(read_all(one + "/best.safetensors") != read_all(other + "/best.safetensors"));
  }

  TEST_CASE("a loss that is not finite stops the run, says where, and keeps what was saved") {
    const TemporaryFolder folder;
    const std::string out = folder / "run";
    const CliResult result =
        run_etude(corpora().train_idx(out) + Words{"--optimizer", "sgd", "--lr", "1e18",
                                                   "--schedule", "constant", "--warmup", "2"});
    CAPTURE(result.err);
    CHECK(result.code == 1);
    const auto errors = result.errors();
    REQUIRE(errors.size() == 1);
    for (const char* part : {"loss", "epoch", "step", "--lr"})
      CHECK(errors[0].find(part) != std::string::npos);
    CHECK(std::filesystem::exists(folder / "run" / "run.json"));
  }

  TEST_CASE("cross-validation: a run a fold, mean and spread") {
    const TemporaryFolder folder;
    const std::string out = folder / "cv";
    const CliResult result =
        run_etude({"train", "--dataset", "folder", "--data", corpora().tones, "--model", "linear",
                   "--epochs", "20", "--cache", "none", "--cv", "3", "--out", out});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json cv = Json::parse(read_all(out + "/cv.json"));
    CHECK(cv["folds"].size() == 3);
    CHECK(cv["mean"].contains("accuracy"));
    CHECK(cv["deviation"].contains("accuracy"));
    int songs = 0;
    for (const Json& fold : cv["folds"]) songs += fold["n"].get<int>();
    CHECK(songs == 48);  // every song is held out once
    CHECK(std::filesystem::exists(folder / "cv" / "fold-2" / "report.html"));
    CHECK(run_etude({"eval", out}).out.find("accuracy") != std::string::npos);
    // Going on with a finished run trains nothing and says the same.
    const std::string before = read_all(out + "/cv.json");
    REQUIRE(run_etude({"train", "--resume", "--out", out}).code == 0);
    CHECK(read_all(out + "/cv.json") == before);
  }
}

TEST_SUITE("cli.tools") {
  TEST_CASE("info and summary") {
    const CliResult info = run_etude({"info", "--json"});
    REQUIRE(info.code == 0);
    const Json json = Json::parse(info.out);
    CHECK(json["threads"] >= 1);
    CHECK(!json["instruction_sets"].empty());
    CHECK(run_etude({"info"}).out.find("instruction set") != std::string::npos);
    const CliResult summary =
        run_etude({"summary", "--model", "tinyvgg", "--blocks", "3", "--hidden", "10", "--input",
                   "64x1200x1", "--outputs", "9"});
    CHECK(summary.code == 0);
    CHECK(summary.out.find("112,659") != std::string::npos);
  }

  TEST_CASE("mel writes npy and png") {
    const TemporaryFolder folder;
    const std::string file = corpora().tones + "/low/0.wav";
    const std::string npy = folder / "x.npy", png = folder / "x.png";
    const CliResult result = run_etude(
        {"mel", file, "--preset", "torchaudio", "--mel", "n_mels=40", "--out", npy, "--json"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const Json json = Json::parse(result.out);
    CHECK(json["bands"] == 40);
    CHECK(json["frames"] == 1 + 8000 / 200);
    CHECK(json["settings"]["n_mels"] == "40");
    CHECK(read_all(npy).compare(1, 5, "NUMPY") == 0);
    REQUIRE(run_etude({"mel", file, "--out", png}).code == 0);
    CHECK(read_all(png).compare(1, 3, "PNG") == 0);

    // What training does to it: another seed, another picture; the same seed, the same.
    const auto augmented = [&](const std::string& names, const std::string& seed) {
      const CliResult shown =
          run_etude({"mel", file, "--preset", "mer", "--mel", "fill_seconds=0", "--augment", names,
                     "--seed", seed, "--out", npy, "--json"});
      CAPTURE(shown.err);
      REQUIRE(shown.code == 0);
      return std::pair(read_all(npy), Json::parse(shown.out)["augmentation"].get<std::string>());
    };
    const auto first = augmented("gain,pitch", "1");
    CHECK(first.second.find("gain") != std::string::npos);
    CHECK(first.second.find("semitones") != std::string::npos);
    CHECK(augmented("gain,pitch", "1").first == first.first);
    CHECK(augmented("gain,pitch", "2").first != first.first);
    CHECK(augmented("gain", "1").first != first.first);
    check_fails({"mel", file, "--augment", "mixup"}, 2, {"--mix"});
    check_fails({"mel", file, "--augment", "echo"}, 2, {"echo", "tempo"});
  }

  TEST_CASE("data verify and prepare") {
    const TemporaryFolder folder;
    const CliResult verify =
        run_etude({"data", "verify", corpora().tones, "--dataset", "folder", "--json"});
    REQUIRE(verify.code == 0);
    CHECK(Json::parse(verify.out).is_object());
    const Words prepare = {"data",   "prepare", corpora().tones, "--dataset",
                           "folder", "--cache", folder / "cache"};
    CHECK(run_etude(prepare).out.find("48 items ready (0 were") != std::string::npos);
    CHECK(run_etude(prepare).out.find("48 items ready (48 were") != std::string::npos);
    const Words explain = {"data", "verify", corpora().tones, "--dataset", "folder", "--explain"};
    CHECK(run_etude(explain).out.find("nothing to explain") != std::string::npos);
    check_fails(explain + Words{"--json"}, 2, {"--explain", "--json"});
  }
}
