// Charts as inline SVG. Colours come from CSS classes and variables of the page (report_style.cpp),
// so that one picture serves light, dark and print. Every function returns a whole <svg> element.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace etude::apps {

// Text made safe for XML content and attributes.
std::string escape(const std::string& text);

// About `count` round numbers from low to high: 0, 0.2, 0.4 ...
std::vector<double> nice_ticks(double low, double high, int count);

struct Series {
  std::string name;
  std::vector<double> x, y;  // a y that is not finite leaves a gap
  int colour = 0;            // class c0, c1, ...
  bool dashed = false;       // not in the legend: the other half of a pair of curves
};
inline constexpr std::size_t curve_colours = 4;  // that report_style.cpp has for lines

struct LineChart {
  std::string title, x_label;
  std::vector<Series> series;
  std::optional<double> mark_x;  // a dashed vertical line
  std::string mark_label;
  std::optional<double> level;  // a dashed horizontal line, e.g. the majority baseline
  std::string level_label;
  bool from_zero = false;  // the y axis starts at 0
};
std::string line_chart_svg(const LineChart& chart);

// A waveform and, under it on the same time axis, curves.
struct Timeline {
  std::string title;
  double seconds = 0;            // the right end of both
  std::vector<float> low, high;  // the waveform's outline, in [-1, 1]
  std::vector<Series> curves;    // over seconds
  double y_low = 0, y_high = 1;  // of the curves
};
std::string timeline_svg(const Timeline& timeline);

// Rows are the truth; the shade is the share of the row.
std::string confusion_svg(const std::vector<std::vector<int>>& confusion,
                          const std::vector<std::string>& names);

struct ScatterPoint {
  double x = 0, y = 0;
  std::string label;  // shown on hover
};
struct Scatter {
  std::string title, x_label, y_label;
  double low = 0, high = 1;  // both axes
  bool diagonal = false;     // where prediction equals truth
  bool cross = false;        // the middle of both axes: quadrants
  std::vector<ScatterPoint> points;
  std::vector<ScatterPoint> others;  // a second kind, drawn hollow below
  std::string points_name, others_name;
};
std::string scatter_svg(const Scatter& scatter);

// Horizontal bars on 0-1 with their number: the model beside its baselines.
struct Bar {
  std::string name;
  double value = 0;
  int colour = 0;
  std::optional<double> low, high;  // an interval
};
std::string bars_svg(const std::vector<Bar>& bars);

}  // namespace etude::apps
