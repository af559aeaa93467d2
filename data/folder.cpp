#include "data/folder.h"

#include <algorithm>
#include <set>

#include "data/audio.h"
#include "data/csv.h"
#include "data/files.h"

namespace etude::data {
namespace {

namespace fs = std::filesystem;

// Audio by its name, but in a format that cannot be read: worth a warning, since silence would
// look like an empty folder.
bool is_unsupported_audio(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static const std::set<std::string> known{".m4a", ".aac", ".wma", ".mp4", ".alac", ".ape", ".ac3"};
  return known.contains(extension);
}

std::string canonical_split(const Csv& csv, int row, const std::string& text) {
  if (text.empty() || text == "train" || text == "val" || text == "test") return text;
  if (text == "validation" || text == "valid" || text == "dev") return "val";
  fail("{}: split is \"{}\"; expected train, val or test", csv.where(row), text);
}

// What the groups file says about one file.
struct Entry {
  std::string split;
  std::map<std::string, std::string> columns;
};

std::map<std::string, Entry> read_groups(const fs::path& path) {
  const Csv csv = Csv::read(path);
  const int file = csv.column("file");
  const int split = csv.find("split");
  std::map<std::string, Entry> entries;
  for (int row = 0; row < csv.rows(); ++row) {
    const std::string name = fs::path(csv.text(row, file)).lexically_normal().generic_string();
    check(!name.empty(), "{}: column \"file\" is empty", csv.where(row));
    const auto [entry, fresh] = entries.try_emplace(name);
    check(fresh, "{}: {} is listed twice", csv.where(row), name);
    if (split >= 0) entry->second.split = canonical_split(csv, row, csv.text(row, split));
    for (std::size_t column = 0; column < csv.header().size(); ++column)
      if (static_cast<int>(column) != file && static_cast<int>(column) != split)
        entry->second.columns[csv.header()[column]] = csv.row(row)[column];
  }
  check(!entries.empty(), "{}: lists no files", path.string());
  return entries;
}

std::string last_name(const fs::path& root) {
  const fs::path whole = fs::weakly_canonical(root);
  const std::string name = whole.filename().string();
  return name.empty() ? "root" : name;
}

}  // namespace

Dataset load_folder(const fs::path& root, const DatasetOptions& options,
                    std::vector<std::string>* listed_elsewhere) {
  check_root("folder", root);
  Dataset out;
  out.kind = "folder";
  out.roots.push_back({root, "folder", {0, 1}, {}});
  const std::string name = last_name(root);

  const bool grouped = !options.groups.empty();
  std::map<std::string, Entry> groups;
  if (grouped) groups = read_groups(options.groups);

  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root))
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.'))
      folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end(), [](const fs::path& a, const fs::path& b) {
    return natural_less(a.filename().string(), b.filename().string());
  });

  std::set<std::string> seen;
  std::vector<std::string> unlisted, unsupported;
  for (const fs::path& folder : folders) {
    const auto is_audio = [](const fs::directory_entry& entry) {
      std::error_code error;
      return entry.is_regular_file(error) &&
             (is_audio_file(entry.path()) || is_unsupported_audio(entry.path()));
    };
    std::vector<std::string> files;
    for (const fs::path& path : find_below(folder, is_audio))
      files.push_back(path.lexically_relative(root).generic_string());
    std::sort(files.begin(), files.end(), natural_less);

    const int label = static_cast<int>(out.classes.size());
    bool used = false;
    for (const std::string& file : files) {
      if (!is_audio_file(file)) {
        unsupported.push_back(file);
        continue;
      }
      used = true;
      Item item;
      item.id = name + "/" + file;
      item.file = root / file;
      item.label = label;
      if (grouped) {
        const auto entry = groups.find(file);
        if (entry == groups.end()) {
          unlisted.push_back(file);
          continue;
        }
        seen.insert(file);
        item.split = entry->second.split;
        item.columns = entry->second.columns;
      }
      out.items.push_back(std::move(item));
    }
    if (used) out.classes.push_back(folder.filename().string());
  }

  if (!unsupported.empty())
    out.warnings.push_back(
        fmt::format("folder: {}: files in a format that cannot be read are left out (convert them "
                    "to wav, flac, "
                    "ogg or mp3): {}",
                    root.string(), some_of(unsupported)));
  check(!out.classes.empty(),
        "folder: {}: no folder with audio files in it; expected one folder a class holding wav, "
        "flac, ogg, opus, mp3 or aiff",
        root.string());
  check(!out.items.empty(),
        "folder: {}: none of its audio files is listed in {} ({} is not, say); expected paths "
        "relative to the folder in the column \"file\"",
        root.string(), options.groups.string(), unlisted.empty() ? "" : unlisted[0]);
  if (!unlisted.empty())
    out.warnings.push_back(fmt::format("folder: {}: files that {} does not list are left out: {}",
                                       root.string(), options.groups.string(), some_of(unlisted)));
  std::vector<std::string> missing;
  for (const auto& [file, _] : groups)
    if (!seen.contains(file)) missing.push_back(file);
  if (listed_elsewhere) {
    *listed_elsewhere = std::move(missing);
  } else if (!missing.empty()) {
    out.warnings.push_back(fmt::format("folder: {}: files that {} lists are not there: {}",
                                       root.string(), options.groups.string(), some_of(missing)));
  }
  return out;
}

}  // namespace etude::data
