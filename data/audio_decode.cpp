#include "data/audio_decode.h"

#include <mpg123.h>
#include <sndfile.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/error.h"

namespace etude::data {

namespace {

// A reader that fails this often in a row without giving a sample has come to its end.
constexpr int max_idle_errors = 16;
// Samples (not frames) that are decoded at a time.
constexpr std::int64_t block_samples = 1 << 16;

}  // namespace

AudioStream decode_sndfile(const std::filesystem::path& path, const std::string& description,
                           const AudioStart& start, const AudioSink& sink) {
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(sf_open(path.c_str(), SFM_READ, &info),
                                                         sf_close);
  // libsndfile's own words are left out: it calls a junk file missing.
  check(file != nullptr && info.channels > 0,
        "{}: {} that cannot be decoded: its header is damaged or its encoding not supported",
        path.string(), description);
  AudioStream stream{info.samplerate, info.channels, -1, 0};
  if (info.frames >= 0 && info.frames != SF_COUNT_MAX) stream.frames = info.frames;
  start(stream);
  const std::int64_t block = std::max<std::int64_t>(1, block_samples / info.channels);
  std::vector<float> samples(static_cast<std::size_t>(block * info.channels));
  for (int idle = 0; idle < max_idle_errors;) {
    const sf_count_t frames = sf_readf_float(file.get(), samples.data(), block);
    if (frames > 0) {
      idle = 0;
      if (!sink(samples.data(), frames, info.channels)) break;
    } else if (sf_error(file.get()) == SF_ERR_NO_ERROR) {
      break;  // the end
    } else {
      ++idle;  // reading on after an error resumes behind the damage where the format allows it
    }
  }
  return stream;
}

// libmpg123 is asked directly, although libsndfile would decode mp3 with it: so it looks for the
// next frame however much junk lies before it, and stays silent on stderr.
AudioStream decode_mpg123(const std::filesystem::path& path, const std::string& description,
                          const AudioStart& start, const AudioSink& sink) {
  const std::unique_ptr<mpg123_handle, void (*)(mpg123_handle*)> handle(
      mpg123_new(nullptr, nullptr), mpg123_delete);
  mpg123_handle* mpg = handle.get();
  check(mpg != nullptr, "{}: the mp3 decoder cannot be made (out of memory?)", path.string());
  mpg123_param(mpg, MPG123_ADD_FLAGS, MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_SKIP_ID3V2, 0);
  mpg123_param(mpg, MPG123_REMOVE_FLAGS, MPG123_AUTO_RESAMPLE, 0);
  mpg123_param(mpg, MPG123_RESYNC_LIMIT, -1, 0);
  long rate = 0;
  int channels = 0, encoding = 0;
  check(mpg123_open(mpg, path.c_str()) == MPG123_OK &&
            mpg123_getformat(mpg, &rate, &channels, &encoding) == MPG123_OK && channels > 0 &&
            encoding == MPG123_ENC_FLOAT_32,
        "{}: {} in which no audio frame can be found", path.string(), description);
  mpg123_frameinfo first{};
  check(mpg123_info(mpg, &first) == MPG123_OK, "{}: {} in which no audio frame can be found",
        path.string(), description);
  AudioStream stream{static_cast<int>(rate), channels, -1, 0};
  // From the Xing or VBRI header, else from the size and the bit rate of the first frame. Encoder
  // delay and padding make both uncertain by a frame or two.
  if (const off_t length = mpg123_length(mpg); length > 0) stream.frames = length;
  stream.tolerance = 3 * std::max(1, mpg123_spf(mpg));
  start(stream);

  // A length that was guessed from the first frame's bit rate is wrong when the rate varies. A
  // stray frame or two of another rate is damage that merely looks like a frame, and no reason to
  // doubt.
  std::int64_t blocks = 0, of_another_rate = 0;
  long current_rate = rate;
  std::vector<float> samples(static_cast<std::size_t>(block_samples));
  for (int idle = 0; idle < max_idle_errors;) {
    std::size_t bytes = 0;
    const int state = mpg123_read(mpg, reinterpret_cast<unsigned char*>(samples.data()),
                                  samples.size() * sizeof(float), &bytes);
    const auto frames =
        static_cast<std::int64_t>(bytes / (sizeof(float) * static_cast<std::size_t>(channels)));
    // Junk can look like a frame of another rate; what it decodes to is not part of the song.
    if (frames > 0 && current_rate == rate && !sink(samples.data(), frames, channels)) break;
    if (state == MPG123_DONE) break;
    idle = frames > 0 ? 0 : idle + 1;
    if (state == MPG123_NEW_FORMAT &&
        mpg123_getformat(mpg, &current_rate, &channels, &encoding) != MPG123_OK)
      break;
    if (channels < 1) break;
    mpg123_frameinfo info{};
    if (frames > 0 && current_rate == rate && mpg123_info(mpg, &info) == MPG123_OK) {
      ++blocks;
      of_another_rate += info.bitrate != first.bitrate;
    }
  }
  // Variable bit rate without a header that says so: the size said nothing about the length.
  if (first.vbr == MPG123_CBR && of_another_rate > 1 + blocks / 20) stream.frames = -1;
  return stream;
}

}  // namespace etude::data
