#include "apps/report_songs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/report_page.h"
#include "apps/svg.h"

namespace etude::apps {

namespace {

constexpr int kBins = 10;
constexpr std::size_t kWorst = 10, kCurves = 6;

// A song of a classification: [id, truth, predicted, P(truth), P(predicted), valence, arousal], the
// last two null where it has no annotation of them.
struct Answer {
  std::string id;
  int truth, predicted;
  double of_truth, confidence;
  std::optional<double> valence, arousal;

  explicit Answer(const Json& song)
      : id(song[0]), truth(song[1]), predicted(song[2]), of_truth(song[3]), confidence(song[4]) {
    if (!song[5].is_null()) valence = song[5].get<double>();
    if (!song[6].is_null()) arousal = song[6].get<double>();
  }
};

std::string calibration_card(const std::vector<Answer>& answers) {
  std::vector<std::pair<double, bool>> pairs;
  for (const Answer& a : answers) pairs.emplace_back(a.confidence, a.truth == a.predicted);
  const Calibration c = calibration(pairs);
  Scatter chart{"Calibration",
                "confidence of the answer",
                "share that is right",
                0,
                1,
                true,
                false,
                {},
                {},
                "",
                ""};
  for (const CalibrationBin& bin : c.bins)
    chart.points.push_back({bin.confidence, bin.accuracy,
                            fmt::format("{} songs of confidence {:.2f}: {:.2f} right", bin.songs,
                                        bin.confidence, bin.accuracy)});
  return card(
      scatter_svg(chart) +
      fmt::format("<p>Expected calibration error {:.3f}. A point below the line is a group of "
                  "answers more confident than right.</p>\n",
                  c.error));
}

std::string plane_card(const std::vector<Answer>& answers, const Json& e) {
  if (!e.contains("scale")) return {};
  const std::string scale = fmt::format(" ({:g} to {:g})", e.at("scale")[0].get<double>(),
                                        e.at("scale")[1].get<double>());
  Scatter plane{"Right and wrong",
                "valence, annotated" + scale,
                "arousal, annotated" + scale,
                0,
                1,
                false,
                true,
                {},
                {},
                "right",
                "wrong"};
  plane.low = e.at("scale")[0], plane.high = e.at("scale")[1];
  const auto names = e.at("classes").get<std::vector<std::string>>();
  for (const Answer& a : answers) {
    if (!a.valence || !a.arousal) continue;
    auto& group = a.truth == a.predicted ? plane.points : plane.others;
    group.push_back(
        {*a.valence, *a.arousal,
         fmt::format("{}: {}, answered {}", a.id, names[static_cast<std::size_t>(a.truth)],
                     names[static_cast<std::size_t>(a.predicted)])});
  }
  if (plane.points.empty() && plane.others.empty()) return {};
  return card(scatter_svg(plane));
}

std::string answers_sections(const Json& e) {
  std::vector<Answer> answers;
  for (const Json& song : e.at("list")) {
    if (song.size() < 7) return {};  // of a version that kept the classes alone
    answers.emplace_back(song);
  }
  std::string text = section("Confidence", "<div class=\"grid\">\n" + calibration_card(answers) +
                                               plane_card(answers, e) + "</div>\n");
  std::erase_if(answers, [](const Answer& a) { return a.truth == a.predicted; });
  std::stable_sort(answers.begin(), answers.end(),
                   [](const Answer& a, const Answer& b) { return a.of_truth < b.of_truth; });
  if (answers.empty()) return text;
  const auto names = e.at("classes").get<std::vector<std::string>>();
  std::vector<std::vector<std::string>> rows;
  for (const Answer& a : answers) {
    if (rows.size() == kWorst) break;
    rows.push_back({escape(a.id), escape(names[static_cast<std::size_t>(a.truth)]),
                    escape(names[static_cast<std::size_t>(a.predicted)]), metered(a.confidence),
                    fmt::format("{:.3f}", a.of_truth)});
  }
  return text + section(fmt::format("The worst of {} wrong answers", answers.size()),
                        card(table({"song", "annotated", "answer", "its confidence",
                                    "confidence in the annotated one"},
                                   rows)));
}

std::string distances_section(const Json& e) {
  struct Song {
    std::string id;
    double tv, ta, pv, pa;
    double distance() const { return std::hypot(pv - tv, pa - ta); }
  };
  std::vector<Song> songs;
  for (const Json& s : e.at("list")) songs.push_back({s[0], s[1], s[2], s[3], s[4]});
  std::stable_sort(songs.begin(), songs.end(),
                   [](const Song& a, const Song& b) { return a.distance() > b.distance(); });
  std::vector<std::vector<std::string>> rows;
  for (const Song& s : songs) {
    if (rows.size() == kWorst) break;
    rows.push_back({escape(s.id), fmt::format("{:.2f}, {:.2f}", s.tv, s.ta),
                    fmt::format("{:.2f}, {:.2f}", s.pv, s.pa),
                    fmt::format("{:.2f}", s.distance())});
  }
  return section(
      "The songs farthest off",
      card(table({"song", "annotated (valence, arousal)", "predicted", "distance"}, rows)));
}

// A few songs over time: best, worst, and evenly between, by the error of both axes.
std::string curves_section(const Json& e) {
  struct Song {
    const Json* curve;
    double error;
  };
  std::vector<Song> songs;
  for (const Json& song : e.at("curves")) {
    double sum = 0;
    for (const Json& s : song[1]) {
      const double dv = s[3].get<double>() - s[1].get<double>();
      const double da = s[4].get<double>() - s[2].get<double>();
      sum += dv * dv + da * da;
    }
    if (!song[1].empty())
      songs.push_back({&song, std::sqrt(sum / static_cast<double>(song[1].size()) / 2)});
  }
  if (songs.empty()) return {};
  std::stable_sort(songs.begin(), songs.end(),
                   [](const Song& a, const Song& b) { return a.error < b.error; });
  const std::size_t shown = std::min(kCurves, songs.size());
  std::string cards;
  for (std::size_t i = 0; i < shown; ++i) {
    const Song& song = songs[shown == 1 ? 0 : i * (songs.size() - 1) / (shown - 1)];
    LineChart chart{(*song.curve)[0].get<std::string>(),
                    fmt::format("seconds (RMSE {:.2f})", song.error),
                    {},
                    {},
                    "",
                    {},
                    "",
                    false};
    chart.series = {{"valence", {}, {}, 0}, {"arousal", {}, {}, 1}};
    std::vector<Series> predicted = chart.series;
    for (Series& s : predicted) s.name += ", predicted", s.dashed = true;
    for (const Json& s : (*song.curve)[1]) {
      for (std::size_t axis = 0; axis < 2; ++axis) {
        chart.series[axis].x.push_back(s[0]);
        chart.series[axis].y.push_back(s[1 + axis]);
        predicted[axis].x.push_back(s[0]);
        predicted[axis].y.push_back(s[3 + axis]);
      }
    }
    chart.series.insert(chart.series.end(), predicted.begin(), predicted.end());
    cards += card(line_chart_svg(chart));
  }
  return section("Over time, from the best song to the worst",
                 "<div class=\"grid\">\n" + cards +
                     "</div>\n<p class=\"lead\">Valence blue, arousal orange; solid as annotated, "
                     "dashed as predicted.</p>\n");
}

}  // namespace

Calibration calibration(const std::vector<std::pair<double, bool>>& answers) {
  std::vector<CalibrationBin> bins(kBins);
  for (const auto& [confidence, right] : answers) {
    const int i = std::clamp(static_cast<int>(confidence * kBins), 0, kBins - 1);
    CalibrationBin& bin = bins[static_cast<std::size_t>(i)];
    bin.confidence += confidence;
    bin.accuracy += right;
    ++bin.songs;
  }
  Calibration result;
  for (CalibrationBin& bin : bins) {
    if (bin.songs == 0) continue;
    bin.confidence /= bin.songs;
    bin.accuracy /= bin.songs;
    result.error +=
        std::abs(bin.accuracy - bin.confidence) * bin.songs / static_cast<double>(answers.size());
    result.bins.push_back(bin);
  }
  return result;
}

std::string songs_sections(const Json& e) {
  if (!e.contains("list")) return {};
  if (e.contains("accuracy")) return answers_sections(e);
  return (e.contains("curves") ? curves_section(e) : "") + distances_section(e);
}

}  // namespace etude::apps
