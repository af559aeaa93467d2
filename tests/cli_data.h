// Small data sets on disk for tests of the program: easy to learn, made in milliseconds.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli_runner.h"
#include "data/audio.h"
#include "engine/random.h"

namespace etude::testing {

inline void append_be32(std::string& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
}

// 12x12 images of three kinds (a bright left, right or top half under noise) as IDX files, the
// usual train and t10k names.
inline void write_idx_corpus(const std::filesystem::path& root, int train, int test) {
  constexpr int side = 12, classes = 3;
  Generator generator(5);
  for (const auto& [name, count] : {std::pair{std::string("train"), train}, {"t10k", test}}) {
    std::string images, labels;
    append_be32(images, 0x00000803);
    append_be32(images, static_cast<std::uint32_t>(count));
    append_be32(images, side);
    append_be32(images, side);
    append_be32(labels, 0x00000801);
    append_be32(labels, static_cast<std::uint32_t>(count));
    for (int i = 0; i < count; ++i) {
      const int label = i % classes;
      labels += static_cast<char>(label);
      for (int y = 0; y < side; ++y) {
        for (int x = 0; x < side; ++x) {
          const bool bright = label == 0 ? x < side / 2 : label == 1 ? x >= side / 2 : y < side / 2;
          images += static_cast<char>(generator.below(120) + (bright ? 110 : 20));
        }
      }
    }
    write_all(root / (name + "-images-idx3-ubyte"), images);
    write_all(root / (name + "-labels-idx1-ubyte"), labels);
  }
}

inline std::vector<float> tone(double hertz, double seconds, int rate, std::uint64_t seed) {
  Generator generator(seed);
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate));
  const double phase = generator.uniform(0, 6.28);
  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i] = static_cast<float>(
        0.3 * std::sin(6.283185307 * hertz * static_cast<double>(i) / rate + phase) +
        0.02 * generator.normal());
  return samples;
}

// A folder-of-classes corpus: low and high tones of 0.5 s at 8 kHz, `count` of each.
inline void write_tone_corpus(const std::filesystem::path& root, int count) {
  Generator generator(9);
  for (const auto& [name, base] : {std::pair{std::string("low"), 250.0}, {"high", 1500.0}}) {
    std::filesystem::create_directories(root / name);
    for (int i = 0; i < count; ++i)
      data::save_audio(root / name / (std::to_string(i) + ".wav"),
                       tone(base * generator.uniform(0.8, 1.25), 0.5, 8000, 100 + i), 1, 8000,
                       data::AudioFormat::wav);
  }
}

// PMEmo's layout with its annotations over time: clips of 20 s at 8 kHz whose first and second half
// are a low or a high tone, loud or soft: valence follows the pitch, arousal the level, both as
// they are at that moment.
inline void write_moving_corpus(const std::filesystem::path& root, int songs) {
  constexpr int rate = 8000;
  Generator generator(21);
  std::string means = "musicId,Arousal(mean),Valence(mean)\n";
  std::string over_time = "musicId,frameTime,Arousal(mean),Valence(mean)\n";
  for (int song = 1; song <= songs; ++song) {
    std::vector<float> samples;
    double valence[2], arousal[2];
    for (int half = 0; half < 2; ++half) {
      valence[half] = generator.uniform(0.1, 0.9);
      arousal[half] = generator.uniform(0.1, 0.9);
      // The turn comes late, so that both halves lie within the annotated time.
      const std::vector<float> part = tone(250 * std::exp2(3 * valence[half]), half ? 3 : 17, rate,
                                           static_cast<std::uint64_t>(100 * song + half));
      for (const float x : part)
        samples.push_back(x * static_cast<float>(std::exp2(4 * arousal[half] - 3)));
    }
    std::filesystem::create_directories(root / "chorus");
    data::save_audio(root / "chorus" / (std::to_string(song) + ".wav"), samples, 1, rate,
                     data::AudioFormat::wav);
    const auto line = [&](double a, double v) {
      return std::to_string(a) + "," + std::to_string(v) + "\n";
    };
    means += std::to_string(song) + "," +
             line(0.85 * arousal[0] + 0.15 * arousal[1], 0.85 * valence[0] + 0.15 * valence[1]);
    for (double t = 15.5; t < 20; t += 0.5)
      over_time += std::to_string(song) + "," + std::to_string(t) + "," +
                   line(arousal[t >= 17], valence[t >= 17]);
  }
  write_all(root / "annotations/static_annotations.csv", means);
  write_all(root / "annotations/dynamic_annotations.csv", over_time);
}

}  // namespace etude::testing
