// Features on disk, found again by the content of the audio file and the front end's settings.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "data/loader.h"
#include "data/mel.h"

namespace etude::data {

// A folder of entries, one file each, FOLDER/ab/cdef....feat: a header (magic, version, height,
// width, valid frames), the values as little-endian float32, and the XXH3-64 checksum of all that.
// The name is the XXH3-128 of settings and content: a changed file or setting is another entry, and
// entries of several runs live side by side. Entries are written beside and renamed, so several
// processes may share a folder. All members may be called from several threads.
class FeatureCache {
 public:
  using Key = std::array<std::uint64_t, 2>;

  // An empty folder: nothing is ever found or stored.
  FeatureCache(std::filesystem::path folder, const MelSettings& settings);

  // Of a file's bytes. The instruction set counts among the settings, since it moves the last bits
  // of the features, and runs are to be repeatable bit for bit.
  Key key(std::string_view content) const;

  // The entry, or nothing. A damaged entry is nothing too, and says so in `warning`.
  std::optional<Features> load(const Key& key, std::string* warning = nullptr) const;
  // Error when the folder cannot be written to.
  void store(const Key& key, const Features& features) const;

  std::filesystem::path file(const Key& key) const;
  bool enabled() const { return !folder_.empty(); }

 private:
  std::filesystem::path folder_;
  std::string settings_;
};

}  // namespace etude::data
