// Versions of this build and of the libraries it uses.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace etude::apps {

const char* version();  // "0.1.0"
// Name and version: compiler, libsndfile, soxr, ...
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace etude::apps
