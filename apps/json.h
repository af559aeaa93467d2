// JSON as the apps write it: keys stay in the order they were set.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace etude::apps {

using Json = nlohmann::ordered_json;

// Error names the file and what is wrong with it.
Json read_json(const std::filesystem::path& path);
// Writes beside and renames, so that a reader never sees half a file.
void write_text(const std::filesystem::path& path, const std::string& text);
void write_json(const std::filesystem::path& path, const Json& json);

// A number, or null where it is not finite (JSON has no NaN).
Json number(double value);

// The largest of an object's numbers, of which there is at least one.
Json::const_iterator largest(const Json& numbers);

}  // namespace etude::apps
