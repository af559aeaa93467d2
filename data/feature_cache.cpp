#include "data/feature_cache.h"

#define XXH_INLINE_ALL  // the header alone: nothing to link
#include <xxhash.h>

#include <bit>
#include <cstring>

#include "data/files.h"
#include "engine/device.h"

namespace etude::data {
namespace {

// Counts up with every change to the front end that changes its numbers, and to the format.
constexpr std::uint32_t kVersion = 1;
constexpr char kMagic[8] = {'E', 'T', 'U', 'D', 'F', 'E', 'A', 'T'};

struct Header {
  char magic[8];
  std::uint32_t version, height, width, valid;
};
static_assert(sizeof(Header) == 24);
static_assert(std::endian::native == std::endian::little,
              "entries are written as they lie in memory");

}  // namespace

FeatureCache::FeatureCache(std::filesystem::path folder, const MelSettings& settings)
    : folder_(std::move(folder)) {
  settings_ = fmt::format("version={}\nisa={}\n", kVersion, chosen_isa());
  for (const auto& [name, value] : settings.to_map()) {
    // The preset's name changes nothing by itself, and bands are standardised by the loader.
    if (name == "preset" || (name == "standardize" && value != "clip")) continue;
    settings_ += name + "=" + value + "\n";
  }
}

FeatureCache::Key FeatureCache::key(std::string_view content) const {
  const XXH128_hash_t of_settings = XXH3_128bits(settings_.data(), settings_.size());
  const XXH128_hash_t of_content = XXH3_128bits(content.data(), content.size());
  const std::uint64_t both[4] = {of_settings.low64, of_settings.high64, of_content.low64,
                                 of_content.high64};
  const XXH128_hash_t hash = XXH3_128bits(both, sizeof both);
  return {hash.low64, hash.high64};
}

std::filesystem::path FeatureCache::file(const Key& key) const {
  const std::string name = fmt::format("{:016x}{:016x}", key[1], key[0]);
  return folder_ / name.substr(0, 2) / (name.substr(2) + ".feat");
}

std::optional<Features> FeatureCache::load(const Key& key, std::string* warning) const {
  if (!enabled()) return std::nullopt;
  const std::filesystem::path path = file(key);
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const auto damaged = [&](const char* what) -> std::optional<Features> {
    if (warning) *warning = fmt::format("cache: {}: {}; computed anew", path.string(), what);
    return std::nullopt;
  };

  std::string bytes;
  try {
    bytes = read_file(path);
  } catch (const Error&) {
    return damaged("cannot be read");
  }
  Header header;
  if (bytes.size() < sizeof header + sizeof(XXH64_hash_t)) return damaged("cut short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.version != kVersion)
    return damaged("not a feature entry of this version");
  const std::size_t body = bytes.size() - sizeof(XXH64_hash_t);
  XXH64_hash_t checksum;
  std::memcpy(&checksum, bytes.data() + body, sizeof checksum);
  if (XXH3_64bits(bytes.data(), body) != checksum) return damaged("the checksum does not match");

  // Intact, so the sizes are what store() wrote; checked all the same before memory is touched.
  const std::uint64_t values = std::uint64_t{header.height} * header.width;
  if (values > body || sizeof header + values * sizeof(float) != body ||
      header.valid > header.width)
    return damaged("sizes do not add up");
  Features features;
  features.height = static_cast<int>(header.height);
  features.width = static_cast<int>(header.width);
  features.valid = static_cast<int>(header.valid);
  features.values.resize(values);
  std::memcpy(features.values.data(), bytes.data() + sizeof header, values * sizeof(float));
  return features;
}

void FeatureCache::store(const Key& key, const Features& features) const {
  if (!enabled()) return;
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.height = static_cast<std::uint32_t>(features.height);
  header.width = static_cast<std::uint32_t>(features.width);
  header.valid = static_cast<std::uint32_t>(features.valid);
  std::string bytes(sizeof header + features.values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, features.values.data(),
              features.values.size() * sizeof(float));
  const XXH64_hash_t checksum = XXH3_64bits(bytes.data(), bytes.size());
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  write_file(file(key), bytes);
}

}  // namespace etude::data
