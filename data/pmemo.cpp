#include "data/pmemo.h"

#include <algorithm>
#include <map>
#include <set>

#include "data/csv.h"
#include "data/files.h"

namespace etude::data {
namespace {

namespace fs = std::filesystem;

constexpr Scale kScale{0, 1};

auto named(const char* name) {
  return [name](const fs::directory_entry& entry) {
    std::error_code error;
    return entry.path().filename() == name && entry.is_regular_file(error);
  };
}

bool is_chorus_folder(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.path().filename() == "chorus" && entry.is_directory(error);
}

// A score of an annotation file; the range check catches a file on another scale.
double score(const Csv& csv, int row, int column) {
  const double value = csv.number(row, column);
  check(value >= kScale.low && value <= kScale.high,
        "{}: column \"{}\" holds {}; PMEmo's scores go from 0 to 1", csv.where(row),
        csv.header()[column], value);
  return value;
}

std::map<int, Affect> read_static(const fs::path& file) {
  const Csv csv = Csv::read(file);
  const int id = csv.column("musicId"), valence = csv.column("Valence(mean)"),
            arousal = csv.column("Arousal(mean)");
  std::map<int, Affect> clips;
  for (int row = 0; row < csv.rows(); ++row) {
    const int clip = csv.integer(row, id);
    const bool fresh =
        clips.insert({clip, {score(csv, row, valence), score(csv, row, arousal)}}).second;
    check(fresh, "{}: clip {} is annotated twice", csv.where(row), clip);
  }
  check(!clips.empty(), "{}: no annotated clips", file.string());
  return clips;
}

std::map<int, DynamicAnnotation> read_dynamic(const fs::path& file) {
  const Csv csv = Csv::read(file);
  const int id = csv.column("musicId"), time = csv.column("frameTime"),
            valence = csv.column("Valence(mean)"), arousal = csv.column("Arousal(mean)");
  std::map<int, DynamicAnnotation> clips;
  for (int row = 0; row < csv.rows(); ++row) {
    DynamicAnnotation& clip = clips[csv.integer(row, id)];
    const double seconds = csv.number(row, time);
    check(clip.seconds.empty() || seconds > clip.seconds.back(),
          "{}: frameTime {} does not come after the {} before it", csv.where(row), seconds,
          clip.seconds.empty() ? 0.0 : clip.seconds.back());
    clip.seconds.push_back(seconds);
    clip.valence.push_back(score(csv, row, valence));
    clip.arousal.push_back(score(csv, row, arousal));
  }
  return clips;
}

std::map<int, std::map<std::string, std::string>> read_metadata(const fs::path& file) {
  const Csv csv = Csv::read(file);
  const int id = csv.column("musicId");
  std::map<int, std::map<std::string, std::string>> clips;
  for (int row = 0; row < csv.rows(); ++row) {
    auto& columns = clips[csv.integer(row, id)];
    for (std::size_t column = 0; column < csv.header().size(); ++column)
      if (const std::string& text = csv.row(row)[column]; !text.empty())
        columns[csv.header()[column]] = text;
  }
  return clips;
}

}  // namespace

bool looks_like_pmemo(const fs::path& root) {
  return !find_below(root, named("static_annotations.csv")).empty();
}

Dataset load_pmemo(const fs::path& root, const DatasetOptions& options) {
  check_root("pmemo", root);
  Dataset out;
  out.kind = "pmemo";
  out.scale = kScale;
  out.roots.push_back({root, "pmemo", kScale, {}, kScale});

  const fs::path annotations =
      find_one_below(root, "static_annotations.csv", named("static_annotations.csv"));
  check(!annotations.empty(),
        "pmemo: {}: no static_annotations.csv below it; expected PMEmo2019's folder "
        "\"annotations\"",
        root.string());
  const std::map<int, Affect> scores = read_static(annotations);

  // The other files lie around the annotations: the folder above them is the data set's own.
  const fs::path base = annotations.parent_path().filename() == "annotations"
                            ? annotations.parent_path().parent_path()
                            : annotations.parent_path();
  std::map<int, DynamicAnnotation> dynamic;
  if (const auto file =
          find_one_below(base, "dynamic_annotations.csv", named("dynamic_annotations.csv"));
      !file.empty())
    dynamic = read_dynamic(file);
  else
    out.notes.push_back(fmt::format(
        "pmemo: {}: no dynamic_annotations.csv below it: no annotations over time", root.string()));

  std::map<int, std::map<std::string, std::string>> metadata;
  if (const auto file = find_one_below(base, "metadata.csv", named("metadata.csv")); !file.empty())
    metadata = read_metadata(file);
  else
    out.notes.push_back(
        fmt::format("pmemo: {}: no metadata.csv below it: artists are not known", root.string()));

  std::map<int, fs::path> audio;
  if (const auto folder = find_one_below(base, "chorus", is_chorus_folder); !folder.empty())
    audio = numbered_audio(folder);
  else
    check(!options.need_audio,
          "pmemo: {}: no folder chorus below it; expected PMEmo2019's clips chorus/ID.mp3",
          root.string());

  std::set<int> ids;
  for (const auto& [clip, _] : scores) ids.insert(clip);
  for (const auto& [clip, _] : metadata) ids.insert(clip);
  for (const auto& [clip, _] : audio) ids.insert(clip);
  for (const int clip : ids) {
    Item item;
    item.id = fmt::format("pmemo/{}", clip);
    if (const auto found = audio.find(clip); found != audio.end()) item.file = found->second;
    if (const auto found = scores.find(clip); found != scores.end()) {
      item.score = found->second;
      item.affect = found->second;
    }
    if (const auto found = dynamic.find(clip); found != dynamic.end()) item.dynamic = found->second;
    if (const auto found = metadata.find(clip); found != metadata.end())
      item.columns = found->second;
    item.columns["musicId"] = std::to_string(clip);
    out.items.push_back(std::move(item));
  }
  return out;
}

}  // namespace etude::data
