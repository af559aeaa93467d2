// The parts of the pages that look at single songs.
#include <doctest/doctest.h>

#include "apps/predict_page.h"
#include "apps/report_page.h"
#include "apps/report_songs.h"
#include "apps/svg.h"
#include "xml_fault.h"

using namespace etude::apps;
using etude::testing::xml_fault;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_page(const std::string& html) {
  CHECK(xml_fault(html) == "");
  CHECK_FALSE(contains(html, "nan"));
  CHECK_FALSE(contains(html, "<script"));
  CHECK_FALSE(contains(html, "<odd>"));
}

}  // namespace

TEST_SUITE("pages") {
  TEST_CASE("calibration counts what a hand would") {
    // Two answers of 0.95, one right; one of 0.55, right: (2 |0.5 - 0.95| + |1 - 0.55|) / 3.
    const Calibration c = calibration({{0.95, true}, {0.95, false}, {0.55, true}});
    CHECK(c.error == doctest::Approx((2 * 0.45 + 0.45) / 3));
    REQUIRE(c.bins.size() == 2);
    CHECK(c.bins[0].songs == 1);
    CHECK(c.bins[1].accuracy == doctest::Approx(0.5));
    CHECK(calibration({{1.0, true}}).error == doctest::Approx(0));  // 1 is in the last bin
    CHECK(calibration({}).bins.empty());
  }

  TEST_CASE("songs of a classification: the most certain mistake comes first") {
    Json e = {{"accuracy", 0.5}, {"classes", {"happy", "sad"}}, {"scale", {1, 9}}};
    e["list"] = {{"mild", 0, 1, 0.4, 0.6, 6.0, 7.0},
                 {"<odd> & wrong", 0, 1, 0.05, 0.95, 7.0, 7.5},
                 {"fine", 1, 1, 0.9, 0.9, nullptr, nullptr}};
    const std::string html = page("t", "s", songs_sections(e));
    check_page(html);
    CHECK(contains(html, "worst of 2 wrong"));
    CHECK(html.find("<td>&lt;odd") < html.find("<td>mild"));
    CHECK_FALSE(contains(html, "<td>fine"));
    CHECK(contains(html, "Calibration"));
    CHECK(contains(html, "valence, annotated (1 to 9)"));
    // Without annotations of valence and arousal there is no plane; without confidence, nothing.
    for (auto& song : e["list"]) song[5] = song[6] = nullptr;
    CHECK_FALSE(contains(songs_sections(e), "annotated (1 to 9)"));
    e["list"] = {{"a", 0, 1}};
    CHECK(songs_sections(e).empty());
    CHECK(songs_sections({{"accuracy", 1}}).empty());
  }

  TEST_CASE("songs over time: from the best to the worst, as annotated and as predicted") {
    Json e = {{"scale", {-1, 1}}};
    e["list"] = {{"near", 0.0, 0.0, 0.1, 0.0}, {"far", 0.0, 0.0, 0.9, 0.9}};
    for (const auto& [id, off] : {std::pair{"far", 0.9}, {"near", 0.1}}) {
      Json steps = Json::array();
      for (int k = 0; k < 4; ++k) steps.push_back({15 + 0.5 * k, 0.1 * k, -0.1 * k, off, -off});
      e["curves"].push_back({id, steps});
    }
    e["curves"].push_back({"unannotated", Json::array()});
    const std::string html = page("t", "s", songs_sections(e));
    check_page(html);
    CHECK(html.find(">near<") < html.find(">far<"));
    CHECK_FALSE(contains(html, "unannotated"));
    CHECK(contains(html, "dashed"));
    CHECK(html.find("<td>far") < html.find("<td>near"));  // the table: farthest first
  }

  TEST_CASE("the outline of a waveform holds its extremes") {
    std::vector<float> samples(1000, 0.1f);
    samples[10] = -0.9f;
    samples[990] = 0.8f;
    const Outline o = outline(samples, 100, 10);
    CHECK(o.seconds == doctest::Approx(10));
    REQUIRE(o.low.size() == 10);
    CHECK(o.low[0] == -0.9f);
    CHECK(o.high[9] == 0.8f);
    CHECK(o.low[5] == 0.1f);
    CHECK(outline({}, 100).low.empty());
    CHECK(outline({0.5f}, 100).low.size() == 1);
  }

  TEST_CASE("the page of a prediction: classes, or the two axes") {
    const Outline wave = outline(std::vector<float>(500, 0.2f), 100);
    Json classes = {{"file", "<odd> & song.mp3"},
                    {"class", "happy"},
                    {"probabilities", {{"happy", 0.7}, {"sad", 0.3}}}};
    Json axes = {{"file", "b.mp3"}, {"valence", 6.5}, {"arousal", 3.0}, {"scale", {1, 9}}};
    axes["emotion"] = "relaxed";
    axes["confidence"] = 0.61;
    axes["error"] = {{"valence", 0.8}, {"arousal", 1.25}};
    classes["place"] = {{"valence", 7.25}, {"arousal", 6.0}, {"scale", {1, 9}}};
    for (int k = 0; k < 3; ++k) {
      const Json time = {{"start", k}, {"end", k + 1}};
      Json a = time, b = time;
      a["probabilities"] = {{"happy", 0.5 + 0.1 * k}, {"sad", 0.5 - 0.1 * k}};
      b["valence"] = 5 + k, b["arousal"] = 3;
      classes["over_time"].push_back(a);
      axes["over_time"].push_back(b);
    }
    const std::string html = predict_page({{classes, wave}, {axes, wave}}, "run1");
    check_page(html);
    // Without a place the likeliest level of each axis; with one, that.
    classes["levels"] = {{"valence", {{"low", 0.3}, {"high", 0.7}}}};
    CHECK_FALSE(contains(predict_page({{classes, wave}}, "run1"), "high, 70 %"));
    classes.erase("place");
    CHECK(contains(predict_page({{classes, wave}}, "run1"), "high, 70 %"));
    CHECK(contains(html, "70 %"));
    CHECK(contains(html, "<title>valence 7.25, arousal 6.00</title>"));
    CHECK(contains(html, "61 % confidence"));
    CHECK(contains(html, "3.00 \xC2\xB1 1.25"));
    CHECK(contains(html, "scale 1 to 9"));
    CHECK(contains(html, "class=\"wave\""));
    CHECK(contains(html, "Probability of each class over time"));
    CHECK(contains(html, "Valence and arousal over time"));
  }
}
