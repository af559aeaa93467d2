// Small data sets for tests, written into a temporary folder.
#pragma once

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

#include "data/audio.h"
#include "engine/error.h"

namespace etude::testing {

inline void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// What an Error says; empty when nothing is thrown.
template <class Call>
std::string message(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A sine as a mono wav file.
inline void write_tone(const std::filesystem::path& path, double seconds, double frequency = 440,
                       int rate = 8000) {
  std::filesystem::create_directories(path.parent_path());
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate));
  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i] = static_cast<float>(
        0.5 * std::sin(2 * std::numbers::pi * frequency * static_cast<double>(i) / rate));
  data::save_audio(path, samples, 1, rate, data::AudioFormat::wav);
}

// The folder of real data sets; empty where the environment variable is not set.
inline std::filesystem::path test_data() {
  const char* folder = std::getenv("ETUDE_TEST_DATA");
  return folder ? folder : "";
}

}  // namespace etude::testing
