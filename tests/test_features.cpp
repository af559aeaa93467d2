// Features and their cache: content, settings, damage, threads, interruption.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "data/feature_cache.h"
#include "data/files.h"
#include "data/loader.h"
#include "data/parallel.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;
using etude::testing::TemporaryFolder;
using etude::testing::test_data;
using etude::testing::write;
using etude::testing::write_tone;

namespace fs = std::filesystem;

namespace {

MelSettings small_settings() {
  MelSettings settings = mel_preset("mer");
  settings.sample_rate = 8000;
  settings.n_fft = 512;
  settings.win_length = 0;
  settings.fill_seconds = 0;
  settings.hop = 256;
  settings.n_mels = 16;
  settings.f_min = 50;
  settings.f_max = 4000;
  return settings;
}

Dataset tones(const TemporaryFolder& root, int count) {
  for (int i = 0; i < count; ++i)
    write_tone(root / fmt::format("{}/{}.wav", i % 2 ? "high" : "low", i), 0.3 + 0.1 * i,
               200 + 100 * i);
  return load_dataset("folder", {root.path()});
}

std::vector<int> all_of(const Dataset& dataset) {
  std::vector<int> all;
  for (std::size_t i = 0; i < dataset.items.size(); ++i) all.push_back(static_cast<int>(i));
  return all;
}

bool same(const FeatureSet& a, const FeatureSet& b) {
  for (std::size_t i = 0; i < a.items.size(); ++i)
    if (a.items[i].values != b.items[i].values || a.items[i].width != b.items[i].width ||
        a.items[i].valid != b.items[i].valid)
      return false;
  return a.items.size() == b.items.size();
}

std::vector<fs::path> entries(const fs::path& cache) {
  return find_below(
      cache, [](const fs::directory_entry& entry) { return entry.path().extension() == ".feat"; });
}

Features sample_features() {
  Features features;
  features.height = 3;
  features.width = 5;
  features.valid = 4;
  for (int i = 0; i < 15; ++i) features.values.push_back(static_cast<float>(i) / 7);
  return features;
}

}  // namespace

TEST_SUITE("data.features") {
  TEST_CASE("one spectrogram an item; from the cache the second time; any number of threads") {
    const TemporaryFolder root, cache;
    const Dataset dataset = tones(root, 6);
    PrepareOptions options;
    options.threads = 1;
    const FeatureSet plain = prepare_features(dataset, all_of(dataset), small_settings(), options);
    for (const Features& item : plain.items) {
      CHECK(item.height == 16);
      CHECK(item.width > 0);
      CHECK(item.values.size() == std::size_t(item.height) * item.width);
    }
    options.cache = cache.path();
    options.threads = 3;
    int last = -1, total = 0;
    options.progress = [&](int done, int of) {
      CHECK(done >= last);
      last = done;
      total = of;
      return true;
    };
    const FeatureSet first = prepare_features(dataset, all_of(dataset), small_settings(), options);
    CHECK(first.from_cache == 0);
    CHECK(same(plain, first));
    CHECK(last == 6);
    CHECK(total == 6);
    CHECK(entries(cache.path()).size() == 6);
    options.progress = {};
    const FeatureSet second = prepare_features(dataset, all_of(dataset), small_settings(), options);
    CHECK(second.from_cache == 6);
    CHECK(same(plain, second));

    // Only what is asked for.
    const FeatureSet some = prepare_features(dataset, {1, 4}, small_settings(), options);
    CHECK(some.items[0].values.empty());
    CHECK(some.items[4].values == plain.items[4].values);
    CHECK(some.from_cache == 2);
  }

  TEST_CASE("another setting or another content is another entry; a moved file is the same") {
    const TemporaryFolder root, cache;
    const Dataset dataset = tones(root, 2);
    PrepareOptions options;
    options.cache = cache.path();
    prepare_features(dataset, all_of(dataset), small_settings(), options);
    MelSettings other = small_settings();
    other.n_mels = 12;
    CHECK(prepare_features(dataset, all_of(dataset), other, options).from_cache == 0);
    MelSettings renamed = small_settings();
    renamed.preset = "mine";
    CHECK(prepare_features(dataset, all_of(dataset), renamed, options).from_cache == 2);

    write_tone(root / "low/0.wav", 0.3, 999);
    CHECK(prepare_features(dataset, all_of(dataset), small_settings(), options).from_cache == 1);
    fs::rename(root / "low", root / "deep");
    const Dataset moved = load_dataset("folder", {root.path()});
    CHECK(prepare_features(moved, all_of(moved), small_settings(), options).from_cache == 2);
  }

  TEST_CASE("damaged entries are computed anew, with a warning") {
    const TemporaryFolder root, cache;
    const Dataset dataset = tones(root, 4);
    PrepareOptions options;
    options.cache = cache.path();
    const FeatureSet good = prepare_features(dataset, all_of(dataset), small_settings(), options);
    const auto files = entries(cache.path());
    REQUIRE(files.size() == 4);
    std::string bytes = read_file(files[0]);
    bytes[bytes.size() / 2] ^= 1;
    write(files[0], bytes);
    write(files[1], read_file(files[1]).substr(0, 40));
    write(files[2], "");
    const FeatureSet again = prepare_features(dataset, all_of(dataset), small_settings(), options);
    CHECK(same(good, again));
    CHECK(again.from_cache == 1);
    REQUIRE(again.warnings.size() == 3);
    for (const auto& warning : again.warnings) CHECK(contains(warning, "computed anew"));
    CHECK(prepare_features(dataset, all_of(dataset), small_settings(), options).from_cache == 4);
  }

  TEST_CASE("an entry is what was stored, or nothing: any damage to its bytes") {
    const TemporaryFolder folder;
    const FeatureCache cache(folder.path(), small_settings());
    const auto key = cache.key("content");
    CHECK_FALSE(cache.load(key).has_value());
    const Features stored = sample_features();
    cache.store(key, stored);
    const auto found = cache.load(key);
    REQUIRE(found.has_value());
    CHECK(found->values == stored.values);
    CHECK(found->valid == 4);
    CHECK(cache.key("content") == key);
    CHECK(cache.key("contents") != key);

    const std::string bytes = read_file(cache.file(key));
    Generator random(21);
    for (std::size_t length = 0; length < bytes.size(); length += 3) {
      write(cache.file(key), bytes.substr(0, length));
      CHECK_FALSE(cache.load(key).has_value());
    }
    for (int round = 0; round < 300; ++round) {
      std::string damaged = bytes;
      const auto at = static_cast<std::size_t>(random.below(Index(bytes.size())));
      damaged[at] = static_cast<char>(damaged[at] ^ (1 + random.below(255)));
      write(cache.file(key), damaged);
      std::string warning;
      CHECK_FALSE(cache.load(key, &warning).has_value());
      CHECK_FALSE(warning.empty());
    }
    const FeatureCache none("", small_settings());
    none.store(key, stored);
    CHECK_FALSE(none.load(key).has_value());
  }

  TEST_CASE("files that give nothing are left out with a warning, or an Error when strict") {
    const TemporaryFolder root;
    tones(root, 3);
    write(root / "low/text.mp3", "no music");
    const Dataset dataset = load_dataset("folder", {root.path()});
    REQUIRE(dataset.items.size() == 4);
    PrepareOptions options;
    const FeatureSet features =
        prepare_features(dataset, all_of(dataset), small_settings(), options);
    REQUIRE(features.warnings.size() == 1);
    CHECK(contains(features.warnings[0], "text.mp3"));
    int empty = 0;
    for (const Features& item : features.items) empty += item.values.empty();
    CHECK(empty == 1);
    options.strict = true;
    CHECK(contains(
        message([&] { prepare_features(dataset, all_of(dataset), small_settings(), options); }),
        "text.mp3"));

    const TemporaryFolder rubbish;
    write(rubbish / "a/1.wav", "x");
    const Dataset broken = load_dataset("folder", {rubbish.path()});
    CHECK(contains(message([&] { prepare_features(broken, {0}, small_settings(), {}); }),
                   "none of 1 files gives any"));
  }

  TEST_CASE("a cache that cannot be written costs a warning, not the run") {
    const TemporaryFolder root;
    const Dataset dataset = tones(root, 2);
    write(root / "occupied", "a file where the folder would be");
    PrepareOptions options;
    options.cache = root / "occupied";
    const FeatureSet features =
        prepare_features(dataset, all_of(dataset), small_settings(), options);
    CHECK_FALSE(features.items[0].values.empty());
    REQUIRE(features.warnings.size() == 1);
    CHECK(contains(features.warnings[0], "features are not kept"));
  }

  TEST_CASE("short clips: padding is marked and stays out of the statistics") {
    const TemporaryFolder root;
    write_tone(root / "a/short.wav", 0.5);
    write_tone(root / "a/long.wav", 2);
    const Dataset dataset = load_dataset("folder", {root.path()});
    MelSettings settings = small_settings();
    settings.clip_seconds = 1;
    settings.short_clip = ShortClip::pad;
    const FeatureSet features = prepare_features(dataset, {0, 1}, settings, {});
    const Features &longer = features.items[0], &shorter = features.items[1];
    CHECK(longer.width == 1 + 8000 / 256);
    CHECK(longer.frames() == longer.width);
    CHECK(shorter.width == longer.width);
    CHECK(shorter.frames() == 1 + 4000 / 256);
    // The same tone: the statistics must not notice that one clip was padded.
    const BandStatistics of_short = fit_band_statistics(features, {1});
    for (int band = 0; band < 16; ++band)
      CHECK(of_short.mean[band] > -80.0f);  // silence is 10 log10(1e-6) = -60, padding mixed in
    const BandStatistics of_long = fit_band_statistics(features, {0});
    int loudest = 0;
    for (int band = 0; band < 16; ++band)
      if (of_long.mean[band] > of_long.mean[loudest]) loudest = band;
    CHECK(std::abs(of_short.mean[loudest] - of_long.mean[loudest]) < 1.5);
    settings.short_clip = ShortClip::tile;
    const FeatureSet tiled = prepare_features(dataset, {0, 1}, settings, {});
    CHECK(tiled.items[1].frames() == tiled.items[1].width);
  }

  TEST_CASE("work on files: all done, first error, and stopping") {
    std::vector<int> hits(1000, 0);
    CHECK(parallel_for_files(1000, 4, [&](int i) { ++hits[i]; }));
    CHECK(std::count(hits.begin(), hits.end(), 1) == 1000);
    CHECK(parallel_for_files(0, 4, [](int) {}));
    CHECK(message([] {
            parallel_for_files(100, 4, [](int i) { check(i < 50, "item {}", i); });
          }).starts_with("item 5"));
    int done = 0;
    CHECK_FALSE(parallel_for_files(
        100000, 2, [](int) { std::this_thread::sleep_for(std::chrono::microseconds(50)); },
        [&](int so_far, int) { return (done = so_far) < 10; }));
    CHECK(done >= 10);
    CHECK(done < 100000);
  }

  TEST_CASE("real clips: frames as the front end promises; the cache keeps every bit") {
    if (test_data().empty()) {
      MESSAGE("skipped: ETUDE_TEST_DATA is not set");
      return;
    }
    const TemporaryFolder cache;
    const Dataset dataset = load_dataset("deam", {test_data() / "DEAM"});
    REQUIRE(dataset.items.size() == 10);
    PrepareOptions options;
    options.cache = cache.path();
    const MelSettings settings = mel_preset("mer");
    const FeatureSet features = prepare_features(dataset, all_of(dataset), settings, options);
    for (const Features& item : features.items) {
      CHECK(item.height == 64);
      CHECK(std::abs(item.width - (1 + 45 * 22050 / 1024)) <= 1);
      for (const float value : item.values) CHECK(std::isfinite(value));
    }
    const FeatureSet again = prepare_features(dataset, all_of(dataset), settings, options);
    CHECK(again.from_cache == 10);
    CHECK(same(features, again));
  }
}
