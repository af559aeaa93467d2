#include "data/verify.h"

#define XXH_INLINE_ALL  // the header alone: nothing to link
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "data/audio.h"
#include "data/files.h"
#include "data/parallel.h"
#include "data/task.h"

namespace etude::data {
namespace {

AxisRange axis_range(const std::vector<double>& values) {
  AxisRange out;
  if (values.empty()) return out;
  const auto n = static_cast<double>(values.size());
  out.min = *std::min_element(values.begin(), values.end());
  out.max = *std::max_element(values.begin(), values.end());
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double square = 0;
  for (const double value : values) square += (value - out.mean) * (value - out.mean);
  out.deviation = std::sqrt(square / n);
  return out;
}

std::string short_name(const Item& item) { return item.id.substr(item.id.find('/') + 1); }

RootReport report_root(const Dataset& dataset, int index) {
  RootReport out;
  out.root = dataset.roots[index];
  std::vector<double> valence, arousal;
  for (const Item& item : dataset.items) {
    if (item.root != index) continue;
    ++out.items;
    const bool annotated = item.affect || item.label >= 0;
    const bool there = !item.file.empty() || item.image >= 0;
    out.annotated += annotated;
    out.with_audio += there;
    out.dynamic += !item.dynamic.seconds.empty();
    if (annotated && !there) out.no_audio.push_back(short_name(item));
    if (!annotated) out.no_annotation.push_back(short_name(item));
    if (item.score) {
      valence.push_back(item.score->valence);
      arousal.push_back(item.score->arousal);
    }
  }
  for (const SwapEvidence& evidence : out.root.swap) out.mended += evidence.mended;
  out.valence = axis_range(valence);
  out.arousal = axis_range(arousal);
  return out;
}

ClassShares count_classes(const Dataset& dataset, const Task& task, const std::string& part) {
  ClassShares out;
  out.task = to_string(task.kind);
  if (task.kind != TaskKind::classes) out.cuts = to_string(task.cuts);
  out.part = part;
  out.classes = task.classes;
  out.counts.assign(task.classes.size(), 0);
  for (const Item& item : dataset.items)
    if (const int label = task.label(item); label >= 0 && (part.empty() || item.split == part))
      ++out.counts[label];
  return out;
}

std::vector<ClassShares> all_shares(const Dataset& dataset) {
  std::vector<int> all(dataset.items.size());
  std::iota(all.begin(), all.end(), 0);
  std::vector<ClassShares> out;
  if (dataset.has_affect()) {
    out.push_back(
        count_classes(dataset, make_task(TaskKind::quadrants, Cuts::scale, dataset, all), ""));
    for (const Cuts cuts : {Cuts::scale, Cuts::minmax, Cuts::tertiles})
      out.push_back(count_classes(dataset, make_task(TaskKind::emotion9, cuts, dataset, all), ""));
  } else {
    const Task task = make_task(TaskKind::classes, Cuts::scale, dataset, all);
    out.push_back(count_classes(dataset, task, ""));
    for (const char* part : {"train", "val", "test"})
      if (std::any_of(dataset.items.begin(), dataset.items.end(),
                      [&](const Item& item) { return item.split == part; }))
        out.push_back(count_classes(dataset, task, part));
  }
  return out;
}

// One file's answer.
struct FileCheck {
  std::string damaged, unreadable;
  double seconds = 0;
  int sample_rate = 0;
  std::uint64_t hash[2] = {0, 0};
};

FileCheck check_file(const std::filesystem::path& path) {
  FileCheck out;
  try {
    const std::string bytes = read_file(path);
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    out.hash[0] = hash.low64;
    out.hash[1] = hash.high64;
    const Audio audio = load_audio(path);
    out.damaged = audio.warning;
    out.seconds = audio.seconds();
    out.sample_rate = audio.sample_rate;
  } catch (const Error& error) {
    out.unreadable = error.what();
  }
  return out;
}

void check_audio(const Dataset& dataset, const VerifyOptions& options, VerifyReport& report) {
  std::vector<int> files;
  for (int i = 0; i < static_cast<int>(dataset.items.size()); ++i)
    if (!dataset.items[i].file.empty()) files.push_back(i);
  std::vector<std::optional<FileCheck>> checks(files.size());
  report.decoded = true;
  report.stopped = !parallel_for_files(
      static_cast<int>(files.size()), options.threads,
      [&](int job) { checks[job] = check_file(dataset.items[files[job]].file); }, options.progress);

  std::vector<double> seconds;
  std::map<int, int> rates;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<std::string>> contents;
  for (std::size_t job = 0; job < files.size(); ++job) {
    if (!checks[job]) continue;
    const FileCheck& file = *checks[job];
    const std::string& id = dataset.items[files[job]].id;
    if (!file.unreadable.empty()) {
      report.unreadable.push_back({id, file.unreadable});
      continue;
    }
    if (!file.damaged.empty()) report.damaged.push_back({id, file.damaged});
    seconds.push_back(file.seconds);
    ++rates[file.sample_rate];
    contents[{file.hash[0], file.hash[1]}].push_back(id);
  }
  for (auto& [hash, ids] : contents)
    if (ids.size() > 1) report.duplicates.push_back(std::move(ids));
  std::sort(report.duplicates.begin(), report.duplicates.end());
  report.sample_rates.assign(rates.begin(), rates.end());
  if (seconds.empty()) return;
  std::sort(seconds.begin(), seconds.end());
  report.seconds_total = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  report.seconds_min = seconds.front();
  report.seconds_median = (seconds[(seconds.size() - 1) / 2] + seconds[seconds.size() / 2]) / 2;
  report.seconds_max = seconds.back();
}

}  // namespace

int ClassShares::total() const { return std::accumulate(counts.begin(), counts.end(), 0); }

double ClassShares::share(int label) const {
  const int n = total();
  return n ? static_cast<double>(counts.at(label)) / n : 0;
}

double ClassShares::largest() const {
  double most = 0;
  for (int label = 0; label < static_cast<int>(counts.size()); ++label)
    most = std::max(most, share(label));
  return most;
}

VerifyReport verify_dataset(const std::string& kind,
                            const std::vector<std::filesystem::path>& roots,
                            const VerifyOptions& options) {
  DatasetOptions dataset_options = options.dataset;
  dataset_options.need_audio = false;
  dataset_options.keep_unannotated = true;
  const Dataset dataset = load_dataset(kind, roots, dataset_options);

  VerifyReport report;
  report.kind = dataset.kind;
  report.notes = dataset.notes;
  report.warnings = dataset.warnings;
  for (int root = 0; root < static_cast<int>(dataset.roots.size()); ++root)
    report.roots.push_back(report_root(dataset, root));
  for (const RootReport& root : report.roots)
    if (root.with_audio == 0)
      report.warnings.push_back(fmt::format(
          "{}: {}: no audio at all; expected the files {}/ID.mp3 below it", root.root.kind,
          root.root.path.string(), root.root.kind == "deam" ? "MEMD_audio" : "chorus"));
  report.shares = all_shares(dataset);
  if (!options.fast) check_audio(dataset, options, report);
  return report;
}

}  // namespace etude::data
