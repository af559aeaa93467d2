// to_text() and to_json() of verify.h.
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/files.h"
#include "data/verify.h"

namespace etude::data {
namespace {

using nlohmann::ordered_json;

const char* name_of(SwapEvidence::Verdict verdict) {
  switch (verdict) {
    case SwapEvidence::Verdict::straight:
      return "straight";
    case SwapEvidence::Verdict::swapped:
      return "swapped";
    default:
      return "unclear";
  }
}

std::string minutes(double seconds) {
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole < 7200) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

bool has_affect(const RootReport& root) {
  return root.root.kind == "deam" || root.root.kind == "pmemo";
}

// Adds `text` behind `first`, broken at blanks where a line would pass 100 columns; the lines after
// the first begin with `indent` blanks.
void put_wrapped(std::string& out, const std::string& first, std::size_t indent,
                 const std::string& text) {
  constexpr std::size_t columns = 100;
  std::string line = first;
  bool bare = true;  // the line has no word of the text yet
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (!bare && line.size() + 1 + end - at > columns) {
      out += line + "\n";
      line = std::string(indent, ' ');
      bare = true;
    }
    if (!bare) line += ' ';
    line.append(text, at, end - at);
    bare = false;
    at = end + 1;
  }
  out += line + "\n";
}

void put(std::string& out, const char* label, const std::string& value) {
  put_wrapped(out, fmt::format("  {:<20} ", label), 23, value);
}

void put_swap(std::string& out, const RootReport& report) {
  out += "  valence and arousal columns against the annotations over time (Pearson r):\n";
  out += fmt::format("    {:<12} {:>6} {:>9} {:>9} {:>9} {:>9}\n", "", "", "dynamic", "dynamic",
                     "dynamic", "dynamic");
  out += fmt::format("    {:<12} {:>6} {:>9} {:>9} {:>9} {:>9}\n", "", "", "arousal", "arousal",
                     "valence", "valence");
  out += fmt::format("    {:<12} {:>6} {:>9} {:>9} {:>9} {:>9}\n", "song ids", "songs", "/arousal",
                     "/valence", "/valence", "/arousal");
  for (const SwapEvidence& e : report.root.swap)
    out += fmt::format("    {:<12} {:>6} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f}  {}{}\n",
                       fmt::format("{}-{}", e.first_id, e.last_id), e.songs, e.arousal_arousal,
                       e.arousal_valence, e.valence_valence, e.valence_arousal, name_of(e.verdict),
                       e.mended ? ", mended" : "");
}

std::string axis_text(const AxisRange& axis) {
  return fmt::format("{:.3g} to {:.3g}, mean {:.3f}, deviation {:.3f}", axis.min, axis.max,
                     axis.mean, axis.deviation);
}

void put_root(std::string& out, const RootReport& report) {
  out += fmt::format("{}: {}\n", report.root.kind, report.root.path.string());
  const bool affect = has_affect(report);
  const bool images = report.root.kind == "idx";
  if (affect) put(out, "clips", std::to_string(report.items));
  put(out,
      affect   ? "annotated songs"
      : images ? "labelled images"
               : "labelled files",
      std::to_string(report.annotated));
  if (!images) {
    put(out, "with audio", std::to_string(report.with_audio));
    put(out, "missing audio",
        report.no_audio.empty() ? "0"
        : report.no_audio.size() <= 10
            ? fmt::format("{}: {}", report.no_audio.size(), fmt::join(report.no_audio, " "))
            : fmt::format("{}: {} ...", report.no_audio.size(),
                          fmt::join(report.no_audio.begin(), report.no_audio.begin() + 10, " ")));
  }
  if (!affect) return;
  put(out, "annotated over time", std::to_string(report.dynamic));
  // These are named one by one: there are few, and one has to find them.
  put(out, "without annotation",
      report.no_annotation.empty() ? "0"
                                   : fmt::format("{}: {}", report.no_annotation.size(),
                                                 fmt::join(report.no_annotation, " ")));
  put(out, "scale", fmt::format("{} to {}", report.root.scale.low, report.root.scale.high));
  put(out, "valence", axis_text(report.valence));
  put(out, "arousal", axis_text(report.arousal));
  if (report.root.swap.empty()) return;
  const bool swapped = std::any_of(
      report.root.swap.begin(), report.root.swap.end(),
      [](const SwapEvidence& e) { return e.verdict == SwapEvidence::Verdict::swapped; });
  put(out, "exchanged columns",
      report.mended ? fmt::format("{} songs, mended", report.mended)
      : swapped     ? "found, left as distributed"
                    : "none found");
  put_swap(out, report);
}

void put_shares(std::string& out, const VerifyReport& report) {
  out += "class shares (the largest is what always answering one class scores)\n";
  for (const ClassShares& shares : report.shares) {
    const std::string name = shares.task + (shares.cuts.empty() ? "" : ", cuts " + shares.cuts) +
                             (shares.part.empty() ? "" : ", " + shares.part);
    const auto empty = std::count(shares.counts.begin(), shares.counts.end(), 0);
    out += fmt::format("  {} ({} items): largest {:.3f}{}\n", name, shares.total(),
                       shares.largest(), empty ? fmt::format(", {} empty", empty) : "");
    std::string line;
    for (std::size_t i = 0; i < shares.classes.size(); ++i) {
      const std::string cell =
          fmt::format("{} {:.3f}", shares.classes[i], shares.share(static_cast<int>(i)));
      if (line.size() + cell.size() > 92) {
        out += "    " + line + "\n";
        line.clear();
      }
      line += (line.empty() ? "" : "  ") + cell;
    }
    out += "    " + line + "\n";
  }
}

void put_files(std::string& out, const VerifyReport& report) {
  out += "audio files\n";
  put(out, "duration",
      fmt::format("{} in all; {:.1f} s to {:.1f} s, median {:.1f} s", minutes(report.seconds_total),
                  report.seconds_min, report.seconds_max, report.seconds_median));
  std::vector<std::string> rates;
  for (const auto& [rate, files] : report.sample_rates)
    rates.push_back(fmt::format("{} Hz: {}", rate, files));
  put(out, "sample rates", fmt::format("{}", fmt::join(rates, ", ")));
  put(out, "damaged", std::to_string(report.damaged.size()));
  for (const auto& problem : report.damaged) out += fmt::format("    {}\n", problem.message);
  put(out, "unreadable", std::to_string(report.unreadable.size()));
  for (const auto& problem : report.unreadable) out += fmt::format("    {}\n", problem.message);
  put(out, "identical files", std::to_string(report.duplicates.size()));
  for (const auto& ids : report.duplicates) out += fmt::format("    {}\n", fmt::join(ids, " = "));
}

ordered_json json_of(const AxisRange& axis) {
  return {{"min", axis.min}, {"max", axis.max}, {"mean", axis.mean}, {"deviation", axis.deviation}};
}

ordered_json json_of(const RootReport& report) {
  ordered_json out = {{"path", report.root.path.string()},
                      {"kind", report.root.kind},
                      {"items", report.items},
                      {"annotated", report.annotated},
                      {"with_audio", report.with_audio},
                      {"missing_audio", report.no_audio}};
  if (!has_affect(report)) return out;
  out["dynamic"] = report.dynamic;
  out["without_annotation"] = report.no_annotation;
  out["scale"] = {report.root.scale.low, report.root.scale.high};
  out["valence"] = json_of(report.valence);
  out["arousal"] = json_of(report.arousal);
  out["mended"] = report.mended;
  out["swap"] = ordered_json::array();
  for (const SwapEvidence& e : report.root.swap)
    out["swap"].push_back({{"first_id", e.first_id},
                           {"last_id", e.last_id},
                           {"songs", e.songs},
                           {"r_dynamic_arousal_static_arousal", e.arousal_arousal},
                           {"r_dynamic_arousal_static_valence", e.arousal_valence},
                           {"r_dynamic_valence_static_valence", e.valence_valence},
                           {"r_dynamic_valence_static_arousal", e.valence_arousal},
                           {"verdict", name_of(e.verdict)},
                           {"mended", e.mended}});
  return out;
}

ordered_json json_of(const std::vector<VerifyReport::Problem>& problems) {
  ordered_json out = ordered_json::array();
  for (const auto& problem : problems)
    out.push_back({{"id", problem.id}, {"message", problem.message}});
  return out;
}

}  // namespace

std::string to_text(const VerifyReport& report) {
  std::string out;
  for (const RootReport& root : report.roots) put_root(out, root);
  put_shares(out, report);
  if (report.decoded && !report.sample_rates.empty())
    put_files(out, report);
  else if (report.problems() > 0)
    put_files(out, report);
  for (const std::string& note : report.notes) put_wrapped(out, "note: ", 6, note);
  for (const std::string& warning : report.warnings) put_wrapped(out, "warning: ", 9, warning);
  return out;
}

std::string to_json(const VerifyReport& report) {
  ordered_json out;
  out["kind"] = report.kind;
  out["roots"] = ordered_json::array();
  for (const RootReport& root : report.roots) out["roots"].push_back(json_of(root));
  out["shares"] = ordered_json::array();
  for (const ClassShares& shares : report.shares) {
    ordered_json counts = ordered_json::object();
    for (std::size_t i = 0; i < shares.classes.size(); ++i)
      counts[shares.classes[i]] = shares.counts[i];
    out["shares"].push_back({{"task", shares.task},
                             {"cuts", shares.cuts},
                             {"part", shares.part},
                             {"total", shares.total()},
                             {"largest", shares.largest()},
                             {"counts", counts}});
  }
  if (report.decoded) {
    ordered_json rates = ordered_json::object();
    for (const auto& [rate, files] : report.sample_rates) rates[std::to_string(rate)] = files;
    out["audio"] = {{"seconds_total", report.seconds_total},
                    {"seconds_min", report.seconds_min},
                    {"seconds_median", report.seconds_median},
                    {"seconds_max", report.seconds_max},
                    {"sample_rates", rates},
                    {"damaged", json_of(report.damaged)},
                    {"unreadable", json_of(report.unreadable)},
                    {"identical", report.duplicates},
                    {"complete", !report.stopped}};
  }
  out["notes"] = report.notes;
  out["warnings"] = report.warnings;
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string explain(const VerifyReport& report) {
  std::string text;
  for (const RootReport& root : report.roots) {
    if (root.root.swap.empty()) continue;
    text += fmt::format("{}: are valence and arousal exchanged?\n\n", root.root.path.string());
    text +=
        "DEAM rates each song twice: once as a whole (static) and every half second (dynamic).\n"
        "The mean of a song's dynamic valence should go with its static valence, and so for\n"
        "arousal. Where the static columns are exchanged, each goes with the other one better.\n\n";
    for (const SwapEvidence& e : root.root.swap) {
      text += fmt::format("ids {}-{}, {} songs with both (Pearson r):\n", e.first_id, e.last_id,
                          e.songs);
      text += fmt::format(
          "  dynamic arousal with the column \"arousal\" {:>7.3f}, \"valence\" {:>7.3f}\n",
          e.arousal_arousal, e.arousal_valence);
      text += fmt::format(
          "  dynamic valence with the column \"valence\" {:>7.3f}, \"arousal\" {:>7.3f}\n",
          e.valence_valence, e.valence_arousal);
      const char* verdict = e.verdict == SwapEvidence::Verdict::swapped
                                ? "both go with the other column: exchanged"
                            : e.verdict == SwapEvidence::Verdict::straight
                                ? "both go with their own column: as they should be"
                                : "too little to tell";
      const std::string done = e.mended ? fmt::format("; mended here for {} songs", e.mended)
                               : e.verdict == SwapEvidence::Verdict::swapped
                                   ? "; left as distributed, as asked"
                                   : "";
      text += fmt::format("  -> {}{}\n\n", verdict, done);
    }
    text +=
        "The verdict compares Fisher's z = atanh r of both ways, for both axes together; it needs\n"
        "4 standard errors of their sum, and both axes to agree. --labels as-distributed keeps "
        "the\n"
        "columns as they are, for comparison with published numbers, which rest on them.\n";
  }
  if (text.empty())
    return "nothing to explain: exchanged columns are known of DEAM alone, with its annotations "
           "over time\n";
  return text;
}

}  // namespace etude::data
