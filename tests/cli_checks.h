// What the tests of the program share: its verdicts, its records, and small corpora to run it on.
#pragma once

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli_data.h"
#include "cli_runner.h"

namespace etude::testing {

using Words = std::vector<std::string>;

// Exit code, and exactly one line that begins with "etude: " and has every one of `parts`.
inline void check_fails(const Words& arguments, int code, const Words& parts) {
  const CliResult result = run_etude(arguments);
  std::string command;
  for (const auto& word : arguments) command += word + " ";
  CAPTURE(command);
  CAPTURE(result.err);
  CHECK(result.code == code);
  const auto errors = result.errors();
  REQUIRE(errors.size() == 1);
  for (const auto& part : parts) {
    CAPTURE(part);
    CHECK(errors[0].find(part) != std::string::npos);
  }
}

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline std::vector<nlohmann::json> records(const std::filesystem::path& run) {
  std::vector<nlohmann::json> result;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) {
    result.push_back(nlohmann::json::parse(line));
    result.back().erase("seconds");  // the only field that may differ between equal runs
  }
  return result;
}

// A small IDX corpus and a run on tones, made once for all cases.
struct Corpora {
  TemporaryFolder folder;
  std::string idx = folder / "idx", tones = folder / "tones", tone_run = folder / "tone-run";

  Corpora() {
    write_idx_corpus(idx, 96, 30);
    write_tone_corpus(tones, 24);
  }
  Words train_idx(const std::string& out, int epochs = 4) const {
    return {"train",
            "--dataset",
            "idx",
            "--data",
            idx,
            "--model",
            "tinyvgg",
            "--hidden",
            "4",
            "--epochs",
            std::to_string(epochs),
            "--batch",
            "16",
            "--out",
            out};
  }
  // Trained on first use.
  const std::string& tone_model() {
    if (!std::filesystem::exists(tone_run)) {
      const CliResult result = run_etude(
          {"train", "--dataset", "folder", "--data", tones, "--model", "vgg4", "--epochs", "8",
           "--batch", "8", "--mel", "standardize=band", "--cache", "none", "--out", tone_run});
      CAPTURE(result.err);
      REQUIRE(result.code == 0);
    }
    return tone_run;
  }
};

inline Corpora& corpora() {
  static Corpora instance;
  return instance;
}

}  // namespace etude::testing
