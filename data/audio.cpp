#include "data/audio.h"

#include <sndfile.h>
#include <soxr.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

#include "data/audio_decode.h"
#include "data/files.h"

namespace etude::data {

namespace {

constexpr const char* supported = "wav, flac, ogg, opus, mp3 and aiff are supported";
// Hours of music; what a damaged header promises beyond is not believed, nor allocated.
constexpr std::int64_t max_frames = std::int64_t{1} << 29;
constexpr int min_rate = 1000, max_rate = 1'000'000;

// Frames of a duration; negative or absurd ones are an Error.
std::int64_t frames_of(double seconds, int rate, const char* what) {
  check(std::isfinite(seconds) && seconds >= 0 && seconds < 1e9,
        "load_audio: {} must be zero or a positive number of seconds, not {}", what, seconds);
  return std::llround(seconds * rate);
}

// Collects the wanted frames of a stream as mono.
class MonoSink {
 public:
  MonoSink(const std::string& name, const AudioOptions& options) : name_(name), options_(options) {}

  void start(const AudioStream& stream) {
    check(stream.sample_rate >= min_rate && stream.sample_rate <= max_rate,
          "{}: the header claims a sample rate of {} Hz; expected {} to {}: the file is damaged",
          name_, stream.sample_rate, min_rate, max_rate);
    rate_ = stream.sample_rate;
    first_ = frames_of(options_.offset_seconds, rate_, "offset_seconds");
    const std::int64_t length = frames_of(options_.max_seconds, rate_, "max_seconds");
    if (length > 0) end_ = first_ + length;
    // The header is believed up to some minutes of music; beyond, the vector grows as it must.
    const std::int64_t wanted = std::min(stream.frames, end_) - first_;
    samples.reserve(static_cast<std::size_t>(std::clamp<std::int64_t>(wanted, 0, 1 << 25)));
  }

  bool take(const float* x, std::int64_t frames, int channels) {
    const std::int64_t from = std::clamp<std::int64_t>(first_ - position, 0, frames);
    const std::int64_t to = std::clamp<std::int64_t>(end_ - position, 0, frames);
    const std::size_t before = samples.size();
    samples.resize(before + static_cast<std::size_t>(std::max<std::int64_t>(to - from, 0)));
    float* const mean = samples.data() + before;
    if (channels == 1)  // the usual numbers of channels as loops that compilers make vectors of
      average<1>(x, from, to, 1, mean);
    else if (channels == 2)
      average<2>(x, from, to, 2, mean);
    else
      average<0>(x, from, to, channels, mean);
    check(static_cast<std::int64_t>(samples.size()) <= max_frames,
          "{}: more than {} frames ({:.1f} h) of audio; cut it into parts", name_, max_frames,
          double(max_frames) / rate_ / 3600);
    position += frames;
    return position < end_;
  }

  std::int64_t first() const { return first_; }
  std::int64_t end() const { return end_; }

  std::vector<float> samples;
  std::int64_t position = 0;    // frames seen
  std::int64_t not_finite = 0;  // among the wanted

 private:
  // The mean of the channels of frames [from, to): `Channels` of them, or, where that is 0,
  // `channels`.
  template <int Channels>
  void average(const float* x, std::int64_t from, std::int64_t to, int channels, float* mean) {
    const int count = Channels > 0 ? Channels : channels;
    std::int64_t odd = 0;
    for (std::int64_t i = from; i < to; ++i) {
      double sum = 0;
      for (int c = 0; c < count; ++c) sum += x[i * count + c];
      const auto value = static_cast<float>(sum / count);
      const bool finite = std::abs(value) <= std::numeric_limits<float>::max();
      odd += !finite;
      mean[i - from] = finite ? value : 0.0f;
    }
    not_finite += odd;
  }

  const std::string& name_;
  const AudioOptions& options_;
  std::int64_t first_ = 0, end_ = max_frames * 2;
  int rate_ = 1;
};

// An encoder's file in memory.
struct MemoryFile {
  std::string bytes;
  sf_count_t position = 0;

  static SF_VIRTUAL_IO io() {
    SF_VIRTUAL_IO io{};
    io.get_filelen = [](void* user) {
      return static_cast<sf_count_t>(static_cast<MemoryFile*>(user)->bytes.size());
    };
    io.seek = [](sf_count_t offset, int whence, void* user) {
      auto& file = *static_cast<MemoryFile*>(user);
      const auto size = static_cast<sf_count_t>(file.bytes.size());
      file.position = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.position : size);
      return file.position = std::max<sf_count_t>(0, file.position);
    };
    io.read = [](void* to, sf_count_t count, void* user) {
      auto& file = *static_cast<MemoryFile*>(user);
      const auto size = static_cast<sf_count_t>(file.bytes.size());
      count = std::clamp<sf_count_t>(size - file.position, 0, count);
      std::memcpy(to, file.bytes.data() + file.position, static_cast<std::size_t>(count));
      file.position += count;
      return count;
    };
    io.write = [](const void* from, sf_count_t count, void* user) {
      auto& file = *static_cast<MemoryFile*>(user);
      const auto end = static_cast<std::size_t>(file.position + count);
      if (file.bytes.size() < end) file.bytes.resize(end);
      std::memcpy(file.bytes.data() + file.position, from, static_cast<std::size_t>(count));
      file.position += count;
      return count;
    };
    io.tell = [](void* user) { return static_cast<MemoryFile*>(user)->position; };
    return io;
  }
};

int sndfile_format(AudioFormat format) {
  switch (format) {
    case AudioFormat::wav:
      return SF_FORMAT_WAV | SF_FORMAT_PCM_16;
    case AudioFormat::flac:
      return SF_FORMAT_FLAC | SF_FORMAT_PCM_16;
    case AudioFormat::ogg:
      return SF_FORMAT_OGG | SF_FORMAT_VORBIS;
    case AudioFormat::mp3:
      return SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III;
  }
  return 0;
}

}  // namespace

Audio load_audio(const std::filesystem::path& path, const AudioOptions& options) {
  const std::string name = path.string();
  check(options.sample_rate == 0 ||
            (options.sample_rate >= min_rate && options.sample_rate <= max_rate),
        "load_audio: the sample rate must be 0 or {} to {} Hz, not {}", min_rate, max_rate,
        options.sample_rate);
  const FileKind kind = sniff_file(path);
  check(kind.decoder != FileKind::none, "{}: {}, which cannot be read as audio; {}", name,
        kind.description, supported);

  MonoSink sink(name, options);
  const auto decode = kind.decoder == FileKind::mpg123 ? decode_mpg123 : decode_sndfile;
  const AudioStream stream = decode(
      path, kind.description, [&](const AudioStream& s) { sink.start(s); },
      [&](const float* x, std::int64_t n, int channels) { return sink.take(x, n, channels); });

  check(sink.position > 0, "{}: {} without a single sample that can be decoded", name,
        kind.description);
  check(!sink.samples.empty(), "{}: the audio ends at {:.1f} s, before the offset of {:.1f} s",
        name, double(sink.position) / stream.sample_rate, options.offset_seconds);

  Audio audio;
  audio.sample_rate = stream.sample_rate;
  audio.frames_decoded = std::min(sink.position, sink.end());
  audio.frames_expected =
      stream.frames < 0 ? audio.frames_decoded : std::min(stream.frames, sink.end());
  const std::int64_t lost = audio.frames_expected - audio.frames_decoded;
  if (lost > stream.tolerance) {
    audio.warning = fmt::format(
        "{}: damaged or cut off: {} of {} frames decoded, {:.1f} of {:.1f} "
        "s lost",
        name, audio.frames_decoded, audio.frames_expected, double(lost) / stream.sample_rate,
        double(audio.frames_expected) / stream.sample_rate);
  } else if (sink.not_finite > 0) {
    audio.warning = fmt::format("{}: {} of {} samples are not finite; taken as silence", name,
                                sink.not_finite, sink.samples.size());
  }
  check(!options.strict || audio.warning.empty(), "{}; replace the file or leave out --strict",
        audio.warning);
  audio.samples = std::move(sink.samples);
  if (options.sample_rate != 0 && options.sample_rate != audio.sample_rate) {
    audio.samples = resample(audio.samples, audio.sample_rate, options.sample_rate);
    audio.sample_rate = options.sample_rate;
  }
  return audio;
}

std::vector<float> resample(const std::vector<float>& samples, int from_rate, int to_rate) {
  check(from_rate > 0 && to_rate > 0, "resample: rates must be positive, not {} and {} Hz",
        from_rate, to_rate);
  if (from_rate == to_rate || samples.empty()) return samples;
  const auto length =
      (static_cast<std::int64_t>(samples.size()) * to_rate + from_rate - 1) / from_rate;
  check(length <= max_frames, "resample: {} samples from {} to {} Hz would be {}, more than {}",
        samples.size(), from_rate, to_rate, length, max_frames);
  // Zeros where soxr gives a sample less than the rounded-up length.
  std::vector<float> result(static_cast<std::size_t>(length));
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  std::size_t done = 0;
  const soxr_error_t error =
      soxr_oneshot(from_rate, to_rate, 1, samples.data(), samples.size(), nullptr, result.data(),
                   result.size(), &done, nullptr, &quality, nullptr);
  check(error == nullptr, "resample: soxr from {} to {} Hz failed ({})", from_rate, to_rate,
        error ? error : "");
  return result;
}

void save_audio(const std::filesystem::path& path, const std::vector<float>& interleaved,
                int channels, int sample_rate, AudioFormat format) {
  const std::string name = path.string();
  SF_INFO info{};
  info.channels = channels;
  info.samplerate = sample_rate;
  info.format = sndfile_format(format);
  check(channels > 0 && interleaved.size() % static_cast<std::size_t>(channels) == 0,
        "save_audio: {}: {} samples are no whole frames of {} channels", name, interleaved.size(),
        channels);
  check(sf_format_check(&info) != 0, "save_audio: {}: the format cannot hold {} channels at {} Hz",
        name, channels, sample_rate);
  check(
      std::all_of(interleaved.begin(), interleaved.end(), [](float x) { return std::isfinite(x); }),
      "save_audio: {}: some samples are not finite", name);

  MemoryFile file;
  SF_VIRTUAL_IO io = MemoryFile::io();
  std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> encoder(sf_open_virtual(&io, SFM_WRITE, &info, &file),
                                                      sf_close);
  check(encoder != nullptr, "save_audio: {}: the encoder does not take {} channels at {} Hz", name,
        channels, sample_rate);
  sf_command(encoder.get(), SFC_SET_CLIPPING, nullptr, SF_TRUE);
  const auto frames = static_cast<sf_count_t>(interleaved.size()) / channels;
  check(sf_writef_float(encoder.get(), interleaved.data(), frames) == frames,
        "save_audio: {}: encoding failed ({})", name, sf_strerror(encoder.get()));
  check(sf_close(encoder.release()) == SF_ERR_NO_ERROR, "save_audio: {}: encoding failed", name);
  write_file(path, file.bytes);
}

bool is_audio_file(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 9> known{".wav", ".flac", ".ogg",  ".oga", ".opus",
                                                  ".mp3", ".aif",  ".aiff", ".aifc"};
  return std::find(known.begin(), known.end(), extension) != known.end();
}

}  // namespace etude::data
