#include "apps/version.h"

#include <fluidsynth.h>
#include <fmt/core.h>
#include <png.h>
#include <sndfile.h>
#include <soxr.h>
#include <zlib.h>
#include <nlohmann/json.hpp>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <CLI/Version.hpp>

namespace etude::apps {

const char* version() { return ETUDE_VERSION; }

std::vector<std::pair<std::string, std::string>> library_versions() {
  return {
      {"compiler", fmt::format("{} {}",
#if defined(__clang__)
                               "clang", __clang_version__
#else
                               "gcc", __VERSION__
#endif
                               )},
#ifdef _OPENMP
      {"OpenMP", std::to_string(_OPENMP)},
#else
      {"OpenMP", "not built in: one thread"},
#endif
      {"libsndfile", sf_version_string()},
      {"soxr", soxr_version()},
      {"fluidsynth", fluid_version_str()},
      {"zlib", zlibVersion()},
      {"libpng", png_get_libpng_ver(nullptr)},
      {"fmt",
       fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"nlohmann-json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                    NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
      {"CLI11", CLI11_VERSION},
  };
}

}  // namespace etude::apps
