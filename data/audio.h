// Audio files to mono float samples (libsndfile, libmpg123), resampled (soxr HQ), and back.
//
// All functions may be called from several threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/error.h"

namespace etude::data {

struct Audio {
  std::vector<float> samples;  // mono: the mean of the channels, in [-1, 1] for integer formats
  int sample_rate = 0;
  // What the file promised (up to where it was asked to be read) and what came out of the decoder,
  // in frames of the file's own rate, counted from its beginning. A damaged or truncated file gives
  // fewer; `warning` then says how much was lost, in one line.
  std::int64_t frames_expected = 0;
  std::int64_t frames_decoded = 0;
  std::string warning;

  double seconds() const { return sample_rate ? double(samples.size()) / sample_rate : 0; }
};

struct AudioOptions {
  int sample_rate = 0;        // resample to this; 0 keeps the file's
  double offset_seconds = 0;  // decoded forward and cut in memory: seeking in mp3 is not exact
  double max_seconds = 0;     // 0: all
  bool strict = false;        // a damaged file is an Error rather than a warning
};

// wav, flac, ogg, opus, mp3, aiff, recognised by content, whatever the name. Samples that are not
// finite (possible in float wav files) become 0, with a warning. Error (path, what it is, what is
// supported) for a missing, empty, unsupported (m4a ...) or undecodable file, and for an offset
// beyond the end.
Audio load_audio(const std::filesystem::path& path, const AudioOptions& options = {});

// Band-limited resampling of mono samples: ceil(n to_rate / from_rate) of them.
std::vector<float> resample(const std::vector<float>& samples, int from_rate, int to_rate);

enum class AudioFormat { wav, flac, ogg, mp3 };
// Interleaved samples; what lies beyond [-1, 1] is clipped. wav and flac are 16 bits deep, mp3 and
// ogg (Vorbis) of a middling quality. Encoded in memory, written beside and renamed: where the disk
// is full, an Error names the path and an old file stays whole. Error for samples that are not
// finite and for rates or channels that the format does not have.
void save_audio(const std::filesystem::path& path, const std::vector<float>& interleaved,
                int channels, int sample_rate, AudioFormat format);

// True for the file name extensions that load_audio reads.
bool is_audio_file(const std::filesystem::path& path);

}  // namespace etude::data
