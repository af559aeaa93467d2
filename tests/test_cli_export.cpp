// Results for other programs: ONNX graphs (what is in them, fixtures/check_onnx.py runs), curves
// for TensorBoard.
#include "apps/onnx.h"
#include "apps/tensorboard.h"
#include "cli_checks.h"

using namespace etude;
using namespace etude::testing;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::uint64_t little_endian(const std::string& bytes, std::size_t at, int size) {
  std::uint64_t value = 0;
  for (int i = 0; i < size; ++i)
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes.at(at + static_cast<std::size_t>(i)))}
             << 8 * i;
  return value;
}

// The payloads of a file of TFRecords.
std::vector<std::string> tf_records(const std::string& bytes) {
  std::vector<std::string> result;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t length = little_endian(bytes, at, 8);
    result.push_back(bytes.substr(at + 12, length));
    at += 16 + length;
  }
  CHECK(at == bytes.size());
  return result;
}

}  // namespace

TEST_SUITE("cli.export") {
  TEST_CASE("a run becomes a graph with its front end in the metadata") {
    const TemporaryFolder folder;
    const std::string file = folder / "tones.onnx";
    const CliResult result = run_etude({"export", corpora().tone_model(), "--onnx", file});
    CAPTURE(result.err);
    if (!apps::onnx_available()) {
      CHECK(result.code == 2);
      CHECK(contains(result.err, "libonnx-dev"));
      return;
    }
    REQUIRE(result.code == 0);
    CHECK(contains(result.out, "x [N, 1, "));
    CHECK(contains(result.out, "logits of high,low"));
    const std::string bytes = read_all(file);
    for (const char* key : {"mel.n_fft", "mel.hop", "band.mean", "classes", "etude.spec"})
      CHECK(contains(bytes, key));
    for (const char* key : {"conv", "weight", "bias", "GlobalAveragePool"})
      CHECK(contains(bytes, key));
  }

  TEST_CASE("wrong use of export") {
    const TemporaryFolder folder;
    CHECK(run_etude({"export", corpora().tone_model()}).code == 2);
    if (!apps::onnx_available()) return;
    const CliResult nothing = run_etude({"export", folder / "none", "--onnx", folder / "x"});
    CHECK(nothing.code == 1);
    CHECK(contains(nothing.err, "no such run folder"));
    const CliResult full =
        run_etude({"export", corpora().tone_model(), "--onnx", "/proc/nowhere/x.onnx"});
    CHECK(full.code == 1);
    CHECK(contains(full.err, "/proc/nowhere"));
  }

  TEST_CASE("--tensorboard writes an event an epoch") {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    Words arguments = corpora().train_idx(run, 2);
    arguments.push_back("--tensorboard");
    const CliResult result = run_etude(arguments);
    if (!apps::tensorboard_available()) {
      CHECK(result.code == 2);
      CHECK(contains(result.err, "protobuf"));
      return;
    }
    REQUIRE(result.code == 0);
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(run))
      if (contains(entry.path().filename(), "events.out.tfevents.")) files.push_back(entry.path());
    REQUIRE(files.size() == 1);
    const std::string bytes = read_all(files[0]);
    // The length 24 and its checksum, as every event file has begun since there are any.
    CHECK(little_endian(bytes, 0, 8) == 24);
    CHECK(little_endian(bytes, 8, 4) == 0x224b7fa3);
    const std::vector<std::string> events = tf_records(bytes);
    REQUIRE(events.size() == 3);
    CHECK(contains(events[0], "brain.Event:2"));
    for (const std::size_t i : {1u, 2u})
      for (const char* tag : {"loss/train", "loss/val", "accuracy/val", "lr"})
        CHECK(contains(events[i], tag));
  }
}
