// The audio front end: kernels against the definition, presets against torchaudio (make_mel.py).
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <thread>

#include "data/mel.h"
#include "data/npy.h"
#include "tests/case_runner.h"

namespace etude::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

data::NpyArray fixture(const std::string& name) {
  return data::read_npy(std::filesystem::path(ETUDE_TEST_FIXTURES) / (name + ".npy"));
}
std::vector<float> floats(const data::NpyArray& array) {
  return std::get<std::vector<float>>(array.values);
}

// The reference and every back end that must agree with it.
std::vector<Target> all_targets() {
  std::vector<Target> all = targets();
  all.push_back({"reference", reference_device, ""});
  return all;
}

double largest(const std::vector<float>& values) {
  double result = 0;
  for (const float v : values) result = std::max(result, std::abs(static_cast<double>(v)));
  return result;
}

// The largest difference over the largest expected value; infinite for a NaN or another size.
double error_over_peak(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return INFINITY;
  double error = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    if (!(d <= error)) error = std::isnan(d) ? INFINITY : d;
  }
  return error / largest(expected);
}

// A deterministic signal with something in every bin.
std::vector<float> noise(Index n, unsigned seed = 1) {
  std::vector<float> x(static_cast<std::size_t>(n));
  std::uint32_t state = 2654435761u * seed + 12345u;
  for (float& v : x) {
    state = 1664525u * state + 1013904223u;
    v = static_cast<float>(state >> 8) / (1 << 23) - 1;
  }
  return x;
}

std::vector<float> hann(Index n) {
  std::vector<float> w(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i)
    w[static_cast<std::size_t>(i)] =
        static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) /
                                                static_cast<double>(n)));
  return w;
}

std::vector<float> run_stft(const std::vector<float>& audio, Index clips,
                            const StftOptions& options, Device device) {
  const Tensor x = Tensor::from(audio, {clips, static_cast<Index>(audio.size()) / clips}, device);
  return stft(x, Tensor::from(hann(options.n_fft), {options.n_fft}, device), options)
      .to_vector<float>();
}

std::vector<float> run_front_end(const data::MelSettings& settings, const std::vector<float>& audio,
                                 Device device = cpu_device) {
  return data::MelFrontEnd(settings, device)(audio).to_vector<float>();
}

}  // namespace

TEST_SUITE("frontend") {
  TEST_CASE("stft agrees with torch.stft") {
    const std::vector<float> signal = floats(fixture("mel_signal"));
    for (const Target& target : all_targets()) {
      const UseTarget use(target);
      for (const Index n : {128, 400, 512, 1000, 2048}) {
        CAPTURE(target.name);
        CAPTURE(n);
        const Index hop = n / 2 + 7;
        const std::vector<float> x(signal.begin(), signal.begin() + 4 * hop);
        const data::NpyArray expected = fixture(fmt::format("stft_{}", n));
        CHECK(expected.shape == std::vector<Index>{5, n / 2 + 1, 2});
        CHECK(error_over_peak(run_stft(x, 1, {n, hop, true, PadMode::reflect}, target.device),
                              floats(expected)) < 1e-6);
      }
    }
  }

  TEST_CASE("presets agree with torchaudio") {
    const std::vector<float> signal = floats(fixture("mel_signal"));
    struct Preset {
      std::string fixture, preset;
      std::vector<std::pair<std::string, std::string>> changes;
      double tolerance = 1e-5;
    };
    const std::vector<Preset> all = {{"librosa_power", "librosa", {{"log_scale", "none"}}, 1e-6},
                                     {"librosa", "librosa", {}},
                                     {"librosa-legacy", "librosa-legacy", {}},
                                     {"torchaudio", "torchaudio", {}},
                                     {"original", "original", {{"clip_seconds", "2"}}},
                                     {"mer", "mer", {}},
                                     {"short_window",
                                      "librosa",
                                      {{"n_fft", "1024"},
                                       {"hop", "800"},
                                       {"n_mels", "40"},
                                       {"mel_scale", "htk"},
                                       {"f_min", "100"},
                                       {"f_max", "8000"},
                                       {"win_length", "600"},
                                       {"log_scale", "none"}},
                                      1e-6}};
    for (const Target& target : all_targets()) {
      const UseTarget use(target);
      for (const Preset& each : all) {
        CAPTURE(target.name);
        CAPTURE(each.fixture);
        data::MelSettings settings = data::mel_preset(each.preset);
        for (const auto& [name, value] : each.changes) settings.set(name, value);
        std::vector<float> x = signal;
        if (each.preset == "torchaudio") x.resize(12000);
        const data::NpyArray expected = fixture("mel_" + each.fixture);
        const Tensor y = data::MelFrontEnd(settings, target.device)(x);
        CHECK(std::vector<Index>(y.shape().begin(), y.shape().end()) == expected.shape);
        const double error = error_over_peak(y.to_vector<float>(), floats(expected));
        CAPTURE(error);
        CHECK(error < each.tolerance);
      }
    }
  }

  // Powers of two; every odd factor with a butterfly of its own and some without; primes that need
  // Bluestein's algorithm (127, 1023 = 3 x 11 x 31 does not, 4093); the ends of the range.
  TEST_CASE("stft of every kind of length") {
    for (const Index n : {128,  130,  200,  254,  256,  294,  400,  512,  600,  1000,
                          1024, 1102, 1458, 2046, 2048, 2402, 4096, 8186, 8190, 8192}) {
      for (const PadMode pad : {PadMode::zero, PadMode::reflect}) {
        const Index hop = n / 3 + 5, samples = n + 2 * hop + n / 7;
        const std::vector<float> x = noise(2 * samples);
        const StftOptions options{n, hop, pad == PadMode::reflect || n % 3 == 0, pad};
        const std::vector<float> expected = run_stft(x, 2, options, reference_device);
        for (const Target& target : targets()) {
          const UseTarget use(target);
          CAPTURE(target.name);
          CAPTURE(n);
          CHECK(error_over_peak(run_stft(x, 2, options, target.device), expected) < 1e-6);
        }
      }
    }
  }

  // sum over both halves of |X|^2 = N sum (x w)^2
  TEST_CASE("Parseval") {
    for (const Target& target : targets()) {
      const UseTarget use(target);
      for (const Index n : {128, 254, 400, 1102, 2048, 8192}) {
        CAPTURE(target.name);
        CAPTURE(n);
        const std::vector<float> x = noise(n), w = hann(n);
        const std::vector<float> X = run_stft(x, 1, {n, n, false, PadMode::zero}, target.device);
        double energy = 0, spectrum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) energy += std::pow(double(x[i]) * w[i], 2);
        for (std::size_t k = 0; 2 * k < X.size(); ++k) {
          const bool once = k == 0 || 2 * k + 2 == X.size();
          spectrum +=
              (once ? 1 : 2) * (std::pow(double(X[2 * k]), 2) + std::pow(double(X[2 * k + 1]), 2));
        }
        CHECK(spectrum == doctest::Approx(static_cast<double>(n) * energy).epsilon(1e-6));
      }
    }
  }

  TEST_CASE("neither threads nor neighbours change a bit") {
    const Index samples = 30000, clips = 3;
    const std::vector<float> x = noise(clips * samples);
    for (const Target& target : targets()) {
      const UseTarget use(target);
      CAPTURE(target.name);
      for (const Index n : {400, 1024, 2018 /* 2 x 1009, a prime */}) {
        const StftOptions options{n, 300, true, PadMode::zero};
        std::vector<float> one;
        for (const int threads : {1, 2, 3}) {
          const UseThreads use_threads(threads);
          const std::vector<float> y = run_stft(x, clips, options, target.device);
          if (threads == 1) one = y;
          CHECK(y == one);
        }
        const std::vector<float> second(x.begin() + samples, x.begin() + 2 * samples);
        const std::vector<float> alone = run_stft(second, 1, options, target.device);
        CHECK(
            std::equal(alone.begin(), alone.end(), one.begin() + static_cast<Index>(alone.size())));
      }
    }
  }

  TEST_CASE("one front end serves several threads") {
    const data::MelFrontEnd front_end(data::mel_preset("librosa"));
    std::vector<std::vector<float>> clips, alone, together(8);
    for (unsigned i = 0; i < 8; ++i) {
      clips.push_back(noise(8000 + 700 * i, i));
      alone.push_back(front_end(clips.back()).to_vector<float>());
    }
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = t; i < 8; i += 4) together[i] = front_end(clips[i]).to_vector<float>();
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(together == alone);
  }

  TEST_CASE("lengths at the edges") {
    const Index n = 256, hop = 64;
    const auto frames = [&](Index samples, bool centred) {
      const Tensor x = Tensor::from(noise(samples), {1, samples});
      const Tensor y = stft(x, Tensor::from(hann(n), {n}), {n, hop, centred, PadMode::zero});
      CHECK(y.dim(2) == n / 2 + 1);
      for (const float v : y.to_vector<float>()) CHECK(std::isfinite(v));
      return y.dim(1);
    };
    for (const Target& target : targets()) {
      const UseTarget use(target);
      CAPTURE(target.name);
      CHECK(frames(0, true) == 1);
      CHECK(frames(1, true) == 1);
      CHECK(frames(hop - 1, true) == 1);
      CHECK(frames(hop, true) == 2);
      CHECK(frames(16 * hop, true) == 17);
      CHECK(frames(0, false) == 0);
      CHECK(frames(n - 1, false) == 0);
      CHECK(frames(n, false) == 1);
      CHECK(frames(n + hop - 1, false) == 1);
      CHECK(frames(n + 15 * hop, false) == 16);
      // An empty clip is silence.
      const Tensor silence = stft(Tensor({2, 0}), Tensor::from(hann(n), {n}), {n, hop});
      CHECK(silence.shape() == Shape{2, 1, n / 2 + 1, 2});
      CHECK(largest(silence.to_vector<float>()) == 0);
      CHECK(stft(Tensor({0, 500}), Tensor::from(hann(n), {n}), {n, hop}).size() == 0);
      // The shortest clip that reflect padding can mirror, against the definition.
      const std::vector<float> x = noise(n / 2 + 1);
      const StftOptions reflect{n, hop, true, PadMode::reflect};
      CHECK(error_over_peak(run_stft(x, 1, reflect, target.device),
                            run_stft(x, 1, reflect, reference_device)) < 1e-6);
    }
  }

  TEST_CASE("wrong input is an error that says so") {
    const Tensor x = Tensor::from(noise(1000), {1, 1000});
    const auto window = [](Index n) { return Tensor::from(hann(n), {n}); };
    const auto transform = [&](Index n, Index hop, PadMode pad) {
      return stft(x, window(n), {n, hop, true, pad});
    };
    CHECK_THROWS_WITH_AS(transform(129, 10, PadMode::zero), doctest::Contains("even n_fft"), Error);
    CHECK_THROWS_WITH_AS(transform(126, 10, PadMode::zero), doctest::Contains("126"), Error);
    CHECK_THROWS_WITH_AS(transform(8194, 10, PadMode::zero), doctest::Contains("8192"), Error);
    CHECK_THROWS_WITH_AS(transform(256, 0, PadMode::zero), doctest::Contains("hop"), Error);
    CHECK_THROWS_WITH_AS(transform(2000, 10, PadMode::reflect),
                         doctest::Contains("more than n_fft / 2 = 1000 samples, got 1000"), Error);
    CHECK_THROWS_WITH_AS(stft(x, window(512), {256, 10}), doctest::Contains("window"), Error);
    CHECK_THROWS_WITH_AS(stft(x.view({1000}), window(256), {256, 10}),
                         doctest::Contains("[clips, samples]"), Error);
    data::MelSettings settings = data::mel_preset("librosa");
    const MelFilterBank filters = data::make_mel_filters(settings, cpu_device);
    CHECK_THROWS_WITH_AS(mel_spectrogram(x, window(256), {256, 10}, filters, LogScale::db, 1e-10),
                         doctest::Contains("another n_fft"), Error);
    CHECK_THROWS_WITH_AS(mel_spectrogram(x, window(2048), {}, filters, LogScale::db, 0),
                         doctest::Contains("floor"), Error);
    CHECK_THROWS_WITH_AS(run_front_end(settings, {}), doctest::Contains("no samples"), Error);
    settings.set("pad_mode", "reflect");
    CHECK_THROWS_WITH_AS(run_front_end(settings, noise(1024)), doctest::Contains("reflect"), Error);
    settings.set("centred", "false");
    CHECK_THROWS_WITH_AS(run_front_end(settings, noise(2047)), doctest::Contains("uncentred"),
                         Error);
  }

  // An impulse has |X|^2 = 1 in every bin, so a filter of one bin passes its weight on exactly.
  TEST_CASE("decibels are right to 1e-6 of the value") {
    std::vector<float> weights;
    for (double e = -36; e < 37; e += 0.0371)
      weights.push_back(static_cast<float>(std::pow(10, e)));
    for (int i = -300; i <= 300; ++i) weights.push_back(1 + static_cast<float>(i) * 1e-4f);
    for (const float near : {std::nextafter(1.f, 0.f), std::nextafter(1.f, 2.f), 0.70710677f,
                             0.70710683f, 1.4142135f, 1.4142137f})
      weights.push_back(near);
    MelFilterBank bank;
    bank.n_mels = static_cast<Index>(weights.size());
    bank.first.assign(weights.size(), 5);
    bank.count.assign(weights.size(), 1);
    bank.offset.resize(weights.size());
    std::iota(bank.offset.begin(), bank.offset.end(), 0);
    bank.weights = Tensor::from(weights, {bank.n_mels});
    std::vector<std::uint8_t> bytes;
    for (const auto* column : {&bank.first, &bank.count, &bank.offset}) {
      const auto* p = reinterpret_cast<const std::uint8_t*>(column->data());
      bytes.insert(bytes.end(), p, p + 4 * column->size());
    }
    bank.indices = Tensor::from(bytes, {static_cast<Index>(bytes.size())});
    std::vector<float> impulse(128, 0.f);
    impulse[0] = 1;
    const Tensor audio = Tensor::from(impulse, {1, 128}), ones = Tensor::full({128}, 1);
    for (const Target& target : targets()) {
      if (target.device != cpu_device) continue;
      const UseTarget use(target);
      CAPTURE(target.name);
      const StftOptions options{128, 128, false, PadMode::zero};
      const std::vector<float> db =
          mel_spectrogram(audio, ones, options, bank, LogScale::db, 1e-37).to_vector<float>();
      double worst = 0;
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const double exact = 10 * std::log10(static_cast<double>(weights[i]));
        const double error = std::abs(db[i] - exact);
        worst = std::max(worst, exact == 0 ? error : error / std::abs(exact));
      }
      CAPTURE(worst);
      CHECK(worst < 1e-6);
      // Neither the floor nor the logarithm hides what is not finite.
      for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
        const Tensor spoilt = Tensor::full({1, 128}, bad);
        for (const LogScale scale : {LogScale::none, LogScale::db, LogScale::db_offset})
          for (const float v :
               mel_spectrogram(spoilt, ones, options, bank, scale, 1e-10).to_vector<float>())
            REQUIRE_FALSE(std::isfinite(v));
      }
    }
  }

  TEST_CASE("top_db") {
    for (const Target& target : all_targets()) {
      const UseTarget use(target);
      CAPTURE(target.name);
      const Tensor y = Tensor::from(std::vector<float>{-100, -5, -25, 3, 0, -300, -77, -76.5f},
                                    {2, 4}, target.device);
      top_db(y, 80);
      CHECK(y.to_vector<float>() == std::vector<float>{-77, -5, -25, 3, 0, -80, -77, -76.5f});
      const Tensor spoilt = Tensor::from(std::vector<float>{kNan, -200, 0}, {1, 3}, target.device);
      top_db(spoilt, 80);
      const std::vector<float> out = spoilt.to_vector<float>();
      CHECK(std::isnan(out[0]));
      CHECK(out[1] == -80);
      CHECK_THROWS_AS(top_db(y, -1), Error);
    }
  }

  TEST_CASE("padding never reaches the statistics") {
    const Index bands = 5, frames = 37;
    for (const Target& target : all_targets()) {
      const UseTarget use(target);
      CAPTURE(target.name);
      std::vector<float> values = noise(3 * bands * frames);
      const std::vector<std::int64_t> valid = {20, 37, 0};
      const auto at = [&](Index c, Index b, Index f) {
        return static_cast<std::size_t>((c * bands + b) * frames + f);
      };
      const auto standardized = [&](float padding, bool per_band) {
        std::vector<float> x = values;
        for (Index c = 0; c < 3; ++c)
          for (Index b = 0; b < bands; ++b)
            for (Index f = valid[static_cast<std::size_t>(c)]; f < frames; ++f)
              x[at(c, b, f)] = padding;
        const Tensor y = Tensor::from(x, {3, bands, frames}, target.device);
        const Tensor counts = Tensor::from(valid, {3}, target.device);
        if (per_band)
          standardize_band(y, Tensor::full({bands}, 0.5, DType::f32, target.device),
                           Tensor::full({bands}, 2, DType::f32, target.device), counts);
        else
          standardize_clip(y, counts);
        return y.to_vector<float>();
      };
      const std::vector<float> y = standardized(-100, false);
      CHECK(y == standardized(1e9f, false));
      CHECK(y == standardized(kNan, false));
      double sum = 0, squares = 0;
      for (Index b = 0; b < bands; ++b)
        for (Index f = 0; f < frames; ++f) {
          const float v = y[at(0, b, f)];
          if (f >= valid[0]) CHECK(v == 0);
          sum += v;
          squares += double(v) * v;
          CHECK(y[at(2, b, f)] == 0);
        }
      CHECK(std::abs(sum) < 1e-4);
      CHECK(squares / static_cast<double>(bands * valid[0]) == doctest::Approx(1).epsilon(1e-4));

      const std::vector<float> z = standardized(kNan, true);
      CHECK(z[at(0, 3, 19)] == doctest::Approx((values[at(0, 3, 19)] - 0.5) * 2));
      CHECK(z[at(0, 3, 20)] == 0);
    }
  }

  TEST_CASE("clips are cut, padded, repeated and cropped") {
    data::MelSettings s = data::mel_preset("original");
    CHECK(data::MelFrontEnd(s)(noise(60 * 22050)).shape() == Shape{64, 1200});
    CHECK(data::MelFrontEnd(s)(noise(22050)).shape() == Shape{64, 1200});
    s.max_frames = 0;
    CHECK(data::MelFrontEnd(s)(noise(22050)).shape() == Shape{64, 1938});

    // The clip's own frames are the same whatever they are filled up to.
    const std::vector<float> x = noise(22050);
    s.clip_seconds = 2;
    const std::vector<float> two = run_front_end(s, x);
    s.clip_seconds = 3;
    const std::vector<float> three = run_front_end(s, x);
    const std::size_t own = 1 + 22050 / 512, width2 = 1 + 2 * 22050 / 512,
                      width3 = 1 + 3 * 22050 / 512;
    for (std::size_t b = 0; b < 64; ++b)
      for (std::size_t f = 0; f < width3; ++f) {
        const float expected = f < own ? two[b * width2 + f] : 0;
        REQUIRE(three[b * width3 + f] == expected);
      }

    s = data::mel_preset("mer");
    s.fill_seconds = 2;
    std::vector<float> twice = x;
    twice.insert(twice.end(), x.begin(), x.end());
    CHECK(run_front_end(s, x) == run_front_end(s, twice));
    CHECK(data::MelFrontEnd(s)(noise(10 * 22050)).dim(1) == 1 + 10 * 22050 / 1024);

    s = data::mel_preset("librosa");
    s.clip_seconds = 1;
    const std::vector<float> longer = noise(30000);
    CHECK(run_front_end(s, longer) == run_front_end(s, {longer.begin(), longer.begin() + 22050}));
  }

  TEST_CASE("settings as text") {
    CHECK(data::mel_preset_names() ==
          std::vector<std::string>{"librosa", "librosa-legacy", "torchaudio", "original", "mer"});
    for (const std::string& name : data::mel_preset_names()) {
      const data::MelSettings settings = data::mel_preset(name);
      settings.check_valid();
      data::MelSettings copy;
      copy.log_floor = 0.1 + 0.2;
      for (const auto& [field, value] : settings.to_map()) copy.set(field, value);
      CHECK(copy.to_map() == settings.to_map());
      CHECK(copy.preset == name);
    }
    data::MelSettings s;
    s.set("log_floor", "0.30000000000000004");
    CHECK(s.log_floor == 0.1 + 0.2);
    s.set("centred", "false");
    CHECK_FALSE(s.centred);
    CHECK_THROWS_WITH_AS(data::mel_preset("kaldi"), doctest::Contains("librosa-legacy"), Error);
    CHECK_THROWS_WITH_AS(s.set("mels", "64"), doctest::Contains("n_mels"), Error);
    for (const char* bad : {"", "64x", " 64", "6.4", "1e3", "99999999999999999999"})
      CHECK_THROWS_WITH_AS(s.set("n_mels", bad), doctest::Contains("n_mels"), Error);
    CHECK_THROWS_WITH_AS(s.set("mel_scale", "bark"), doctest::Contains("htk, slaney"), Error);
    for (const auto& [field, value] :
         std::vector<std::pair<std::string, std::string>>{{"n_fft", "127"},
                                                          {"n_fft", "129"},
                                                          {"n_fft", "10000"},
                                                          {"win_length", "4096"},
                                                          {"hop", "0"},
                                                          {"n_mels", "0"},
                                                          {"f_max", "12000"},
                                                          {"f_min", "11025"},
                                                          {"f_min", "-1"},
                                                          {"log_floor", "0"},
                                                          {"log_floor", "nan"},
                                                          {"top_db", "-80"},
                                                          {"sample_rate", "0"},
                                                          {"clip_seconds", "inf"},
                                                          {"max_frames", "-1"}}) {
      data::MelSettings wrong;
      wrong.set(field, value);
      const auto& shown_field = field;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_field);
      const auto& shown_value = value;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_value);
      CHECK_THROWS_WITH_AS(wrong.check_valid(), doctest::Contains(field.c_str()), Error);
    }
  }

  TEST_CASE("empty filters are told of") {
    CHECK(data::MelFrontEnd(data::mel_preset("librosa")).warnings().empty());
    CHECK(data::MelFrontEnd(data::mel_preset("mer")).warnings().empty());
    std::vector<std::string> warnings;
    const MelFilterBank bank =
        data::make_mel_filters(data::mel_preset("torchaudio"), cpu_device, &warnings);
    CHECK(std::count(bank.count.begin(), bank.count.end(), 0) == 4);
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0].find("4 of 128 filters are empty (0, 3, 6, 13)") != std::string::npos);
    CHECK(data::MelFrontEnd(data::mel_preset("torchaudio")).warnings() == warnings);
    // Many of them are still one line.
    data::MelSettings coarse = data::mel_preset("librosa");
    coarse.n_fft = 128;
    const auto many = data::MelFrontEnd(coarse).warnings();
    REQUIRE(many.size() == 1);
    CHECK(many[0].find("(0-4, 7-11, ") != std::string::npos);
    CHECK(many[0].size() < 250);
  }
}

}  // namespace etude::test
