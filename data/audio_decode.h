// The decoders behind load_audio(): each runs forward through one file, once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace etude::data {

// What the first bytes of a file say it is.
struct FileKind {
  enum Decoder { none, sndfile, mpg123 } decoder = none;
  std::string description;  // "an MPEG-4 file (m4a, mp4)"
};
// Error for a missing file, a folder, anything else that is no regular file, and an empty file.
FileKind sniff_file(const std::filesystem::path& path);

struct AudioStream {
  int sample_rate = 0;
  int channels = 0;
  std::int64_t frames = -1;    // what the header promises; -1: it does not say
  std::int64_t tolerance = 0;  // how far off the promise of an intact file may be
};

// Takes the next frames (interleaved); false ends the decoding.
using AudioSink = std::function<bool(const float* samples, std::int64_t frames, int channels)>;
// Called once, before the first frames.
using AudioStart = std::function<void(const AudioStream&)>;

// Decodes to the end, or until the sink has enough. Damage in the middle is passed over where the
// format can find its feet again. Returns the stream as it is known at the end (an mp3's promise is
// withdrawn when it turns out to have been a guess). Error when the file cannot be opened.
AudioStream decode_sndfile(const std::filesystem::path& path, const std::string& description,
                           const AudioStart& start, const AudioSink& sink);
AudioStream decode_mpg123(const std::filesystem::path& path, const std::string& description,
                          const AudioStart& start, const AudioSink& sink);

}  // namespace etude::data
