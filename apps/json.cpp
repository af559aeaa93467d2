#include "apps/json.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "data/files.h"
#include "engine/error.h"

namespace etude::apps {

Json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  check(in.good(), "{}: cannot be read; is it part of a run folder?", path.string());
  try {
    return Json::parse(in);
  } catch (const nlohmann::json::exception& e) {
    fail("{}: not valid JSON ({})", path.string(), e.what());
  }
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  data::write_file(path, text);
}

void write_json(const std::filesystem::path& path, const Json& json) {
  write_text(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json::const_iterator largest(const Json& numbers) {
  return std::max_element(numbers.begin(), numbers.end(), [](const Json& a, const Json& b) {
    return a.get<double>() < b.get<double>();
  });
}

}  // namespace etude::apps
