#include "data/png.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "data/files.h"
#include "engine/error.h"

namespace etude::data {
namespace {

// Oklab (B. Ottosson, 2020): L is perceived lightness, a green to red, b blue to yellow.
struct Oklab {
  double l, a, b;
};

std::uint8_t to_srgb(double linear) {
  const double x = std::clamp(linear, 0.0, 1.0);
  const double v = x <= 0.0031308 ? 12.92 * x : 1.055 * std::pow(x, 1 / 2.4) - 0.055;
  return static_cast<std::uint8_t>(std::lround(255 * v));
}

Rgb to_rgb(const Oklab& c) {
  const auto cube = [](double v) { return v * v * v; };
  const double l = cube(c.l + 0.3963377774 * c.a + 0.2158037573 * c.b);
  const double m = cube(c.l - 0.1055613458 * c.a - 0.0638541728 * c.b);
  const double s = cube(c.l - 0.0894841775 * c.a - 1.2914855480 * c.b);
  return {to_srgb(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          to_srgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          to_srgb(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

std::array<Rgb, 256> make_colours() {
  // Equal steps of lightness from point to point; hue turns from violet to yellow without ever
  // meeting red, so that the map reads the same with the common colour deficiencies.
  constexpr std::array<Oklab, 5> points = {{{0.20, 0.055, -0.075},
                                            {0.385, 0.005, -0.120},
                                            {0.57, -0.080, -0.035},
                                            {0.755, -0.120, 0.085},
                                            {0.94, -0.040, 0.185}}};
  std::array<Rgb, 256> colours;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const double t = static_cast<double>(i) / 255 * (points.size() - 1);
    const std::size_t k = std::min<std::size_t>(static_cast<std::size_t>(t), points.size() - 2);
    const double u = t - static_cast<double>(k);
    const auto mix = [&](double Oklab::*f) {
      return (1 - u) * points[k].*f + u * points[k + 1].*f;
    };
    colours[i] = to_rgb({mix(&Oklab::l), mix(&Oklab::a), mix(&Oklab::b)});
  }
  return colours;
}

}  // namespace

const std::array<Rgb, 256>& spectrogram_colours() {
  static const std::array<Rgb, 256> colours = make_colours();
  return colours;
}

void write_spectrogram_png(const std::filesystem::path& path, const std::vector<float>& values,
                           int bands, int frames, const SpectrogramPicture& picture) {
  check(bands > 0 && frames > 0 &&
            values.size() == static_cast<std::size_t>(bands) * static_cast<std::size_t>(frames),
        "{}: expected {} x {} values, got {}", path.string(), bands, frames, values.size());
  check(picture.scale_x >= 0 && picture.scale_y >= 0 && picture.low <= picture.high,
        "{}: expected scales of 0 or more and a range from low to high", path.string());
  const int scale_x = picture.scale_x ? picture.scale_x : std::clamp(1000 / frames, 1, 8);
  const int scale_y = picture.scale_y ? picture.scale_y : std::clamp(400 / bands, 1, 16);
  constexpr std::int64_t limit = 1'000'000;  // libpng's own, a side
  check(std::int64_t{frames} * scale_x <= limit && std::int64_t{bands} * scale_y <= limit,
        "{}: {} x {} values are too many for a picture; crop the clip", path.string(), bands,
        frames);

  double low = picture.low, high = picture.high;
  if (low == high) {
    low = HUGE_VAL, high = -HUGE_VAL;
    for (const float v : values) {
      if (!std::isfinite(v)) continue;
      low = std::min<double>(low, v);
      high = std::max<double>(high, v);
    }
  }
  const double factor = high > low ? 255 / (high - low) : 0;
  const std::size_t width = static_cast<std::size_t>(frames) * scale_x;
  const std::size_t height = static_cast<std::size_t>(bands) * scale_y;
  std::vector<png_byte> pixels(width * height);
  for (std::size_t y = 0; y < height; ++y) {
    const float* row = values.data() + (height - 1 - y) / scale_y * frames;
    for (std::size_t x = 0; x < width; ++x) {
      const double v = row[x / scale_x];
      const double shade = std::isfinite(v) ? (v - low) * factor : 0;
      pixels[y * width + x] = static_cast<png_byte>(std::lround(std::clamp(shade, 0.0, 255.0)));
    }
  }

  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = 256;
  const void* colours = spectrogram_colours().data();
  const auto stride = static_cast<png_int_32>(width);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  check(png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), stride, colours),
        "{}: libpng: {}", path.string(), image.message);
  bytes.resize(size);
  write_file(path, bytes);
}

}  // namespace etude::data
