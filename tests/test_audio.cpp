// Decoding, resampling and encoding: round trips, damage, and files that are no audio.
#include <doctest/doctest.h>
#include <sndfile.h>
#include <sys/resource.h>

#include <cmath>
#include <complex>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <thread>

#include "data/audio.h"
#include "data/files.h"
#include "engine/random.h"
#include "temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::TemporaryFolder;
namespace fs = std::filesystem;

#ifdef __SANITIZE_ADDRESS__
// libsndfile 1.2.0 leaks the Vorbis header of an Ogg file that it refuses to open.
extern "C" const char* __lsan_default_suppressions() { return "leak:libvorbis.so\n"; }
#endif

namespace {

constexpr double kPi = std::numbers::pi;

std::vector<float> sine(double hertz, int rate, double seconds, double level = 0.5) {
  std::vector<float> x(static_cast<std::size_t>(std::lround(seconds * rate)));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(level * std::sin(2 * kPi * hertz * double(i) / rate));
  return x;
}

std::vector<float> interleave(const std::vector<float>& left, const std::vector<float>& right) {
  std::vector<float> x;
  for (std::size_t i = 0; i < left.size(); ++i) x.insert(x.end(), {left[i], right[i]});
  return x;
}

// Amplitude of one frequency in the middle half of x, by correlation with a Hann window: blind to
// delay, and to what codecs do at the edges.
double level_of(const std::vector<float>& x, double hertz, int rate) {
  const std::size_t begin = x.size() / 4, n = x.size() / 2;
  std::complex<double> sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double window = 1 - std::cos(2 * kPi * double(i) / double(n));
    sum += window * double(x[begin + i]) * std::polar(1.0, -2 * kPi * hertz * double(i) / rate);
  }
  return 2 * std::abs(sum) / double(n);
}

// Writes with libsndfile directly: for formats and samples that save_audio does not offer.
// `bitrate_mode` (SF_BITRATE_MODE_*) of a format that has a choice; negative: the encoder's own.
void write_sndfile(const fs::path& path, const std::vector<float>& interleaved, int channels,
                   int rate, int format, int bitrate_mode = -1) {
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = channels;
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  if (bitrate_mode >= 0) {  // what the command returns is the encoder's 0, and says nothing
    sf_command(file, SFC_SET_BITRATE_MODE, &bitrate_mode, sizeof bitrate_mode);
    REQUIRE(sf_command(file, SFC_GET_BITRATE_MODE, nullptr, 0) == bitrate_mode);
  }
  const auto n = static_cast<sf_count_t>(interleaved.size());
  REQUIRE(sf_write_float(file, interleaved.data(), n) == n);
  sf_close(file);
}

std::string error_of(const fs::path& path, const AudioOptions& options = {}) {
  try {
    load_audio(path, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// One line that names the file and says `what`.
void check_error(const fs::path& path, const std::string& what, const AudioOptions& options = {}) {
  const std::string message = error_of(path, options);
  CAPTURE(message);
  CAPTURE(what);
  CHECK(message.find(path.string()) != message.npos);
  CHECK(message.find(what) != message.npos);
  CHECK(message.find('\n') == message.npos);
}

}  // namespace

TEST_SUITE("audio") {
  TEST_CASE("wav and flac come back within a 16-bit step, as the mean of the channels") {
    TemporaryFolder folder;
    const auto left = sine(440, 44100, 0.5), right = sine(1000, 44100, 0.5, 0.3);
    for (const auto& [name, format] :
         {std::pair{"x.wav", AudioFormat::wav}, std::pair{"x.flac", AudioFormat::flac}}) {
      const auto& shown_name = name;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_name);
      save_audio(folder / name, interleave(left, right), 2, 44100, format);
      const Audio audio = load_audio(folder / name, {.strict = true});
      REQUIRE(audio.samples.size() == left.size());
      CHECK(audio.sample_rate == 44100);
      CHECK(audio.frames_expected == 22050);
      CHECK(audio.frames_decoded == 22050);
      CHECK(audio.warning.empty());
      double worst = 0;
      for (std::size_t i = 0; i < left.size(); ++i)
        worst = std::max(worst, std::abs(double(audio.samples[i]) - 0.5 * (left[i] + right[i])));
      CHECK(worst <= 1.0 / 32768);
    }
  }

  TEST_CASE("lossy formats keep length, frequency and level") {
    TemporaryFolder folder;
    const auto x = sine(1000, 48000, 2);
    save_audio(folder / "x.ogg", x, 1, 48000, AudioFormat::ogg);
    save_audio(folder / "x.mp3", x, 1, 48000, AudioFormat::mp3);
    write_sndfile(folder / "x.opus", x, 1, 48000, SF_FORMAT_OGG | SF_FORMAT_OPUS);
    write_sndfile(folder / "x.aiff", x, 1, 48000, SF_FORMAT_AIFF | SF_FORMAT_PCM_24);
    for (const char* name : {"x.ogg", "x.mp3", "x.opus", "x.aiff"}) {
      CAPTURE(name);
      const Audio audio = load_audio(folder / name, {.strict = true});
      CHECK(audio.sample_rate == 48000);
      // An mp3 is whole frames of 1152 samples, with the encoder's delay and padding.
      CHECK(std::abs(audio.seconds() - 2) <= 3 * 1152.0 / 48000);
      // Codecs are psychoacoustic, not exact: one per cent of a steady tone's level.
      CHECK(level_of(audio.samples, 1000, 48000) == doctest::Approx(0.5).epsilon(0.01));
      CHECK(level_of(audio.samples, 3000, 48000) < 0.001);
    }
  }

  TEST_CASE("any number of channels becomes their mean") {
    TemporaryFolder folder;
    for (const int channels : {1, 2, 3, 6, 8}) {
      CAPTURE(channels);
      std::vector<float> x;
      for (int i = 0; i < 1000; ++i)
        for (int c = 0; c < channels; ++c) x.push_back(0.1f * static_cast<float>(c));
      write_sndfile(folder / "x.wav", x, channels, 22050, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
      const Audio audio = load_audio(folder / "x.wav");
      REQUIRE(audio.samples.size() == 1000);
      CHECK(audio.samples[500] == doctest::Approx(0.05 * (channels - 1)).epsilon(1e-6));
    }
  }

  TEST_CASE("offset and length cut exactly what decoding all of it gives there") {
    TemporaryFolder folder;
    // Noise: no two places are alike.
    Generator random(7);
    std::vector<float> x(44100 * 4);
    for (float& v : x) v = static_cast<float>(random.uniform(-0.5, 0.5));
    for (const auto& [name, format] :
         {std::pair{"x.mp3", AudioFormat::mp3}, std::pair{"x.ogg", AudioFormat::ogg}}) {
      const auto& shown_name = name;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_name);
      save_audio(folder / name, x, 1, 44100, format);
      const Audio all = load_audio(folder / name);
      const Audio part = load_audio(folder / name, {.offset_seconds = 1.25, .max_seconds = 0.5});
      REQUIRE(part.samples.size() == 22050);
      CHECK(part.warning.empty());
      const auto from = all.samples.begin() + 55125;
      CHECK(std::equal(part.samples.begin(), part.samples.end(), from));
      // A part that the end cuts short.
      const Audio tail = load_audio(folder / name, {.offset_seconds = 3.5, .max_seconds = 9});
      CHECK(tail.samples.size() == all.samples.size() - 154350);
      check_error(folder / name, "before the offset of 60.0 s", {.offset_seconds = 60});
    }
    CHECK_THROWS_AS(load_audio(folder / "x.ogg", {.offset_seconds = -1}), Error);
    CHECK_THROWS_AS(load_audio(folder / "x.ogg", {.max_seconds = NAN}), Error);
    CHECK_THROWS_AS(load_audio(folder / "x.ogg", {.sample_rate = -3}), Error);
  }

  TEST_CASE("resampling keeps frequency and level, rejects what would alias, and rounds up") {
    for (const auto& [from, to] :
         {std::pair{44100, 22050}, {48000, 22050}, {22050, 16000}, {8000, 22050}, {22050, 44100}}) {
      const auto& shown_from = from;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_from);
      const auto& shown_to = to;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_to);
      const auto y = resample(sine(1000, from, 1.5), from, to);
      CHECK(y.size() ==
            static_cast<std::size_t>(std::ceil(std::lround(1.5 * from) * double(to) / from)));
      // soxr HQ: a pass band flat to 0.01 dB and more than 100 dB of rejection.
      CHECK(level_of(y, 1000, to) == doctest::Approx(0.5).epsilon(1e-3));
      CHECK(level_of(y, 2000, to) < 1e-4);
    }
    // 15 kHz does not exist at 22.05 kHz; it would fold to 7.05 kHz.
    const auto folded = resample(sine(15000, 44100, 1), 44100, 22050);
    CHECK(level_of(folded, 7050, 22050) < 1e-4);
    CHECK(resample({}, 44100, 22050).empty());
    CHECK(resample({0.25f}, 8000, 8000) == std::vector<float>{0.25f});
    CHECK_THROWS_AS(resample({0.0f}, 0, 8000), Error);
  }

  TEST_CASE("load_audio resamples on request") {
    TemporaryFolder folder;
    save_audio(folder / "x.wav", sine(1000, 44100, 1), 1, 44100, AudioFormat::wav);
    const Audio audio = load_audio(folder / "x.wav", {.sample_rate = 16000});
    CHECK(audio.sample_rate == 16000);
    CHECK(audio.samples.size() == 16000);
    CHECK(audio.frames_decoded == 44100);
    CHECK(level_of(audio.samples, 1000, 16000) == doctest::Approx(0.5).epsilon(1e-3));
  }

  TEST_CASE("a truncated mp3 warns with the loss, and is an error when strict") {
    TemporaryFolder folder;
    save_audio(folder / "whole.mp3", sine(440, 44100, 10), 1, 44100, AudioFormat::mp3);
    const std::string bytes = read_file(folder / "whole.mp3");
    write_file(folder / "cut.mp3", std::string_view(bytes).substr(0, bytes.size() / 2));
    const Audio audio = load_audio(folder / "cut.mp3");
    CHECK(audio.frames_expected > 440000);
    CHECK(audio.seconds() > 4);
    CHECK(audio.seconds() < 6);
    CHECK(audio.warning.find("cut.mp3: damaged or cut off") != audio.warning.npos);
    CHECK(audio.warning.find('\n') == audio.warning.npos);
    check_error(folder / "cut.mp3", "damaged or cut off", {.strict = true});
    // What lies before the damage is intact.
    CHECK(load_audio(folder / "cut.mp3", {.max_seconds = 3, .strict = true}).seconds() == 3);
  }

  TEST_CASE("junk in the middle of an mp3 costs its surroundings, not the rest") {
    TemporaryFolder folder;
    for (const int mode : {SF_BITRATE_MODE_CONSTANT, SF_BITRATE_MODE_VARIABLE}) {
      CAPTURE(mode);
      write_sndfile(folder / "whole.mp3", sine(440, 44100, 20), 1, 44100,
                    SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, mode);
      CHECK(load_audio(folder / "whole.mp3", {.strict = true}).warning.empty());
      const std::string whole = read_file(folder / "whole.mp3");
      REQUIRE(whole.size() > 60000);
      // Junk may look like a frame of another bit rate: every other one here holds a few such.
      write_sndfile(folder / "alien.mp3", sine(440, 48000, 20), 1, 48000,
                    SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, mode);
      const std::string alien = read_file(folder / "alien.mp3");
      for (const std::size_t seed : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
        CAPTURE(seed);
        std::string bytes = whole;
        const std::size_t middle = bytes.size() / 2;
        Generator random(seed);
        for (std::size_t i = 0; i < 8192; ++i) bytes[middle + i] = static_cast<char>(random.bits());
        if (seed % 2 == 0)
          bytes.replace(middle + 1000, 4096, alien.substr(alien.size() / 2 + seed, 4096));
        write_file(folder / "junk.mp3", bytes);
        const Audio audio = load_audio(folder / "junk.mp3");
        CHECK(audio.warning.find("lost") != std::string::npos);
        CHECK(audio.seconds() > 15);
        CHECK(audio.seconds() < 20);
        CHECK_THROWS_AS(load_audio(folder / "junk.mp3", {.strict = true}), Error);
      }
    }
  }

  TEST_CASE("a cover picture in front of an mp3 or a FLAC file is passed over") {
    TemporaryFolder folder;
    std::string picture(300'000, '\xff');  // looks like sync bytes all the way
    const std::size_t size = picture.size();
    std::string tag{'I', 'D', '3', 4, 0, 0};
    for (const int shift : {21, 14, 7, 0}) tag += static_cast<char>(size >> shift & 0x7f);
    for (const auto& [name, format] :
         {std::pair{"x.mp3", AudioFormat::mp3}, std::pair{"x.flac", AudioFormat::flac}}) {
      const auto& shown_name = name;  // clang 14 cannot capture a structured binding
      CAPTURE(shown_name);
      save_audio(folder / name, sine(440, 44100, 3), 1, 44100, format);
      const Audio plain = load_audio(folder / name);
      write_file(folder / name, tag + picture + read_file(folder / name));
      const Audio tagged = load_audio(folder / name, {.strict = true});
      CHECK(tagged.samples == plain.samples);
    }
    write_file(folder / "tag.mp3", tag + picture);
    check_error(folder / "tag.mp3", "cut off");
  }

  TEST_CASE("the content decides, not the name") {
    TemporaryFolder folder;
    save_audio(folder / "x.wav", sine(440, 44100, 1), 1, 44100, AudioFormat::wav);
    fs::rename(folder / "x.wav", folder / "x.mp3");
    CHECK(load_audio(folder / "x.mp3").samples.size() == 44100);
  }

  TEST_CASE("what is no audio is named for what it is") {
    TemporaryFolder folder;
    const auto expect = [&](const std::string& bytes, const std::string& what) {
      write_file(folder / "song.mp3", bytes);
      check_error(folder / "song.mp3", what);
    };
    using namespace std::string_literals;
    const std::string padding(100, '\0');
    expect("These are my notes about the song.\n",
           "a text file, which cannot be read as audio; wav");
    expect("<!DOCTYPE html><html><body>404</body></html>", "a web page");
    expect("version https://git-lfs.github.com/spec/v1\n", "Git LFS");
    expect("\0\0\0\x20"s + "ftypM4A " + padding, "an MPEG-4 file (m4a, mp4)");
    expect("\xff\xd8\xff\xe0"s + padding, "a JPEG picture");
    expect("PK\x03\x04"s + padding, "a zip archive");
    expect("\xff\xf1\x50\x80"s + padding, "an AAC stream");
    expect("MThd"s + padding, "a MIDI file");
    expect("\xff\xfeh\0i\0!\0"s, "a text file");
    expect(padding, "zero bytes");
    expect("\x01\x02\x03\x04"s + padding, "unknown kind");
    expect("", "an empty file");
    expect("RIFF\x24\0\0\0WAVE"s + padding, "a WAV file that cannot be decoded");
    expect("OggS"s + padding, "an Ogg file that cannot be decoded");
    expect("\xff\xfb\x90\x64"s + padding, "an mp3 file in which no audio frame can be found");
    check_error(folder / "nothing.mp3", "no such audio file");
    check_error(folder.path(), "a folder");
    check_error("/dev/null", "a device or a pipe");
  }

  TEST_CASE("absurd headers neither allocate gigabytes nor pass") {
    TemporaryFolder folder;
    save_audio(folder / "x.wav", sine(440, 44100, 0.1), 1, 44100, AudioFormat::wav);
    const std::string good = read_file(folder / "x.wav");
    const auto with = [&](std::size_t at, std::uint32_t value) {
      std::string bytes = good;
      for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
      write_file(folder / "x.wav", bytes);
    };
    with(24, 3);  // the sample rate of the fmt chunk
    check_error(folder / "x.wav", "sample rate of 3 Hz");
    with(24, 2'000'000'000);
    check_error(folder / "x.wav", "sample rate");
    const std::size_t data = good.find("data");
    REQUIRE(data != good.npos);
    with(data + 4, 0xfffffff0);  // the data chunk's length
    const Audio audio = load_audio(folder / "x.wav");
    CHECK(audio.samples.size() == 4410);
  }

  TEST_CASE("samples that are not finite become silence, with a warning") {
    TemporaryFolder folder;
    auto x = sine(440, 44100, 0.1);
    x[100] = std::numeric_limits<float>::quiet_NaN();
    x[200] = std::numeric_limits<float>::infinity();
    write_sndfile(folder / "x.wav", x, 1, 44100, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
    const Audio audio = load_audio(folder / "x.wav", {.sample_rate = 22050});
    for (const float v : audio.samples) REQUIRE(std::isfinite(v));
    CHECK(audio.warning.find("2 of 4410 samples are not finite") != audio.warning.npos);
    check_error(folder / "x.wav", "not finite", {.strict = true});
  }

  TEST_CASE("saving refuses what the format does not have, and clips") {
    TemporaryFolder folder;
    const auto x = sine(440, 44100, 0.1);
    CHECK_THROWS_AS(save_audio(folder / "x.mp3", x, 3, 44100, AudioFormat::mp3), Error);
    CHECK_THROWS_AS(save_audio(folder / "x.wav", x, 0, 44100, AudioFormat::wav), Error);
    CHECK_THROWS_AS(save_audio(folder / "x.wav", {0.0f}, 2, 44100, AudioFormat::wav), Error);
    CHECK_THROWS_AS(save_audio(folder / "x.wav", {NAN}, 1, 44100, AudioFormat::wav), Error);
    CHECK(fs::is_empty(folder.path()));
    save_audio(folder / "x.wav", {2.0f, -2.0f, 0.5f}, 1, 44100, AudioFormat::wav);
    const Audio audio = load_audio(folder / "x.wav");
    CHECK(audio.samples[0] > 0.999f);
    CHECK(audio.samples[1] < -0.999f);
    CHECK(audio.samples[2] == doctest::Approx(0.5).epsilon(1e-4));
  }

  TEST_CASE("a full disk is an error that names the path; the old file stays, no rest is left") {
    TemporaryFolder folder;
    const auto path = folder / "x.wav";
    save_audio(path, sine(440, 44100, 0.1), 1, 44100, AudioFormat::wav);
    const std::string old = read_file(path);
    // A limit on the size of files stands in for the disk.
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = before;
    limit.rlim_cur = 20'000;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    std::string message;
    try {
      save_audio(path, sine(440, 44100, 2), 1, 44100, AudioFormat::wav);
    } catch (const Error& error) {
      message = error.what();
    }
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    CHECK(message.find(path.string()) != message.npos);
    CHECK(read_file(path) == old);
    CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
    CHECK_THROWS_AS(save_audio("/proc/nowhere/x.wav", {0.0f}, 1, 44100, AudioFormat::wav), Error);
  }

  TEST_CASE("threads decode and encode side by side") {
    TemporaryFolder folder;
    const auto x = sine(440, 44100, 1);
    save_audio(folder / "x.mp3", x, 1, 44100, AudioFormat::mp3);
    save_audio(folder / "x.ogg", x, 1, 44100, AudioFormat::ogg);
    const auto mp3 = load_audio(folder / "x.mp3", {22050}).samples;
    const auto ogg = load_audio(folder / "x.ogg", {22050}).samples;
    std::vector<std::thread> threads;
    std::vector<int> good(4);
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 4; ++i) {
          good[t] += load_audio(folder / "x.mp3", {22050}).samples == mp3;
          good[t] += load_audio(folder / "x.ogg", {22050}).samples == ogg;
          save_audio(folder / fmt::format("{}.mp3", t), x, 1, 44100, AudioFormat::mp3);
          good[t] += load_audio(folder / fmt::format("{}.mp3", t), {22050}).samples == mp3;
        }
      });
    for (auto& thread : threads) thread.join();
    CHECK(good == std::vector<int>{12, 12, 12, 12});
  }

  TEST_CASE("mutated files are decoded or refused, never more") {
    TemporaryFolder folder;
    const auto x = sine(440, 22050, 0.4);
    save_audio(folder / "x.wav", x, 1, 22050, AudioFormat::wav);
    save_audio(folder / "x.flac", x, 1, 22050, AudioFormat::flac);
    save_audio(folder / "x.ogg", x, 1, 22050, AudioFormat::ogg);
    save_audio(folder / "x.mp3", x, 1, 22050, AudioFormat::mp3);
    write_sndfile(folder / "x.opus", sine(440, 48000, 0.4), 1, 48000,
                  SF_FORMAT_OGG | SF_FORMAT_OPUS);
    write_sndfile(folder / "x.aiff", x, 1, 22050, SF_FORMAT_AIFF | SF_FORMAT_PCM_16);
    int decoded = 0, refused = 0;
    std::uint64_t seed = 0;
    for (const char* name : {"x.wav", "x.flac", "x.ogg", "x.mp3", "x.opus", "x.aiff"}) {
      const std::string good = read_file(folder / name);
      for (int round = 0; round < 60; ++round) {
        Generator random(++seed);
        std::string bytes = good;
        // Headers are short: half of the mutants have all their changes in the first hundred bytes.
        const auto changes = 1 + random.below(12);
        const auto range = random.below(2) ? Index{100} : static_cast<Index>(bytes.size());
        for (Index i = 0; i < changes; ++i) {
          const auto at = static_cast<std::size_t>(random.below(range));
          bytes[at] = random.below(3) ? static_cast<char>(random.bits()) : '\xff';
        }
        if (random.below(4) == 0)
          bytes.resize(static_cast<std::size_t>(random.below(static_cast<Index>(bytes.size()))));
        write_file(folder / "mutant", bytes);
        try {
          const Audio audio = load_audio(folder / "mutant", {.sample_rate = 22050});
          ++decoded;
          // From 0.4 s of sound nothing much longer can come, whatever rate the header now claims.
          CHECK(audio.frames_decoded < 1'000'000);
          for (const float v : audio.samples)
            if (!std::isfinite(v)) FAIL("not finite: " << name << " seed " << seed);
        } catch (const Error& error) {
          ++refused;
          CHECK(std::string(error.what()).find("mutant") != std::string::npos);
        }
      }
    }
    CHECK(decoded > 60);
    CHECK(refused > 30);
  }

  TEST_CASE("audio files are known by their extension") {
    for (const char* name :
         {"a.mp3", "a.WAV", "b/a.b.Flac", "a.ogg", "a.oga", "a.opus", "a.aif", "a.aiff", "a.aifc"})
      CHECK(is_audio_file(name));
    for (const char* name : {"a.m4a", "a.txt", "mp3", ".mp3", "a.mp3.tmp", "a"})
      CHECK(!is_audio_file(name));
  }

  TEST_CASE("the real DEAM clips are intact and 45 seconds long") {
    const char* data = std::getenv("ETUDE_TEST_DATA");
    if (!data) {
      MESSAGE("skipped: ETUDE_TEST_DATA is not set");
      return;
    }
    int clips = 0;
    for (const int id : {2, 3, 4, 5, 7, 8, 10, 12, 13, 17}) {
      CAPTURE(id);
      const auto path = fs::path(data) / "DEAM/MEMD_audio" / fmt::format("{}.mp3", id);
      const Audio audio = load_audio(path, {.sample_rate = 22050, .strict = true});
      CHECK(audio.warning.empty());
      CHECK(audio.seconds() == doctest::Approx(45.02).epsilon(0.001));
      double energy = 0;
      for (const float v : audio.samples) energy += double(v) * v;
      CHECK(std::sqrt(energy / double(audio.samples.size())) > 0.003);
      ++clips;
    }
    CHECK(clips == 10);
  }
}
