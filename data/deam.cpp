#include "data/deam.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

#include "data/csv.h"
#include "data/files.h"

namespace etude::data {
namespace {

namespace fs = std::filesystem;

constexpr Scale kStatic{1, 9};
constexpr Scale kDynamic{-1, 1};

// The three years of the benchmark, by song id.
constexpr int kRanges[][2] = {{1, 1000}, {1001, 2000}, {2001, 2058}};
constexpr int kLastId = 2058;

bool is_static_file(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  std::error_code error;
  return name.starts_with("static_annotations_averaged_songs") && name.ends_with(".csv") &&
         entry.is_regular_file(error);
}

bool is_dynamic_folder(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.path().filename().string().starts_with("dynamic") && entry.is_directory(error) &&
         fs::is_regular_file(entry.path() / "arousal.csv", error) &&
         fs::is_regular_file(entry.path() / "valence.csv", error);
}

bool is_audio_folder(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.path().filename() == "MEMD_audio" && entry.is_directory(error);
}

bool is_metadata_file(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  std::error_code error;
  return name.starts_with("metadata_20") && name.ends_with(".csv") && entry.is_regular_file(error);
}

// A score of the static file; the range check catches a file on another scale.
double score(const Csv& csv, int row, int column) {
  const double value = csv.number(row, column);
  check(value >= kStatic.low && value <= kStatic.high,
        "{}: column \"{}\" holds {}; DEAM's static scores go from 1 to 9", csv.where(row),
        csv.header()[column], value);
  return value;
}

std::map<int, Affect> read_static(const fs::path& root) {
  const auto files = find_below(root, is_static_file);
  check(!files.empty(),
        "deam: {}: no static_annotations_averaged_songs_*.csv below it; expected DEAM's folder "
        "\"annotations/annotations averaged per song/song_level\" (unpack DEAM_Annotations.zip "
        "there)",
        root.string());
  std::map<int, Affect> songs;
  for (const fs::path& file : files) {
    const Csv csv = Csv::read(file);
    const int id = csv.column("song_id"), valence = csv.column("valence_mean"),
              arousal = csv.column("arousal_mean");
    for (int row = 0; row < csv.rows(); ++row) {
      const int song = csv.integer(row, id);
      const bool fresh =
          songs.insert({song, {score(csv, row, valence), score(csv, row, arousal)}}).second;
      check(fresh, "{}: song {} is annotated twice; remove one copy of the annotations",
            csv.where(row), song);
    }
  }
  return songs;
}

// Seconds of the columns "sample_15000ms"; -1 for other columns.
std::vector<double> sample_times(const Csv& csv) {
  std::vector<double> seconds;
  int samples = 0;
  for (const std::string& name : csv.header()) {
    int milliseconds = -1;
    if (name.starts_with("sample_") && name.ends_with("ms")) {
      const char* last = name.data() + name.size() - 2;
      const auto [end, error] = std::from_chars(name.data() + 7, last, milliseconds);
      if (error != std::errc{} || end != last) milliseconds = -1;
    }
    samples += milliseconds >= 0;
    seconds.push_back(milliseconds < 0 ? -1 : milliseconds / 1000.0);
  }
  check(samples > 0, "{}: no column \"sample_15000ms\" or the like; expected 2 Hz annotations",
        csv.name());
  return seconds;
}

using Series = std::map<double, double>;  // seconds -> value on 0-1

std::map<int, Series> read_dynamic(const fs::path& file) {
  const Csv csv = Csv::read(file, {.ragged = true});
  const int id = csv.column("song_id");
  const std::vector<double> seconds = sample_times(csv);
  std::map<int, Series> songs;
  for (int row = 0; row < csv.rows(); ++row) {
    check(csv.row(row).size() <= seconds.size(), "{}: row has {} fields, the header only {}",
          csv.where(row), csv.row(row).size(), seconds.size());
    const int song = csv.integer(row, id);
    const auto [entry, fresh] = songs.try_emplace(song);
    check(fresh, "{}: song {} stands there twice", csv.where(row), song);
    for (std::size_t column = 0; column < csv.row(row).size(); ++column) {
      if (seconds[column] < 0 || csv.row(row)[column].empty()) continue;
      const double value = csv.number(row, static_cast<int>(column));
      check(value >= kDynamic.low && value <= kDynamic.high,
            "{}: column \"{}\" holds {}; DEAM's dynamic values go from -1 to 1", csv.where(row),
            csv.header()[column], value);
      entry->second.emplace(seconds[column], kDynamic.unit(value));
    }
  }
  return songs;
}

// Times at which both axes have a value.
std::map<int, DynamicAnnotation> join(const std::map<int, Series>& valence,
                                      const std::map<int, Series>& arousal) {
  std::map<int, DynamicAnnotation> songs;
  for (const auto& [song, series] : valence) {
    const auto other = arousal.find(song);
    if (other == arousal.end()) continue;
    DynamicAnnotation joined;
    for (const auto& [seconds, value] : series) {
      const auto match = other->second.find(seconds);
      if (match == other->second.end()) continue;
      joined.seconds.push_back(seconds);
      joined.valence.push_back(value);
      joined.arousal.push_back(match->second);
    }
    if (!joined.seconds.empty()) songs.emplace(song, std::move(joined));
  }
  return songs;
}

// Artist and title by song. The three files spell their columns differently and have loose quotes
// and extra fields, so that what cannot be read costs a warning, not the import.
std::map<int, std::map<std::string, std::string>> read_metadata(
    const fs::path& root, std::vector<std::string>& warnings) {
  std::map<int, std::map<std::string, std::string>> songs;
  for (const fs::path& file : find_below(root, is_metadata_file)) {
    try {
      const Csv csv = Csv::read(file, {.ragged = true});
      const int id = csv.find("song_id") >= 0 ? csv.find("song_id") : csv.column("id");
      const int artist = csv.column("artist");
      int title = csv.find("song title");
      if (title < 0) title = csv.find("track");
      if (title < 0) title = csv.find("title");
      for (int row = 0; row < csv.rows(); ++row) {
        auto& columns = songs[csv.integer(row, id)];
        const auto put = [&](const char* name, int column) {
          std::string text = csv.text(row, column);
          text.erase(0, std::min(text.find_first_not_of(" \t"), text.size()));
          text.erase(text.find_last_not_of(" \t") + 1);
          if (!text.empty()) columns[name] = text;
        };
        put("artist", artist);
        put("title", title);
      }
    } catch (const Error& error) {
      warnings.push_back(fmt::format("deam: artists left out: {}", error.what()));
    }
  }
  return songs;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Pearson's r; 0 where a side is constant.
double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double mx = mean(x), my = mean(y);
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

// Judges each range, exchanges the columns of the swapped ones unless told not to, and says so.
void mend_swap(std::map<int, Affect>& scores, const std::map<int, DynamicAnnotation>& dynamic,
               DeamLabels labels, Dataset& out) {
  std::map<int, SwapSample> samples;
  for (const auto& [song, affect] : scores) {
    const auto found = dynamic.find(song);
    if (found == dynamic.end()) continue;
    samples[song] = {affect.valence, affect.arousal, mean(found->second.valence),
                     mean(found->second.arousal)};
  }
  for (const auto& range : kRanges) {
    // Ids beyond the published ones (a corpus in DEAM's layout) count to the last range.
    const int first = range[0];
    const int last = range[1] == kLastId ? std::max(kLastId, scores.rbegin()->first) : range[1];
    const auto begin = scores.lower_bound(first), end = scores.upper_bound(last);
    if (begin == end) continue;
    SwapEvidence evidence = detect_swap(samples, first, last);
    const auto count = std::distance(begin, end);
    const std::string songs =
        fmt::format("the {} songs with ids {}-{}", count, begin->first, std::prev(end)->first);
    if (evidence.verdict == SwapEvidence::Verdict::swapped) {
      if (labels == DeamLabels::mended) {
        for (auto song = begin; song != end; ++song)
          std::swap(song->second.valence, song->second.arousal);
        evidence.mended = static_cast<int>(count);
      }
      out.notes.push_back(fmt::format(
          "deam: valence and arousal are exchanged in the static annotations of {} (r with the "
          "dynamic ones: {:.2f}/{:.2f} crossed, {:.2f}/{:.2f} straight): {}",
          songs, evidence.arousal_valence, evidence.valence_arousal, evidence.arousal_arousal,
          evidence.valence_valence, evidence.mended ? "mended" : "left as distributed, as asked"));
    } else if (evidence.verdict == SwapEvidence::Verdict::unclear && first == 1) {
      // Only here is the defect known; elsewhere silence is right.
      out.warnings.push_back(fmt::format(
          "deam: cannot tell whether valence and arousal are exchanged for {} ({} of them have "
          "dynamic annotations to compare with); left as distributed",
          songs, evidence.songs));
    }
    out.roots[0].swap.push_back(evidence);
  }
}

}  // namespace

bool looks_like_deam(const fs::path& root) { return !find_below(root, is_static_file).empty(); }

SwapEvidence detect_swap(const std::map<int, SwapSample>& songs, int first_id, int last_id) {
  std::vector<double> sv, sa, dv, da;
  for (auto it = songs.lower_bound(first_id); it != songs.end() && it->first <= last_id; ++it) {
    sv.push_back(it->second.static_valence);
    sa.push_back(it->second.static_arousal);
    dv.push_back(it->second.dynamic_valence);
    da.push_back(it->second.dynamic_arousal);
  }
  SwapEvidence out;
  out.first_id = first_id;
  out.last_id = last_id;
  out.songs = static_cast<int>(sv.size());
  if (out.songs < 2) return out;
  out.arousal_arousal = correlation(da, sa);
  out.arousal_valence = correlation(da, sv);
  out.valence_valence = correlation(dv, sv);
  out.valence_arousal = correlation(dv, sa);
  if (out.songs < 8) return out;

  // atanh, kept finite for the perfect correlations that made-up data can have.
  const auto z = [](double r) { return std::atanh(std::clamp(r, -0.999999, 0.999999)); };
  const double arousal = z(out.arousal_valence) - z(out.arousal_arousal);
  const double valence = z(out.valence_arousal) - z(out.valence_valence);
  const double d = (arousal + valence) / std::sqrt(4.0 / (out.songs - 3));
  if (d > 4 && arousal > 0 && valence > 0) out.verdict = SwapEvidence::Verdict::swapped;
  if (d < -4 && arousal < 0 && valence < 0) out.verdict = SwapEvidence::Verdict::straight;
  return out;
}

Dataset load_deam(const fs::path& root, const DatasetOptions& options) {
  check_root("deam", root);
  Dataset out;
  out.kind = "deam";
  out.scale = kStatic;
  out.roots.push_back({root, "deam", kStatic, {}, kDynamic});

  std::map<int, Affect> scores = read_static(root);
  check(!scores.empty(), "deam: {}: the static annotation files have no songs", root.string());

  std::map<int, DynamicAnnotation> dynamic;
  if (const fs::path folder = find_one_below(root, "a folder dynamic*", is_dynamic_folder);
      !folder.empty())
    dynamic = join(read_dynamic(folder / "valence.csv"), read_dynamic(folder / "arousal.csv"));
  else
    out.notes.push_back(fmt::format(
        "deam: {}: no dynamic*/{{arousal,valence}}.csv below it: no annotations over time",
        root.string()));
  mend_swap(scores, dynamic, options.deam_labels, out);

  std::map<int, fs::path> audio;
  if (const fs::path folder = find_one_below(root, "MEMD_audio", is_audio_folder); !folder.empty())
    audio = numbered_audio(folder);
  else
    check(!options.need_audio,
          "deam: {}: no folder MEMD_audio below it; unpack DEAM_audio.zip there, beside the "
          "annotations",
          root.string());

  const auto metadata = read_metadata(root, out.warnings);
  std::set<int> ids;
  for (const auto& [song, _] : scores) ids.insert(song);
  for (const auto& [song, _] : audio) ids.insert(song);
  for (const int song : ids) {
    Item item;
    item.id = fmt::format("deam/{}", song);
    if (const auto found = audio.find(song); found != audio.end()) item.file = found->second;
    if (const auto found = scores.find(song); found != scores.end()) {
      item.score = found->second;
      item.affect = {kStatic.unit(found->second.valence), kStatic.unit(found->second.arousal)};
    }
    if (const auto found = dynamic.find(song); found != dynamic.end()) item.dynamic = found->second;
    if (const auto found = metadata.find(song); found != metadata.end())
      item.columns = found->second;
    item.columns["song_id"] = std::to_string(song);
    out.items.push_back(std::move(item));
  }
  return out;
}

}  // namespace etude::data
