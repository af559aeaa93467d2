// Spectrograms as pictures.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace etude::data {

struct SpectrogramPicture {
  int scale_x = 0, scale_y = 0;  // pixels a value; 0: so that the picture is easy to look at
  double low = 0, high = 0;      // values at the ends of the colour map; equal: least and greatest
};

// values [bands, frames], row-major, as a palette PNG with low bands at the bottom and time to the
// right. Values outside the range take its ends; what is not finite is drawn as the lowest.
void write_spectrogram_png(const std::filesystem::path& path, const std::vector<float>& values,
                           int bands, int frames, const SpectrogramPicture& picture = {});

// The colour map: dark violet over blue, teal and green to yellow, 256 steps of equal perceived
// lightness.
using Rgb = std::array<std::uint8_t, 3>;
const std::array<Rgb, 256>& spectrogram_colours();

}  // namespace etude::data
