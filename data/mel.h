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
enum class ShortClip {
  keep,
  pad,
  tile
};                                            // clips shorter than fill_seconds: as they are, with
                                              // silence after them, repeated
enum class Standardize { none, clip, band };  // band: the training part's mean and deviation

struct MelSettings {
  std::string preset;
  int sample_rate = 22050;
  double clip_seconds = 0;  // cut to this; 0: the whole file
  double fill_seconds = 0;  // pad or tile up to this; 0: clip_seconds
  ShortClip short_clip = ShortClip::keep;
  // With ShortClip::pad: silence enters the statistics of Standardize::clip and counts as sound.
  // For repeating published work; it tells a model how long each clip is.
  bool pad_in_statistics = false;
  Index n_fft = 2048, win_length = 0 /* n_fft */, hop = 512;
  bool centred = true;
  PadMode pad_mode = PadMode::zero;
  Index n_mels = 128;
  double f_min = 0, f_max = 0 /* sample_rate / 2 */;
  MelScale mel_scale = MelScale::slaney;
  MelNorm mel_norm = MelNorm::slaney;
  LogScale log_scale = LogScale::db;
  double log_floor = 1e-10;  // floor of `db`, offset of `db_offset`
  double top_db = 80;        // range kept below the clip's maximum, of logarithms; 0: all
  Standardize standardize = Standardize::none;
  Index max_frames = 0;  // crop to this many frames; 0: all

  // Every field as text, for run.json, checkpoints and cache keys; set() parses one back (Error
  // for an unknown name or a bad value). Numbers round-trip exactly. Setting `preset` changes the
  // name alone.
  std::map<std::string, std::string> to_map() const;
  void set(const std::string& name, const std::string& value);
  // Error, naming the field, for settings that no front end can have.
  void check_valid() const;
};

// By name, an Error for another one:
//   librosa         librosa.feature.melspectrogram and power_to_db since 0.9 (zero padding)
//   librosa-legacy  the same before 0.9 (reflect padding)
//   torchaudio      torchaudio.transforms.MelSpectrogram and AmplitudeToDB, defaults
//   original        music emotion as first published with these models: 45 s, 64 Slaney bands,
//                   z-score per clip, 1200 frames
//   mer             music emotion as measured best: 64 HTK bands from 30 Hz to 11 kHz,
//                   10 log10(p + 1e-6), standardised per band
MelSettings mel_preset(const std::string& name);
std::vector<std::string> mel_preset_names();

// Triangles over the bins of n_fft, sparse; a line about the filters that no bin falls into (their
// bands are constant) goes to `warnings` where given.
MelFilterBank make_mel_filters(const MelSettings& settings, Device device,
                               std::vector<std::string>* warnings = nullptr);
// The frequency in Hz at which each band's triangle has its top, in rising order.
std::vector<double> mel_centres(const MelSettings& settings);
Tensor make_window(const MelSettings& settings, Device device);  // periodic Hann, centred in n_fft

// A front end ready to run: filters and window are made once. Any number of threads may call one,
// each on a clip of its own.
class MelFrontEnd {
 public:
  explicit MelFrontEnd(MelSettings settings, Device device = cpu_device);
  const MelSettings& settings() const { return settings_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  // samples at settings.sample_rate -> [bands, frames], before `band` standardisation. Error for no
  // samples, and for fewer than reflect padding or an uncentred frame needs.
  //
  // With ShortClip::pad the frames after the clip's own 1 + samples / hop hold padding. They never
  // enter the statistics of Standardize::clip, and are 0, the mean, afterwards: silence in the
  // statistics would shift and shrink every clip by its length, and with it tell a model which
  // data set a clip is from.
  Tensor operator()(const std::vector<float>& samples) const;

 private:
  MelSettings settings_;
  Device device_;
  std::vector<std::string> warnings_;  // before filters_, which fills it
  MelFilterBank filters_;
  Tensor window_;
};

}  // namespace etude::data
