// Augmentation of training samples.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/augment.h"
#include "apps/usage.h"
#include "data/augmentation.h"

using namespace etude;
using namespace etude::apps;

TEST_SUITE("augment") {
  // What the program does to a sample x [height, width].
  void apply(const Augmenter& augmenter, const AugmentDraw& draw, std::vector<float>& x, int height,
             int width) {
    const data::AugmentationUpload augmentation({augmenter.parameters(draw)}, height, width,
                                                cpu_device);
    x = augmentation(Tensor::from(x, {1, height, width, 1}, cpu_device), 0).to_vector<float>();
  }

  TEST_CASE("draws follow the generator, masks stay small, numbers stay near") {
    constexpr int height = 20, width = 40;
    const Augmenter augmenter(parse_augment("mel"), data::mel_preset("mer"));
    int changed = 0;
    double shift = 0;
    for (std::uint64_t sample = 0; sample < 200; ++sample) {
      std::vector<float> x(height * width, 1.0f), again = x;
      const Generator random(7 + sample);
      apply(augmenter, augmenter.draw(height, width, random), x, height, width);
      apply(augmenter, augmenter.draw(height, width, random), again, height, width);
      CHECK(x == again);
      int masked = 0;
      for (float value : x) {
        CHECK(std::abs(value) < 3);
        masked += value == 0;
        if (value != 0) shift += value - 1;
        changed += value != 1;
      }
      // Two masks of at most 3 bands and two of at most 7 frames.
      CHECK(masked <= 2 * 3 * width + 2 * 7 * height);
    }
    CHECK(changed > 190 * height * width);
    CHECK(std::abs(shift / (200 * height * width)) < 0.05);  // no drift: 0.15 / sqrt(200) = 0.011
  }

  TEST_CASE("each has its switch, and none moves another's draws") {
    const data::MelSettings mel = data::mel_preset("mer");
    const Generator random(5);
    const AugmentDraw all = Augmenter(parse_augment("all"), mel).draw(64, 64, random);
    CHECK(all.gain != 0);
    CHECK(all.tilt != 0);
    CHECK(all.noise > 0);
    CHECK(std::abs(all.semitones) <= 2);
    const AugmentDraw tilt = Augmenter(parse_augment("tilt"), mel).draw(64, 64, random);
    CHECK(tilt.tilt == all.tilt);
    CHECK(tilt.gain == 0);
    CHECK(tilt.bands.empty());
    CHECK(parse_augment("none").empty());
    CHECK(parse_augment("crop,time-mask").size() == 2);
    CHECK_THROWS_WITH_AS(parse_augment("crop,reverb"), doctest::Contains("reverb"), UsageError);
    CHECK_THROWS_WITH_AS(parse_augment(""), doctest::Contains("crop"), UsageError);
    CHECK_THROWS_AS(Augmenter(parse_augment("pitch"), std::nullopt), UsageError);
    CHECK_NOTHROW(Augmenter(parse_augment("crop"), std::nullopt));
    // The masks of the published recipe: 0 to 10 of 64 bands, 0 to 12 of 64 frames.
    int bands = 0, frames = 0;
    const Augmenter masks(parse_augment("frequency-mask,time-mask"), mel);
    for (std::uint64_t i = 0; i < 500; ++i) {
      const AugmentDraw draw = masks.draw(64, 64, random.fork(i));
      for (const auto& span : draw.bands) bands = std::max(bands, span.end - span.begin);
      for (const auto& span : draw.frames) frames = std::max(frames, span.end - span.begin);
    }
    CHECK(bands == 10);
    CHECK(frames == 12);
  }

  TEST_CASE("noise has the deviation that was drawn, and each sample its own") {
    constexpr int height = 64, width = 64;
    const Augmenter augmenter(parse_augment("noise"), data::mel_preset("mer"));
    std::vector<float> before;
    for (std::uint64_t sample = 1; sample <= 5; ++sample) {
      const AugmentDraw draw = augmenter.draw(height, width, Generator(sample));
      std::vector<float> x(height * width, 0.0f);
      apply(augmenter, draw, x, height, width);
      double sum = 0, square = 0;
      for (const float value : x) {
        sum += static_cast<double>(value) / draw.noise;
        square += std::pow(static_cast<double>(value) / draw.noise, 2);
      }
      // Five deviations of the mean and of the variance of 4096 numbers.
      CHECK(std::abs(sum / 4096) < 5.0 / 64);
      CHECK(std::abs(square / 4096 - 1) < 5 * std::sqrt(2.0) / 64);
      if (!before.empty()) {
        double together = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
          together += static_cast<double>(x[i]) * static_cast<double>(before[i]);
        CHECK(std::abs(together / 4096) < 5.0 / 64 * draw.noise * 0.2);
      }
      before = x;
    }
  }

  TEST_CASE("pitch moves a peak by the frequency that semitones mean") {
    const data::MelSettings mel = data::mel_preset("mer");
    const std::vector<double> hz = data::mel_centres(mel);
    REQUIRE(hz.size() == 64);
    const Augmenter augmenter(parse_augment("pitch"), mel);
    for (const double semitones : {-2.0, 1.0, 2.0}) {
      constexpr int peak = 40, width = 3;
      std::vector<float> x(64 * width, 0.0f);
      for (int band = 0; band < 64; ++band)
        for (int f = 0; f < width; ++f)
          x[band * width + f] = static_cast<float>(std::max(0.0, 5.0 - std::abs(band - peak)));
      AugmentDraw draw;
      draw.semitones = semitones;
      apply(augmenter, draw, x, 64, width);
      double centre = 0, total = 0;
      for (int band = 0; band < 64; ++band) {
        centre += x[band * width] * std::log(hz[band]);
        total += x[band * width];
      }
      CAPTURE(semitones);
      CHECK(12 * (centre / total - std::log(hz[peak])) / std::log(2.0) ==
            doctest::Approx(semitones).epsilon(0.15));
    }
  }

  TEST_CASE("one band and one frame are not too small") {
    std::vector<float> x{1};
    data::MelSettings mel = data::mel_preset("mer");
    mel.n_mels = 1;
    const Augmenter augmenter(parse_augment("all"), mel);
    for (std::uint64_t i = 0; i < 50; ++i)
      apply(augmenter, augmenter.draw(1, 1, Generator(i)), x, 1, 1);
    CHECK(std::isfinite(x[0]));
  }

  // The same draws, done by another back end's kernel behind an asynchronous copy.
  TEST_CASE("batches are the same on every device") {
    data::Dataset dataset;
    data::FeatureSet features;
    std::vector<int> items;
    const data::MelSettings mel = data::mel_preset("mer");
    Generator random(3);
    for (int i = 0; i < 11; ++i) {
      data::Item item;
      item.id = fmt::format("song/{}", i);
      item.affect = data::Affect{0.08 * i, 0.9 - 0.05 * i};
      dataset.items.push_back(item);
      data::Features one{64, 20 + 7 * i, {}, 0};  // some are shorter than a sample
      for (int k = 0; k < one.height * one.width; ++k)
        one.values.push_back(static_cast<float>(random.normal()));
      features.items.push_back(one);
      items.push_back(i);
    }
    const data::Task task =
        data::make_task(data::TaskKind::quadrants, data::Cuts::scale, dataset, items);
    for (const char* names : {"mel", "all", "mixup", "tempo", "noise,pitch"}) {
      data::LoaderOptions options;
      options.batch_size = 4;
      options.width = 43;
      options.training = true;
      options.seed = 8;
      Augmenter(parse_augment(names), mel).install(options);
      const auto epoch = [&](Device device) {
        options.device = device;
        data::Loader loader(dataset, features, data::fit_band_statistics(features, items), task,
                            items, options);
        std::vector<data::Batch> batches;
        loader.start_epoch(1);
        for (data::Batch batch; loader.next(batch);) {
          CHECK(batch.x.device() == device);
          CHECK(batch.x.shape() == Shape{static_cast<Index>(batch.items.size()), 64, 43, 1});
          batches.push_back(batch);
        }
        return batches;
      };
      const std::vector<data::Batch> expected = epoch(cpu_device);
      REQUIRE(expected.size() == 3);
      for (const Device device : available_devices()) {
        INFO(names << " on " << to_string(device));
        const std::vector<data::Batch> got = epoch(device);
        REQUIRE(got.size() == expected.size());
        double most = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          CHECK(got[i].items == expected[i].items);
          CHECK(got[i].mix == expected[i].mix);
          CHECK(got[i].targets.to_vector<float>() == expected[i].targets.to_vector<float>());
          const auto x = got[i].x.to_vector<float>(), y = expected[i].x.to_vector<float>();
          for (std::size_t k = 0; k < x.size(); ++k)
            most = std::max(most, std::abs(static_cast<double>(x[k]) - static_cast<double>(y[k])));
        }
        CHECK(most < 1e-5);
      }
    }
  }
}
