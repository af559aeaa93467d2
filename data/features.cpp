// prepare_features() and fit_band_statistics() of loader.h.
#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>

#include "data/audio.h"
#include "data/feature_cache.h"
#include "data/files.h"
#include "data/loader.h"
#include "data/parallel.h"

namespace etude::data {
namespace {

Features image_features(const Images& images, int image) {
  Features out;
  out.height = images.height;
  out.width = out.valid = images.width;
  const std::size_t size = std::size_t(images.height) * images.width;
  const std::uint8_t* pixels = images.pixels.data() + size * image;
  out.values.resize(size);
  for (std::size_t i = 0; i < size; ++i) out.values[i] = static_cast<float>(pixels[i]) / 255.0f;
  return out;
}

// The frames that `samples` fill, of the `width` that the front end made of them.
int valid_frames(const MelSettings& settings, std::size_t samples, int width) {
  if (settings.short_clip != ShortClip::pad || settings.pad_in_statistics) return width;
  const auto n = static_cast<Index>(samples);
  const Index frames = settings.centred
                           ? 1 + n / settings.hop
                           : (n < settings.n_fft ? 1 : 1 + (n - settings.n_fft) / settings.hop);
  return static_cast<int>(std::min<Index>(frames, width));
}

Features audio_features(const std::filesystem::path& path, const MelFrontEnd& front_end,
                        bool strict, std::string& warning) {
  AudioOptions options;
  options.sample_rate = front_end.settings().sample_rate;
  options.strict = strict;
  const Audio audio = load_audio(path, options);
  warning = audio.warning;
  const Tensor mel = front_end(audio.samples);
  Features out;
  out.height = static_cast<int>(mel.dim(0));
  out.width = static_cast<int>(mel.dim(1));
  out.valid = valid_frames(front_end.settings(), audio.samples.size(), out.width);
  out.values = mel.to_vector<float>();
  return out;
}

}  // namespace

FeatureSet prepare_features(const Dataset& dataset, const std::vector<int>& which,
                            const MelSettings& settings, const PrepareOptions& options) {
  FeatureSet out;
  out.items.resize(dataset.items.size());
  const int total = static_cast<int>(which.size());
  for (const int i : which)
    check(i >= 0 && i < static_cast<int>(dataset.items.size()),
          "features: item {} of {}; expected an index into the data set", i, dataset.items.size());

  std::optional<MelFrontEnd> front_end;
  const bool any_audio =
      std::any_of(which.begin(), which.end(), [&](int i) { return dataset.items[i].image < 0; });
  if (any_audio) {
    front_end.emplace(settings);
    out.warnings = front_end->warnings();
  }
  std::optional<FeatureCache> cache;
  if (any_audio) cache.emplace(options.cache, settings);

  std::vector<std::vector<std::string>> warnings(which.size());
  std::mutex mutex;  // of the two below
  int from_cache = 0;
  std::string store_error;

  const auto work = [&](int job) {
    const Item& item = dataset.items[which[job]];
    Features& features = out.items[which[job]];
    if (item.image >= 0) {
      features = image_features(dataset.images, item.image);
      return;
    }
    check(!item.file.empty(), "features: {} has no audio file", item.id);
    try {
      FeatureCache::Key key{};
      if (cache->enabled()) {
        key = cache->key(read_file(item.file));
        std::string damaged;
        if (auto found = cache->load(key, &damaged)) {
          features = std::move(*found);
          const std::lock_guard lock(mutex);
          ++from_cache;
          return;
        }
        if (!damaged.empty()) warnings[job].push_back(damaged);
      }
      std::string warning;
      features = audio_features(item.file, *front_end, options.strict, warning);
      if (!warning.empty()) {
        // Not stored, so that the next run tells of the damage again.
        warnings[job].push_back(warning);
        return;
      }
      try {
        cache->store(key, features);
      } catch (const Error& error) {
        const std::lock_guard lock(mutex);
        if (store_error.empty()) store_error = error.what();
      }
    } catch (const Error& error) {
      if (options.strict) throw;
      features = {};
      warnings[job].push_back(fmt::format("{}; left out", error.what()));
    }
  };
  // Images are in memory already: a thread of its own costs more than the work.
  out.stopped = !parallel_for_files(total, any_audio ? options.threads : 1, work, options.progress);

  out.from_cache = from_cache;
  for (const auto& each : warnings)
    out.warnings.insert(out.warnings.end(), each.begin(), each.end());
  if (!store_error.empty())
    out.warnings.push_back(fmt::format("cache: features are not kept: {}", store_error));
  const bool nothing =
      std::all_of(which.begin(), which.end(), [&](int i) { return out.items[i].values.empty(); });
  check(!nothing || out.stopped || which.empty(), "features: none of {} files gives any: {}", total,
        out.warnings.empty() ? "" : out.warnings.back());
  return out;
}

BandStatistics fit_band_statistics(const FeatureSet& features, const std::vector<int>& train) {
  int height = 0;
  std::vector<double> sum;
  double frames = 0;
  const auto each_valid = [&](auto&& visit) {
    for (const int i : train) {
      const Features& item = features.items.at(i);
      for (int band = 0; band < item.height; ++band)
        for (int frame = 0; frame < item.frames(); ++frame)
          visit(band, double(item.values[std::size_t(band) * item.width + frame]));
    }
  };
  for (const int i : train) {
    const Features& item = features.items.at(i);
    if (item.values.empty()) continue;
    check(height == 0 || item.height == height,
          "statistics: items of {} and of {} bands; expected one height", height, item.height);
    height = item.height;
    frames += item.frames();
  }
  check(frames > 0, "statistics: the {} training items have no features", train.size());

  // Two passes in double, in the order of the items: exact enough, and the same every time.
  BandStatistics out;
  sum.assign(height, 0);
  each_valid([&](int band, double value) { sum[band] += value; });
  std::vector<double> mean(height), square(height, 0.0);
  for (int band = 0; band < height; ++band) mean[band] = sum[band] / frames;
  each_valid(
      [&](int band, double value) { square[band] += (value - mean[band]) * (value - mean[band]); });
  for (int band = 0; band < height; ++band) {
    out.mean.push_back(static_cast<float>(mean[band]));
    out.deviation.push_back(static_cast<float>(std::sqrt(square[band] / frames)));
  }
  return out;
}

}  // namespace etude::data
