// The audio front end's settings: from samples to a log-mel spectrogram [bands, frames].
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/ops.h"

namespace etude::data {

enum class MelScale { htk, slaney };
enum class MelNorm { none, slaney };
enum class Window { hann };
enum class ShortClip { keep, pad, tile };       // clips shorter than clip_seconds
enum class Standardize { none, clip, band };    // band: the training part's mean and deviation

struct MelSettings {
  std::string preset;
  int sample_rate = 22050;
  double clip_seconds = 0;  // cut to this and pad or tile up to it; 0: the whole file
  ShortClip short_clip = ShortClip::keep;
  Index n_fft = 2048, win_length = 0 /* n_fft */, hop = 512;
  bool centred = true;
  PadMode pad_mode = PadMode::zero;
  Index n_mels = 128;
  double f_min = 0, f_max = 0 /* sample_rate / 2 */;
  MelScale mel_scale = MelScale::slaney;
  MelNorm mel_norm = MelNorm::slaney;
  LogScale log_scale = LogScale::db;
  double log_floor = 1e-10;  // floor of `db`, offset of `db_offset`
  double top_db = 80;        // 0: none
  Standardize standardize = Standardize::none;
  Index max_frames = 0;      // crop to this many frames; 0: all

  // Every field as text, for run.json, checkpoints and cache keys; set() parses one back (Error
  // for an unknown name or a bad value).
  std::map<std::string, std::string> to_map() const;
  void set(const std::string& name, const std::string& value);
};

// librosa, librosa-legacy, torchaudio, original, mer. Error lists them for an unknown name.
MelSettings mel_preset(const std::string& name);
std::vector<std::string> mel_preset_names();

// Filters [n_mels] over bins() frequencies, sparse; a message per empty filter range goes to
// `warnings` where given.
MelFilterBank make_mel_filters(const MelSettings& settings, Device device,
                               std::vector<std::string>* warnings = nullptr);
Tensor make_window(const MelSettings& settings, Device device);  // periodic Hann, centred in n_fft

// A front end ready to run: filters and window are made once. Thread-safe to call.
class MelFrontEnd {
 public:
  explicit MelFrontEnd(MelSettings settings, Device device = cpu_device);
  const MelSettings& settings() const { return settings_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  // samples at settings.sample_rate -> [bands, frames], before `band` standardisation.
  Tensor operator()(const std::vector<float>& samples) const;

 private:
  MelSettings settings_;
  Device device_;
  MelFilterBank filters_;
  Tensor window_;
  std::vector<std::string> warnings_;
};

}  // namespace etude::data
