// The pages and the charts of a run.
#include <doctest/doctest.h>

#include <limits>

#include "apps/report.h"
#include "apps/report_page.h"
#include "apps/run_folder.h"
#include "apps/svg.h"
#include "apps/train_config.h"
#include "cli_runner.h"
#include "example_spec.h"
#include "temporary_folder.h"
#include "xml_fault.h"

using namespace etude;
using namespace etude::apps;
using etude::testing::example_spec;
using etude::testing::read_all;
using etude::testing::TemporaryFolder;
using etude::testing::xml_fault;

namespace {

Json evaluation_json() {
  return {{"split", "test"},
          {"n", 4},
          {"items", "4 files"},
          {"windows", 12},
          {"loss", 0.5},
          {"accuracy", 0.75},
          {"accuracy_interval", {0.3, 0.95}},
          {"majority", 0.5},
          {"majority_class", "a & b"},
          {"linear", 0.5},
          {"macro_f1", 0.7},
          {"classes", {"a & b", "<c>"}},
          {"per_class",
           {{{"class", "a & b"},
             {"precision", 1},
             {"recall", 0.5},
             {"f1", 0.66},
             {"support", 2},
             {"linear_f1", 0.31}},
            {{"class", "<c>"},
             {"precision", 0.5},
             {"recall", 1},
             {"f1", 0.66},
             {"support", 2},
             {"linear_f1", 0.5}}}},
          {"confusion", {{1, 1}, {0, 2}}}};
}

void write_example_run(const RunFolder& folder, const Json& evaluation) {
  TrainConfig config;
  config.dataset = "folder";
  config.task = "classes";
  config.data = {"/data/<odd> & \"quoted\""};
  Json part = {{"n", 4}, {"classes", {{"a & b", 2}, {"<c>", 2}}}};
  write_json(folder.run_json(),
             {{"config", to_json(config)},
              {"spec", to_json(example_spec())},
              {"environment", {{"device", "cpu"}, {"libraries", {{"gcc", "12"}}}}},
              {"data",
               {{"train", part},
                {"val", part},
                {"test", part},
                {"notes", {"mended <1>"}},
                {"warnings", Json::array()}}}});
  append_metrics(folder.metrics(), {1, 1.0, 1.1, 0.4, 0.35, 1e-3, 2.0, true});
  append_metrics(folder.metrics(), {2, 0.9, 1.2, 0.5, 0.45, 5e-4, 2.0, false});
  if (!evaluation.is_null()) write_json(folder.evaluation("test"), evaluation);
}

}  // namespace

TEST_SUITE("report") {
  TEST_CASE("the checker finds faults") {
    CHECK(xml_fault("<a x=\"1\"><b/>t &amp; u</a>").empty());
    for (const char* bad : {"<a><b></a>", "<a>", "<a x=1></a>", "<a>1 & 2</a>", "<a>1 < 2</a>"})
      CHECK(!xml_fault(bad).empty());
  }

  TEST_CASE("pages are well-formed, whole, and hide nothing odd") {
    Json regression = {{"split", "test"}, {"n", 2},       {"items", "2 songs"},
                       {"windows", 8},    {"loss", 0.02}, {"scale", {1, 9}}};
    for (const char* metric : {"r2", "rmse", "pearson", "ccc"})
      regression[metric] = {{"valence", 0.25}, {"arousal", 0.5}};
    regression["mean_predictor"] = {{"rmse", {{"valence", 1.1}, {"arousal", 1.3}}}};
    regression["list"] = {{"deam/2", 5.0, 6.0, 5.5, 5.9}, {"<odd> & id", 3.0, 2.0, 20.0, -1.0}};
    for (const Json& evaluation : {Json(), evaluation_json(), regression}) {
      const TemporaryFolder temporary;
      const RunFolder folder(temporary.path());
      write_example_run(folder, evaluation);
      write_report(folder);
      const std::string html = read_all(folder.report());
      CHECK(xml_fault(html) == "");
      CHECK(html.find("<script") == std::string::npos);
      CHECK(html.find("src=") == std::string::npos);  // nothing is loaded from elsewhere
      CHECK(html.find("nan") == std::string::npos);
      CHECK(html.find("<odd>") == std::string::npos);
      if (evaluation.contains("accuracy")) {
        CHECK(html.find("75.0 %") != std::string::npos);
        CHECK(html.find("0.310") != std::string::npos);  // of the linear floor
        CHECK(html.find("0.667") != std::string::npos);  // always one class, half of the songs
      }
      if (evaluation.contains("r2")) CHECK(html.find("1 to 9") != std::string::npos);
    }
  }

  TEST_CASE("a cross-validation's page") {
    const TemporaryFolder folder;
    const Json fold = {{"name", "fold-1"}, {"accuracy", 0.5}, {"n", 10}};
    write_cv_report(folder.path(), {{"mean", {{"accuracy", 0.5}}},
                                    {"deviation", {{"accuracy", 0.0}}},
                                    {"folds", {fold, fold}}});
    const std::string html = read_all(folder / "report.html");
    CHECK(xml_fault(html) == "");
    CHECK(html.find("fold-1/report.html") != std::string::npos);
  }

  TEST_CASE("ticks are round and inside") {
    CHECK(nice_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.2 * 3, 0.8, 1.0});
    for (const auto& [low, high] : {std::pair{-3.0, 12.0}, {0.001, 0.0013}, {1e6, 3e6}}) {
      const auto ticks = nice_ticks(low, high, 5);
      CHECK(ticks.size() >= 2);
      CHECK(ticks.size() <= 8);
      CHECK(ticks.front() >= low - 1e-9);
      CHECK(ticks.back() <= high + 1e-9 * high);
    }
    CHECK(nice_ticks(2, 2, 5) == std::vector<double>{2});
  }

  TEST_CASE("charts of one epoch, of gaps and of nothing") {
    const double gap = std::numeric_limits<double>::quiet_NaN();
    LineChart chart{"Loss", "epoch", {{"a", {1}, {0.5}, 0}}, {}, "", {}, "", false};
    CHECK(line_chart_svg(chart).find("<circle") != std::string::npos);
    chart.series = {{"a", {1, 2, 3, 4, 5}, {1, 2, gap, 3, 4}, 0}};
    const std::string svg = line_chart_svg(chart);
    CHECK(svg.find("<polyline") != svg.rfind("<polyline"));  // two pieces
    CHECK(svg.find("nan") == std::string::npos);
    chart.series = {{"a", {1}, {gap}, 0}};
    CHECK(line_chart_svg(chart).find("no data") != std::string::npos);
    CHECK(xml_fault(line_chart_svg(chart)) == "");
  }
}
