// Finding, reading and replacing files: the few helpers that several importers share.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"

namespace etude::data {

// The whole file as bytes. Error for a missing file, a folder or a read failure.
std::string read_file(const std::filesystem::path& path);

// Writes beside the file and renames, so that a reader sees the old bytes or the new ones. Makes
// the folder where it is missing. Error (path, reason) when it cannot.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// Files or folders below `root` (itself included) that `wanted` accepts, nearest first, then by
// name. Links are followed; hidden entries, "__MACOSX" and AppleDouble files ("._x") are passed
// over; `max_depth` levels deep. A folder that is accepted is not searched further.
std::vector<std::filesystem::path> find_below(
    const std::filesystem::path& root,
    const std::function<bool(const std::filesystem::directory_entry&)>& wanted, int max_depth = 6);

// The one of find_below(): an empty path where there is none. Error that names both where two lie
// equally near, since neither is the obvious one.
std::filesystem::path find_one_below(
    const std::filesystem::path& root, const std::string& what,
    const std::function<bool(const std::filesystem::directory_entry&)>& wanted, int max_depth = 6);

// The audio files "NUMBER.mp3" (or any other format) of a folder, by number.
std::map<int, std::filesystem::path> numbered_audio(const std::filesystem::path& folder);

// Error unless `root` is a folder that can be read.
void check_root(const std::string& kind, const std::filesystem::path& root);

// "2" before "10": runs of digits compare by value.
bool natural_less(std::string_view a, std::string_view b);

// "2 3 5 ... (744 in all)": the first few of a list, for one-line messages.
std::string some_of(const std::vector<std::string>& names, std::size_t limit = 5);

}  // namespace etude::data
