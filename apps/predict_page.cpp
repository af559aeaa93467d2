#include "apps/predict_page.h"

#include <algorithm>
#include <cmath>

#include "apps/report_page.h"
#include "apps/svg.h"

namespace etude::apps {

namespace {

// The pieces of `over_time` as curves: valence and arousal, or the probability of each class.
std::vector<Series> curves(const Json& answer) {
  std::vector<Series> result;
  const auto add = [&](const std::string& name, auto value_of) {
    Series s{name, {}, {}, static_cast<int>(result.size())};
    for (const Json& piece : answer.at("over_time")) {
      s.x.push_back((piece.at("start").get<double>() + piece.at("end").get<double>()) / 2);
      s.y.push_back(value_of(piece));
    }
    result.push_back(std::move(s));
  };
  if (answer.contains("valence")) {
    for (const char* axis : {"valence", "arousal"})
      add(axis, [axis](const Json& piece) { return piece.at(axis).get<double>(); });
    return result;
  }
  // The classes that the song is anywhere thought to be, at most as many as there are colours.
  std::vector<std::pair<double, std::string>> names;
  for (const auto& [name, p] : answer.at("probabilities").items())
    names.emplace_back(-p.get<double>(), name);
  std::stable_sort(names.begin(), names.end());
  if (names.size() > curve_colours) names.resize(curve_colours);
  for (const auto& entry : names)
    add(entry.second, [&entry](const Json& piece) {
      return piece.at("probabilities").at(entry.second).get<double>();
    });
  return result;
}

std::string answer_tiles(const Json& answer, double seconds) {
  std::vector<Tile> list;
  if (answer.contains("class")) {
    const std::string name = answer.at("class");
    list.push_back({name, "the answer for the whole song"});
    list.push_back(
        {fmt::format("{:.0f} %", 100 * answer.at("probabilities").at(name).get<double>()),
         "confidence"});
  }
  if (answer.contains("emotion"))
    list.push_back({answer.at("emotion").get<std::string>(),
                    answer.contains("confidence")
                        ? fmt::format("the quadrant of the whole song, {:.0f} % confidence",
                                      100 * answer.at("confidence").get<double>())
                        : "the quadrant of the whole song"});
  if (answer.contains("levels") && !answer.contains("place"))
    for (const auto& [axis, levels] : answer.at("levels").items()) {
      const Json::const_iterator likely = largest(levels);
      list.push_back({fmt::format("{}, {:.0f} %", likely.key(), 100 * likely->get<double>()),
                      axis + ", summed over the classes"});
    }
  const Json& place = answer.contains("place") ? answer.at("place") : answer;
  for (const char* axis : {"valence", "arousal"}) {
    if (!place.contains(axis)) continue;
    std::string value = fmt::format("{:.2f}", place.at(axis).get<double>());
    std::string caption =
        fmt::format("{} (scale {:g} to {:g})", axis, place.at("scale")[0].get<double>(),
                    place.at("scale")[1].get<double>());
    if (place.contains("error")) {
      value += fmt::format(" \xC2\xB1 {:.2f}", place.at("error").at(axis).get<double>());
      caption += ", \xC2\xB1 its error on unseen songs";
    }
    list.push_back({value, caption});
  }
  list.push_back(
      {fmt::format("{}:{:02}", static_cast<int>(seconds) / 60, static_cast<int>(seconds) % 60),
       "length"});
  return tiles(list);
}

// The song's place on valence and arousal, among its parts where they have one.
std::string plane_card(const Json& place, const Json& parts) {
  Scatter plane{"Valence and arousal", "valence", "arousal", 0, 1, false, true, {}, {}, "", ""};
  plane.low = place.at("scale")[0], plane.high = place.at("scale")[1];
  const double v = place.at("valence"), a = place.at("arousal");
  plane.points_name = "the song", plane.others_name = "its parts";
  plane.points.push_back({v, a, fmt::format("valence {:.2f}, arousal {:.2f}", v, a)});
  for (const Json& part : parts)
    plane.others.push_back({part.at("valence"), part.at("arousal"),
                            fmt::format("{:.1f} s", part.at("start").get<double>())});
  return card(scatter_svg(plane));
}

std::string place_cards(const Json& answer) {
  if (answer.contains("valence")) return plane_card(answer, answer.at("over_time"));
  std::vector<Bar> bars;
  for (const auto& [name, p] : answer.at("probabilities").items())
    bars.push_back({name, p.get<double>(), 2, {}, {}});
  std::stable_sort(bars.begin(), bars.end(),
                   [](const Bar& a, const Bar& b) { return a.value > b.value; });
  if (!bars.empty()) bars.front().colour = 0;
  const std::string text = card(bars_svg(bars), "bars");
  return answer.contains("place") ? text + plane_card(answer.at("place"), Json::array()) : text;
}

}  // namespace

Outline outline(const std::vector<float>& samples, int sample_rate, int pieces) {
  Outline result;
  result.seconds = sample_rate > 0 ? static_cast<double>(samples.size()) / sample_rate : 0;
  const std::size_t count = std::min(samples.size(), static_cast<std::size_t>(std::max(1, pieces)));
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = samples.begin() + static_cast<std::ptrdiff_t>(i * samples.size() / count);
    const auto last =
        samples.begin() + static_cast<std::ptrdiff_t>((i + 1) * samples.size() / count);
    const auto [low, high] = std::minmax_element(first, last);
    result.low.push_back(*low);
    result.high.push_back(*high);
  }
  return result;
}

std::string predict_page(const std::vector<PredictedSong>& songs, const std::string& model) {
  std::string body;
  for (const PredictedSong& song : songs) {
    const Json& answer = song.answer;
    std::string content = answer_tiles(answer, song.outline.seconds);
    Timeline timeline;
    timeline.title = answer.contains("valence") ? "Valence and arousal over time"
                                                : "Probability of each class over time";
    timeline.seconds = song.outline.seconds;
    timeline.low = song.outline.low, timeline.high = song.outline.high;
    timeline.curves = curves(answer);
    if (answer.contains("scale"))
      timeline.y_low = answer.at("scale")[0], timeline.y_high = answer.at("scale")[1];
    content +=
        card(timeline_svg(timeline)) + "<div class=\"grid\">\n" + place_cards(answer) + "</div>\n";
    body += section(answer.at("file").get<std::string>(), content);
  }
  return page("What the model hears", model, body,
              "Computed from the files named, by the model named.");
}

}  // namespace etude::apps
