// Whole pieces of work: a training step, an inference, the audio front end, decoding, an epoch from
// mp3, which go through the engine and the data pipeline as the program does; and a CUDA kernel on
// the emulator.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bench/cases.h"
#include "bench/runner.h"
#include "bench/train_step.h"
#include "data/audio.h"
#include "data/loader.h"
#include "engine/ops.h"
#include "kernels/kernels.h"
#include "models/zoo.h"

namespace etude::bench {
namespace {

class Work final : public Runner {
 public:
  Work(std::function<void()> body, Device device, double count = 0)
      : body_(std::move(body)), device_(device) {
    flops = count;
  }
  void call(int) override {
    body_();
    synchronize(device_);
  }
  std::vector<float> output(int) override { return {}; }

 private:
  std::function<void()> body_;
  Device device_;
};

std::unique_ptr<Runner> model(const Problem& p, Device device) {
  TrainStepOptions options;
  options.model = p.text("model");
  options.batch = p.at("N");
  options.height = p.at("H");
  options.width = p.at("W");
  options.channels = p.at("C");
  options.outputs = p.at("outputs");
  options.hidden = p.at("hidden");
  options.inference = p.kernel == "inference";
  const auto step = std::make_shared<TrainStep>(options, device);
  return std::make_unique<Work>([step] { step->step(); }, device, step->flops());
}

// ---- audio
// -----------------------------------------------------------------------------------------

constexpr int kRate = 44100;

// Songs of noise and two tones as mp3 files, in two folders ("classes"), gone at the end.
class Songs {
 public:
  Songs(Index songs, Index seconds)
      : folder_(std::filesystem::temp_directory_path() /
                ("etude-bench-" + std::to_string(getpid()))) {
    for (Index song = 0; song < songs; ++song) {
      const Tensor noise = random_tensor({seconds * kRate});
      std::vector<float> samples = noise.to_vector<float>();
      for (std::size_t t = 0; t < samples.size(); ++t)
        samples[t] = 0.05F * samples[t] +
                     0.3F * std::sin(0.06F * static_cast<float>(song + 1) * static_cast<float>(t));
      std::vector<float> stereo;
      stereo.reserve(2 * samples.size());
      for (const float sample : samples) stereo.insert(stereo.end(), 2, sample);
      const std::filesystem::path place = folder_ / (song % 2 ? "a" : "b");
      std::filesystem::create_directories(place);
      data::save_audio(place / (std::to_string(song) + ".mp3"), stereo, 2, kRate,
                       data::AudioFormat::mp3);
    }
    dataset = data::load_dataset("folder", {folder_});
  }
  ~Songs() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Songs(const Songs&) = delete;
  Songs& operator=(const Songs&) = delete;

  std::vector<int> all() const {
    std::vector<int> items(dataset.items.size());
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<int>(i);
    return items;
  }

  data::Dataset dataset;

 private:
  std::filesystem::path folder_;
};

data::FeatureSet features(const Songs& songs) {
  data::PrepareOptions options;
  options.threads = num_threads();
  return data::prepare_features(songs.dataset, songs.all(), data::mel_preset("mer"), options);
}

// Decode, resample, transform; then one epoch of training on crops of 64 frames.
void epoch(const Songs& songs, Module& model, Sgd& optimizer, Device device) {
  const data::FeatureSet set = features(songs);
  const data::BandStatistics statistics = data::fit_band_statistics(set, songs.all());
  const data::Task task =
      data::make_task(data::TaskKind::classes, data::Cuts::scale, songs.dataset, songs.all());
  data::LoaderOptions options;
  options.width = 64;
  options.training = true;
  options.device = device;
  data::Loader loader(songs.dataset, set, statistics, task, songs.all(), options);
  data::Batch batch;
  while (loader.next(batch)) {
    optimizer.zero_grad();
    backward(cross_entropy(model.forward(batch.x), batch.labels));
    optimizer.step();
  }
}

std::unique_ptr<Runner> audio(const Problem& p, Device device) {
  const Index seconds = p.at("seconds"), count = p.at("songs");
  if (p.kernel == "mel_front_end") {
    const auto front_end = std::make_shared<data::MelFrontEnd>(data::mel_preset("librosa"), device);
    const std::vector<float> samples =
        random_tensor({seconds * front_end->settings().sample_rate}).to_vector<float>();
    return std::make_unique<Work>(
        [=] {
          for (Index song = 0; song < count; ++song) (*front_end)(samples);
        },
        device);
  }
  const auto songs = std::make_shared<Songs>(count, seconds);
  if (p.kernel == "decode")
    return std::make_unique<Work>(
        [=] {
          for (const data::Item& item : songs->dataset.items) data::load_audio(item.file);
        },
        device);
  if (p.kernel == "features") return std::make_unique<Work>([=] { features(*songs); }, device);
  models::ModelOptions options;
  options.height = 64;
  options.width = 64;
  options.outputs = 2;
  const std::shared_ptr<Module> model = models::make_model(p.text("model"), options);
  model->to(device);
  const auto optimizer = std::make_shared<Sgd>(*model, SgdOptions{.lr = 0.01, .momentum = 0.9});
  return std::make_unique<Work>([=] { epoch(*songs, *model, *optimizer, device); }, device);
}

// ---- the emulator
// ----------------------------------------------------------------------------------

// A product of N x N matrices by the CUDA back end's own kernel, on all host threads: how long one
// waits for emulated kernels.
std::unique_ptr<Runner> emulated_gemm([[maybe_unused]] const Problem& p) {
#if ETUDE_HAVE_SIMT
  constexpr Device device{DeviceKind::simt};
  const Kernels<float>& k = simt::table();  // not the one that counts
  const Index n = p.at("N");
  const Conv2dShape shape{n, 1, 1, n, n, 1, 1};
  return std::make_unique<Work>(
      [=, &k, x = random_tensor({n, n}).to(device), w = random_tensor({n, n}).to(device),
       y = Tensor({n, n}, DType::f32, device),
       work = Tensor({static_cast<Index>(k.conv2d_forward_workspace(shape))}, DType::u8, device)] {
        k.conv2d_forward({}, shape, x.data<float>(), w.data<float>(), nullptr, false,
                         y.data<float>(), work.data<std::uint8_t>());
      },
      device);
#else
  fail("emulated_gemm: no emulator in this build (ETUDE_SIMT)");
#endif
}

}  // namespace

std::unique_ptr<Runner> make_workload(const Problem& problem, Device device) {
#if ETUDE_BENCH_CASES
  if (problem.is("case")) return make_case(problem, device);
#endif
  if (problem.kernel == "emulated_gemm") return emulated_gemm(problem);
  return problem.kernel == "train_step" || problem.kernel == "inference" ? model(problem, device)
                                                                         : audio(problem, device);
}

}  // namespace etude::bench
