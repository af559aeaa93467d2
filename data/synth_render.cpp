#include "data/synth_render.h"

#include <fluidsynth.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <numbers>
#include <string_view>

#include "data/audio.h"

namespace etude::data {

namespace fs = std::filesystem;

namespace {

// fluidsynth's time is proportional to the rate; the ear, or a mel front end at 22.05 kHz, misses
// little of these instruments above 11 kHz. The result is resampled to 44.1 kHz.
constexpr int kSynthRate = 22050;
// Events take effect on the boundaries of fluidsynth's internal blocks: 2.9 ms.
constexpr int kBlock = 64;
constexpr double kSynthGain = 0.5;
// Voices (stereo instruments take two a note); beyond, the quietest releases end early.
constexpr int kPolyphony = 32;
// RMS levels: of a usual song as synthesised, and as recorded; and the share of a song's difference
// from the usual that the recording keeps.
constexpr double kUsualDb = -28, kTargetDb = -20, kKeptDynamics = 0.35;

constexpr std::array kUsualPlaces{
    "/usr/share/sounds/sf2/TimGM6mb.sf2",      "/usr/share/sounds/sf2/default-GM.sf2",
    "/usr/share/soundfonts/default.sf2",       "/usr/share/sounds/sf3/default-GM.sf3",
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",    "/usr/share/soundfonts/FluidR3_GM.sf2",
    "/usr/local/share/soundfonts/default.sf2", "/opt/homebrew/share/soundfonts/default.sf2",
};

struct Event {
  std::int64_t block;
  bool on;
  Note note;
};

// Note-ons and note-offs in order; at the same time the offs come first.
std::vector<Event> events_of(const Song& song) {
  std::vector<Event> events;
  const double blocks_per_second = double(kSynthRate) / kBlock;
  for (const Note& note : song.notes) {
    const std::int64_t on = std::llround(note.start * blocks_per_second);
    const std::int64_t off = std::llround((note.start + note.seconds) * blocks_per_second);
    events.push_back({on, true, note});
    events.push_back({std::max(off, on + 1), false, note});
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.block != b.block ? a.block < b.block : a.on < b.on;
  });
  return events;
}

// What the recording does to the sound: levels it to some degree, as a recording engineer would,
// tilts the spectrum about 1 kHz (a one-pole crossover whose halves get opposite gains), and ends
// in a soft limiter and a short fade on both sides.
void record(std::vector<float>& left, std::vector<float>& right, const Recording& recording) {
  double energy = 0;
  for (std::size_t i = 0; i < left.size(); ++i)
    energy += 0.5 * (double(left[i]) * left[i] + double(right[i]) * right[i]);
  const double level_db = 10 * std::log10(std::max(energy / double(left.size()), 1e-9));
  const double wanted_db = kTargetDb + kKeptDynamics * (level_db - kUsualDb) + recording.gain_db;
  const double gain = std::pow(10, (wanted_db - level_db) / 20);
  const double pole = std::exp(-2 * std::numbers::pi * 1000 / kSynthRate);
  const double low_gain = gain * std::pow(10, -recording.tilt_db / 40);
  const double high_gain = gain * std::pow(10, recording.tilt_db / 40);
  const auto fade = std::min<std::size_t>(kSynthRate / 20, left.size() / 2);
  for (std::vector<float>* channel : {&left, &right}) {
    double low = 0;
    for (std::size_t i = 0; i < channel->size(); ++i) {
      float& x = (*channel)[i];
      low = (1 - pole) * x + pole * low;
      double y = low_gain * low + high_gain * (x - low);
      y /= std::sqrt(1 + y * y);
      const std::size_t edge = std::min(i, channel->size() - 1 - i);
      if (edge < fade) y *= double(edge) / double(fade);
      x = static_cast<float>(y);
    }
  }
}

}  // namespace

fs::path find_soundfont(const std::string& wanted) {
  std::error_code error;
  if (!wanted.empty()) {
    check(fs::is_regular_file(wanted, error), "synth: soundfont {}: no such file", wanted);
    return wanted;
  }
  if (const char* variable = std::getenv("ETUDE_SOUNDFONT"); variable && *variable) {
    check(fs::is_regular_file(variable, error), "synth: ETUDE_SOUNDFONT={}: no such file",
          variable);
    return variable;
  }
  for (const char* place : kUsualPlaces)
    if (fs::is_regular_file(place, error)) return place;
  fail(
      "synth: no General MIDI soundfont found; install Debian's package timgm6mb-soundfont, or "
      "name an .sf2 file in ETUDE_SOUNDFONT");
}

struct Renderer::Synth {
  fluid_settings_t* settings = nullptr;
  fluid_synth_t* synth = nullptr;

  explicit Synth(const fs::path& soundfont) {
    // Looked at first, because what fluidsynth then tries with other files complains on stderr.
    char head[12] = {};
    std::ifstream(soundfont, std::ios::binary).read(head, sizeof head);
    check(std::string_view(head, 4) == "RIFF" && std::string_view(head + 8, 4) == "sfbk",
          "synth: soundfont {}: no SoundFont 2 file", soundfont.string());
    static std::once_flag silence;
    std::call_once(silence, [] {
      for (const int level : {FLUID_PANIC, FLUID_ERR, FLUID_WARN, FLUID_INFO, FLUID_DBG})
        fluid_set_log_function(level, nullptr, nullptr);
    });
    settings = new_fluid_settings();
    fluid_settings_setnum(settings, "synth.sample-rate", kSynthRate);
    fluid_settings_setnum(settings, "synth.gain", kSynthGain);
    fluid_settings_setint(settings, "synth.polyphony", kPolyphony);
    fluid_settings_setint(settings, "synth.chorus.active", 0);
    fluid_settings_setint(settings, "synth.threadsafe-api", 0);
    synth = settings ? new_fluid_synth(settings) : nullptr;
    if (synth) fluid_synth_set_interp_method(synth, -1, FLUID_INTERP_LINEAR);
    const bool loaded = synth && fluid_synth_sfload(synth, soundfont.c_str(), 1) != FLUID_FAILED;
    if (!loaded) {
      release();
      fail("synth: soundfont {}: fluidsynth cannot load it", soundfont.string());
    }
  }
  ~Synth() { release(); }
  Synth(const Synth&) = delete;
  Synth& operator=(const Synth&) = delete;

  void release() {
    if (synth) delete_fluid_synth(synth);
    if (settings) delete_fluid_settings(settings);
  }

  void set_up(const Song& song) {
    const Recording& recording = song.recording;
    fluid_synth_set_reverb_group_roomsize(synth, -1, recording.room);
    fluid_synth_set_reverb_group_damp(synth, -1, 0.4);
    fluid_synth_set_reverb_group_width(synth, -1, 0.7);
    fluid_synth_set_reverb_group_level(synth, -1, recording.reverb);
    // Up to two octaves off the low-pass filter of every voice.
    const auto cutoff_cents = static_cast<float>(-2400 * (1 - song.cues.brightness));
    constexpr std::array<int, 4> pans{64, 44, 64, 84};
    for (int channel = 0; channel < 16; ++channel) {
      fluid_synth_program_change(synth, channel, song.programs[channel]);
      fluid_synth_cc(synth, channel, 91, 60);  // reverb send
      if (channel < 4) fluid_synth_cc(synth, channel, 10, pans[channel]);
      if (channel != 9) fluid_synth_set_gen(synth, channel, GEN_FILTERFC, cutoff_cents);
    }
  }
};

// The holder keeps the samples of the soundfont in fluidsynth's cache; a song gets a synthesiser
// of its own, since the state of a used one (voices, reverb) is never quite that of a new one.
Renderer::Renderer(const fs::path& soundfont)
    : soundfont_(soundfont), holder_(std::make_unique<Synth>(soundfont)) {}

Renderer::~Renderer() = default;

std::vector<float> Renderer::render(const Song& song, int channels) {
  check(channels == 1 || channels == 2, "render: 1 or 2 channels, not {}", channels);
  Synth player(soundfont_);
  player.set_up(song);
  const auto frames = static_cast<std::size_t>(std::llround(song.seconds * kSynthRate));
  const auto blocks = static_cast<std::int64_t>((frames + kBlock - 1) / kBlock);
  std::vector<float> left(static_cast<std::size_t>(blocks * kBlock)), right(left.size());
  std::int64_t block = 0;
  const auto play_to = [&](std::int64_t end) {
    end = std::min(end, blocks);
    if (end <= block) return;
    const auto at = static_cast<int>(block * kBlock);
    const auto length = static_cast<int>((end - block) * kBlock);
    fluid_synth_write_float(player.synth, length, left.data(), at, 1, right.data(), at, 1);
    block = end;
  };
  // A note that is struck again while it sounds must not be ended by the first one's note-off.
  std::array<std::array<int, 128>, 16> sounding{};
  for (const Event& event : events_of(song)) {
    if (event.block >= blocks) break;
    play_to(event.block);
    const Note& note = event.note;
    int& count = sounding[note.channel][note.key];
    if (event.on) {
      ++count;
      fluid_synth_noteon(player.synth, note.channel, note.key, note.velocity);
    } else if (--count == 0) {
      fluid_synth_noteoff(player.synth, note.channel, note.key);
    }
  }
  play_to(blocks);
  left.resize(frames);
  right.resize(frames);
  record(left, right, song.recording);
  // Resampling rings a little beyond the limiter's bounds.
  const auto finish = [](const std::vector<float>& x) {
    std::vector<float> y = resample(x, kSynthRate, sample_rate);
    for (float& value : y) value = std::clamp(value, -1.0f, 1.0f);
    return y;
  };
  if (channels == 1) {
    for (std::size_t i = 0; i < frames; ++i) left[i] = 0.5f * (left[i] + right[i]);
    return finish(left);
  }
  left = finish(left);
  right = finish(right);
  std::vector<float> interleaved(2 * left.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    interleaved[2 * i] = left[i];
    interleaved[2 * i + 1] = right[i];
  }
  return interleaved;
}

}  // namespace etude::data
