#include "data/dataset.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "data/deam.h"
#include "data/files.h"
#include "data/folder.h"
#include "data/idx.h"
#include "data/pmemo.h"

namespace etude::data {
namespace {

namespace fs = std::filesystem;

// The kinds among `wanted` that a root holds.
std::vector<std::string> recognise(const fs::path& root, const std::vector<std::string>& wanted) {
  const auto want = [&](const char* kind) {
    return std::find(wanted.begin(), wanted.end(), kind) != wanted.end();
  };
  check_root("data", root);
  std::vector<std::string> kinds;
  if (want("deam") && looks_like_deam(root)) kinds.push_back("deam");
  if (want("pmemo") && looks_like_pmemo(root)) kinds.push_back("pmemo");
  if (kinds.empty() && want("idx") && looks_like_idx(root)) kinds.push_back("idx");
  // A folder of classes has no mark of its own: what is nothing else is taken for one.
  if (kinds.empty() && want("folder")) kinds.push_back("folder");
  if (kinds.empty())
    fail(
        "data: {}: holds neither DEAM's static_annotations_averaged_songs_*.csv nor PMEmo's "
        "static_annotations.csv",
        root.string());
  return kinds;
}

// Leaves out what cannot be trained on, and says how much that was.
void drop_unusable(Dataset& part, const DatasetOptions& options) {
  const std::string& kind = part.roots[0].kind;
  const std::string root = part.roots[0].path.string();
  std::vector<std::string> silent, unannotated;
  std::vector<Item> kept;
  for (Item& item : part.items) {
    const std::string name = item.id.substr(item.id.find('/') + 1);
    if (!item.affect && !options.keep_unannotated) {
      unannotated.push_back(name);
    } else if (item.file.empty() && options.need_audio) {
      silent.push_back(name);
    } else {
      kept.push_back(std::move(item));
    }
  }
  const std::size_t annotated = part.items.size() - unannotated.size();
  part.items = std::move(kept);
  if (!unannotated.empty())
    part.notes.push_back(fmt::format("{}: {} clips without annotation are left out: {}", kind,
                                     unannotated.size(), some_of(unannotated)));
  check(!part.items.empty(),
        "{}: {}: none of the {} annotated songs has its audio file; expected {}/ID.mp3", kind, root,
        annotated, kind == "deam" ? "MEMD_audio" : "chorus");
  if (!silent.empty())
    part.warnings.push_back(
        fmt::format("{}: {}: {} of {} annotated songs have no audio and are "
                    "left out: {}",
                    kind, root, silent.size(), annotated, some_of(silent)));
}

// Puts one data set behind the others; `names` are the first parts of ids that are taken.
void merge(Dataset part, std::set<std::string>& names, Dataset& out) {
  const std::string name = part.items[0].id.substr(0, part.items[0].id.find('/'));
  std::string unique = name;
  for (int copy = 2; !names.insert(unique).second; ++copy)
    unique = fmt::format("{}-{}", name, copy);

  std::vector<int> label_of;  // of the part's classes in the whole
  for (const std::string& label : part.classes) {
    auto found = std::find(out.classes.begin(), out.classes.end(), label);
    if (found == out.classes.end()) found = out.classes.insert(found, label);
    label_of.push_back(static_cast<int>(found - out.classes.begin()));
  }

  int first_image = 0;
  if (!part.images.pixels.empty()) {
    check(out.images.pixels.empty() ||
              (part.images.height == out.images.height && part.images.width == out.images.width),
          "idx: {} has images of {}x{}, the roots before it have {}x{}",
          part.roots[0].path.string(), part.images.height, part.images.width, out.images.height,
          out.images.width);
    out.images.height = part.images.height;
    out.images.width = part.images.width;
    first_image = static_cast<int>(out.images.pixels.size() /
                                   (std::size_t(part.images.height) * part.images.width));
    out.images.pixels.insert(out.images.pixels.end(), part.images.pixels.begin(),
                             part.images.pixels.end());
  }

  for (Item& item : part.items) {
    if (unique != name) item.id = unique + item.id.substr(name.size());
    item.root = static_cast<int>(out.roots.size());
    if (item.label >= 0) item.label = label_of[item.label];
    if (item.image >= 0) item.image += first_image;
    out.items.push_back(std::move(item));
  }
  out.roots.push_back(part.roots[0]);
  out.notes.insert(out.notes.end(), part.notes.begin(), part.notes.end());
  out.warnings.insert(out.warnings.end(), part.warnings.begin(), part.warnings.end());
}

// Classes of several folder roots: natural order of all names, as one root has them.
void sort_classes(Dataset& dataset) {
  std::vector<std::string> sorted = dataset.classes;
  std::sort(sorted.begin(), sorted.end(), natural_less);
  for (Item& item : dataset.items) {
    const auto place = std::find(sorted.begin(), sorted.end(), dataset.classes[item.label]);
    item.label = static_cast<int>(place - sorted.begin());
  }
  dataset.classes = std::move(sorted);
}

}  // namespace

const std::vector<std::string>& dataset_kinds() {
  static const std::vector<std::string> kinds = {"deam",   "pmemo", "deam+pmemo",
                                                 "folder", "idx",   "auto"};
  return kinds;
}

std::string counted_items(const std::string& kind, int count) {
  const char* word = kind == "idx" ? "image" : kind == "folder" ? "file" : "song";
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

bool Dataset::has_affect() const {
  return std::any_of(items.begin(), items.end(),
                     [](const Item& i) { return i.affect.has_value(); });
}

Dataset load_dataset(const std::string& kind, const std::vector<fs::path>& roots,
                     const DatasetOptions& options) {
  const auto& kinds = dataset_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
    fail("data: unknown kind \"{}\"; expected one of {}", kind, fmt::join(kinds, ", "));
  check(!roots.empty(), "data: no folder given; name at least one root");
  check(options.groups.empty() || kind == "folder" || kind == "auto",
        "data: a groups file goes with the kind folder, not {}", kind);

  std::set<fs::path> places;
  for (const fs::path& root : roots) {
    std::error_code error;
    const fs::path place = fs::weakly_canonical(root, error);
    check(places.insert(place).second, "data: {} is given twice", root.string());
  }

  std::vector<std::pair<fs::path, std::string>> found;
  for (const fs::path& root : roots) {
    if (kind == "deam+pmemo" || kind == "auto") {
      const std::vector<std::string> wanted =
          kind == "auto" ? std::vector<std::string>{"deam", "pmemo", "idx", "folder"}
                         : std::vector<std::string>{"deam", "pmemo"};
      for (const std::string& each : recognise(root, wanted)) found.emplace_back(root, each);
    } else {
      found.emplace_back(root, kind);
    }
  }

  Dataset out;
  std::set<std::string> names;
  std::vector<std::string> lacking;  // listed in the groups file, in none of the roots so far
  int folders = 0;
  for (const auto& [root, each] : found) {
    Dataset part;
    if (each == "deam") part = load_deam(root, options);
    if (each == "pmemo") part = load_pmemo(root, options);
    if (each == "idx") part = load_idx(root);
    if (each == "folder") {
      std::vector<std::string> missing;
      part = load_folder(root, options, &missing);
      std::vector<std::string> both;
      std::set_intersection(lacking.begin(), lacking.end(), missing.begin(), missing.end(),
                            std::back_inserter(both));
      lacking = folders++ ? both : missing;
    }
    if (each == "deam" || each == "pmemo") drop_unusable(part, options);
    merge(std::move(part), names, out);
  }
  if (!lacking.empty())
    out.warnings.push_back(fmt::format("folder: files that {} lists are not there: {}",
                                       options.groups.string(), some_of(lacking)));

  std::vector<std::string> used;
  for (const Root& root : out.roots)
    if (std::find(used.begin(), used.end(), root.kind) == used.end()) used.push_back(root.kind);
  std::sort(used.begin(), used.end());
  out.kind = fmt::format("{}", fmt::join(used, "+"));
  const bool affect = std::all_of(used.begin(), used.end(), [](const std::string& each) {
    return each == "deam" || each == "pmemo";
  });
  check(affect || used.size() == 1,
        "data: {} cannot be combined; only deam and pmemo share their labels", out.kind);
  if (used.size() == 1 && affect) {
    out.scale = out.roots[0].scale;
    out.dynamic_scale = out.roots[0].dynamic_scale;
  }
  if (kind == "deam+pmemo" && used.size() == 1)
    out.warnings.push_back(fmt::format(
        "data: of deam+pmemo, only {} is below the folders given: scores stay on its own scale",
        out.kind));
  if (out.kind == "folder") sort_classes(out);
  return out;
}

}  // namespace etude::data
