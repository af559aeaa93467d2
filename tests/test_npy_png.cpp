// Files that the front end writes: .npy arrays and pictures.
#include <doctest/doctest.h>
#include <png.h>

#include <cmath>
#include <limits>

#include "data/files.h"
#include "data/npy.h"
#include "data/png.h"
#include "engine/error.h"
#include "tests/temporary_folder.h"

namespace etude::testing {
namespace {

struct Picture {
  int width = 0, height = 0;
  std::vector<data::Rgb> pixels;
  const data::Rgb& at(int x, int y) const {
    return pixels[static_cast<std::size_t>(y * width + x)];
  }
};

Picture read_png(const std::filesystem::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_file(&image, path.c_str()));
  image.format = PNG_FORMAT_RGB;
  Picture picture{static_cast<int>(image.width), static_cast<int>(image.height), {}};
  picture.pixels.resize(std::size_t{image.width} * image.height);
  REQUIRE(png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr));
  return picture;
}

// Relative luminance of sRGB.
double luminance(const data::Rgb& c) {
  const auto linear = [](std::uint8_t v) {
    const double x = v / 255.0;
    return x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
}

}  // namespace

TEST_SUITE("npy") {
  TEST_CASE("round trip") {
    const TemporaryFolder folder;
    const auto check_round_trip = [&](const auto& values, const std::vector<Index>& shape) {
      data::write_npy(folder / "a.npy", values, shape);
      const data::NpyArray back = data::read_npy(folder / "a.npy");
      CHECK(back.shape == shape);
      CHECK(std::get<std::decay_t<decltype(values)>>(back.values) == values);
      CHECK(data::read_file(folder / "a.npy").find('\n') % 64 == 63);  // data is aligned
    };
    check_round_trip(std::vector<float>{1, -2.5f, 3e38f, 0, 1e-45f, 6}, {2, 3});
    check_round_trip(std::vector<double>{0.1, -0.2}, {2});
    check_round_trip(std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), -1, 7},
                     {3, 1, 1});
    check_round_trip(std::vector<float>{42}, {});
    check_round_trip(std::vector<float>{}, {0, 5});
    CHECK_THROWS_AS(data::write_npy(folder / "b.npy", std::vector<float>{1, 2}, {3}), Error);
    CHECK_FALSE(std::filesystem::exists(folder / "b.npy"));
  }

  TEST_CASE("damaged files are refused") {
    const TemporaryFolder folder;
    const auto path = folder / "x.npy";
    const auto refuses = [&](const std::string& bytes, const char* reason) {
      data::write_file(path, bytes);
      CAPTURE(reason);
      CHECK_THROWS_WITH_AS(data::read_npy(path), doctest::Contains(reason), Error);
      CHECK_THROWS_WITH_AS(data::read_npy(path), doctest::Contains("x.npy"), Error);
    };
    const auto file = [](const std::string& header, std::size_t data_bytes) {
      std::string bytes = "\x93NUMPY";
      bytes += '\1';
      bytes += '\0';
      bytes += static_cast<char>(header.size() & 255);
      bytes += static_cast<char>(header.size() >> 8);
      return bytes + header + std::string(data_bytes, '\1');
    };
    const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n";
    data::write_file(path, file(good, 24));
    CHECK(data::read_npy(path).shape == std::vector<Index>{2, 3});
    // Any order of keys, double quotes, no trailing comma: what Python's repr may give.
    data::write_file(path, file("{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"<f4\"}", 24));
    CHECK(data::read_npy(path).shape == std::vector<Index>{6});

    CHECK_THROWS_AS(data::read_npy(folder / "missing.npy"), Error);
    refuses("", "not a .npy file");
    refuses("RIFF....WAVE", "not a .npy file");
    refuses("\x93NUMPY", "not a .npy file");
    refuses(std::string("\x93NUMPY\x09\0", 8), "version 9");
    refuses(std::string("\x93NUMPY\1\0\xff", 9), "cut short");
    refuses(std::string("\x93NUMPY\2\0\xff\xff\xff\xff{", 13), "cut short");
    refuses(file(good, 23), "expected 24 bytes");
    refuses(file(good, 25), "expected 24 bytes");
    refuses(file("", 0), "damaged");
    refuses(file("{", 0), "damaged");
    refuses(file("{}", 0), "no descr");
    refuses(file("{'descr': '<f4', 'shape': (2, 3)}", 24), "no descr");
    refuses(file("{'descr: <f4}", 0), "without end");
    refuses(file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", 24), "Fortran");
    refuses(file("{'descr': '<f4', 'fortran_order': maybe, 'shape': (2, 3)}", 24), "True or False");
    refuses(file("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", 24), ">f4");
    refuses(file("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", 24), "|O");
    refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}", 24), "dimension");
    refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", 24), "damaged");
    refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': 6}", 24), "damaged");
    refuses(file(good + "os.system", 24), "after the dictionary");
    refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999,)}", 4),
            "18 digits");
    refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 4),
            "more elements");
    // Every prefix of a good file is refused.
    const std::string whole = file(good, 24);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      data::write_file(path, whole.substr(0, length));
      CHECK_THROWS_AS(data::read_npy(path), Error);
    }
  }
}

TEST_SUITE("png") {
  TEST_CASE("low bands lie at the bottom, time runs to the right") {
    const TemporaryFolder folder;
    const float inf = std::numeric_limits<float>::infinity();
    // Bands x frames; the lowest band first.
    const std::vector<float> values = {0, 1, 2, 3, 4, 5, -inf, std::nanf(""), inf, 3, 4, 0};
    data::write_spectrogram_png(folder / "a.png", values, 3, 4, {.scale_x = 2, .scale_y = 5});
    const Picture picture = read_png(folder / "a.png");
    CHECK(picture.width == 8);
    CHECK(picture.height == 15);
    const auto& colours = data::spectrogram_colours();
    for (int y = 0; y < 15; ++y)
      for (int x = 0; x < 8; ++x) {
        const float v = values[static_cast<std::size_t>((14 - y) / 5 * 4 + x / 2)];
        const long shade = std::isfinite(v) ? std::lround(v / 5 * 255) : 0;
        CHECK(picture.at(x, y) == colours[static_cast<std::size_t>(shade)]);
      }
  }

  TEST_CASE("a given range, a flat picture, and sizes") {
    const TemporaryFolder folder;
    data::write_spectrogram_png(folder / "range.png", {-100, -80, -40, 0, 20}, 1, 5,
                                {.scale_x = 1, .scale_y = 1, .low = -80, .high = 0});
    const Picture range = read_png(folder / "range.png");
    const auto& colours = data::spectrogram_colours();
    CHECK(range.at(0, 0) == colours[0]);
    CHECK(range.at(1, 0) == colours[0]);
    CHECK(range.at(2, 0) == colours[128]);
    CHECK(range.at(3, 0) == colours[255]);
    CHECK(range.at(4, 0) == colours[255]);
    data::write_spectrogram_png(folder / "flat.png", std::vector<float>(12, -3), 4, 3);
    const Picture flat = read_png(folder / "flat.png");
    CHECK(flat.height == 64);
    CHECK(flat.at(0, 0) == colours[0]);
    data::write_spectrogram_png(folder / "song.png", std::vector<float>(128 * 2000), 128, 2000);
    CHECK(read_png(folder / "song.png").width == 2000);
    CHECK(read_png(folder / "song.png").height == 384);
    CHECK_THROWS_AS(data::write_spectrogram_png(folder / "x.png", {1, 2, 3}, 2, 2), Error);
    CHECK_THROWS_AS(data::write_spectrogram_png(folder / "x.png", {}, 0, 0), Error);
    CHECK_THROWS_WITH_AS(
        data::write_spectrogram_png(folder / "x.png", std::vector<float>(1'000'001), 1, 1'000'001),
        doctest::Contains("too many"), Error);
  }

  TEST_CASE("the colour map grows lighter in equal steps") {
    // L* of CIE 1976.
    const auto lightness = [](const data::Rgb& c) { return 116 * std::cbrt(luminance(c)) - 16; };
    const auto& colours = data::spectrogram_colours();
    const double first = lightness(colours[0]), last = lightness(colours[255]);
    CHECK(last - first > 70);
    for (std::size_t i = 1; i < 256; ++i) {
      CHECK(luminance(colours[i]) > luminance(colours[i - 1]));
      const double expected = first + (last - first) * static_cast<double>(i) / 255;
      CHECK(std::abs(lightness(colours[i]) - expected) < 4);
    }
  }
}

}  // namespace etude::testing
