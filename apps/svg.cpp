#include "apps/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace etude::apps {

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::vector<double> nice_ticks(double low, double high, int count) {
  if (!(high > low)) return {low};
  const double raw = (high - low) / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double ratio = raw / power;
  const double step = power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
  std::vector<double> ticks;
  const auto first = static_cast<long>(std::ceil(low / step - 1e-9));
  const auto last = static_cast<long>(std::floor(high / step + 1e-9));
  for (long i = first; i <= last; ++i) ticks.push_back(static_cast<double>(i) * step);
  return ticks;
}

namespace {

// Text is cut to what fits; the full name is in the tooltip.
std::string shortened(const std::string& text, std::size_t length) {
  if (text.size() <= length) return text;
  std::size_t end = length - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole UTF-8
  return text.substr(0, end) + "\xE2\x80\xA6";
}

std::string open_svg(double width, double height, const std::string& title) {
  return fmt::format(
      "<svg viewBox=\"0 0 {0:.0f} {1:.0f}\" style=\"max-width:{2:.0f}px\" role=\"img\" "
      "aria-label=\"{3}\" xmlns=\"http://www.w3.org/2000/svg\">\n",
      width, height, 1.25 * width, escape(title));
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& css = "tick") {
  return fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                     css, x, y, anchor, escape(text));
}

std::string line_at(double x1, double y1, double x2, double y2, const std::string& css) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", css, x1, y1,
      x2, y2);
}

// A linear map from data to pixels.
struct Map {
  double low, high, from, to;
  double operator()(double v) const {
    return high > low ? from + (v - low) / (high - low) * (to - from) : (from + to) / 2;
  }
};

std::string polyline(const Series& s, const Map& x, const Map& y) {
  std::string out, points;
  int in_run = 0;
  const auto flush = [&] {
    if (in_run == 1)  // a single epoch is a dot, not nothing
      out += fmt::format("<circle class=\"dot c{}\" cx=\"{}\" cy=\"{}\" r=\"3\"/>\n", s.colour,
                         points.substr(0, points.find(',')),
                         points.substr(points.find(',') + 1, points.size() - points.find(',') - 2));
    else if (in_run > 1)
      out += fmt::format("<polyline class=\"line c{}{}\" points=\"{}\"/>\n", s.colour,
                         s.dashed ? " dashed" : "", points);
    points.clear();
    in_run = 0;
  };
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    if (!std::isfinite(s.y[i])) {
      flush();
      continue;
    }
    points += fmt::format("{:.1f},{:.1f} ", x(s.x[i]), y(s.y[i]));
    ++in_run;
  }
  flush();
  return out;
}

// Names and strokes on the line of the title, from `at` to the left.
std::string legend(const std::vector<Series>& series, double at) {
  std::string out;
  for (auto s = series.rbegin(); s != series.rend(); ++s) {
    if (s->dashed) continue;
    out += text_at(at, 18, "end", s->name, "legend");
    at -= 6.3 * static_cast<double>(s->name.size()) + 5;
    out += line_at(at - 16, 14, at, 14, fmt::format("line c{}", s->colour));
    at -= 26;
  }
  return out;
}

}  // namespace

std::string line_chart_svg(const LineChart& chart) {
  const double width = 370, height = 240, left = 48, right = 12, top = 34, bottom = 40;
  const double inf = std::numeric_limits<double>::infinity();
  double x_low = inf, x_high = -inf, y_low = inf, y_high = -inf;
  for (const Series& s : chart.series) {
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!std::isfinite(s.y[i])) continue;
      x_low = std::min(x_low, s.x[i]), x_high = std::max(x_high, s.x[i]);
      y_low = std::min(y_low, s.y[i]), y_high = std::max(y_high, s.y[i]);
    }
  }
  std::string out = open_svg(width, height, chart.title);
  out += text_at(left, 18, "start", chart.title, "title");
  if (!(x_high >= x_low))
    return out + text_at(width / 2, height / 2, "middle", "no data") + "</svg>\n";
  if (chart.level) y_low = std::min(y_low, *chart.level), y_high = std::max(y_high, *chart.level);
  if (chart.from_zero) y_low = std::min(0.0, y_low);
  const double margin =
      y_high > y_low ? 0.05 * (y_high - y_low) : std::max(1e-6, 0.1 * std::abs(y_high));
  y_high += margin;
  if (!(chart.from_zero && y_low == 0)) y_low -= margin;
  const Map x{x_low, x_high, left, width - right}, y{y_low, y_high, height - bottom, top};

  for (double tick : nice_ticks(y_low, y_high, 5)) {
    out += line_at(left, y(tick), width - right, y(tick), "grid");
    out += text_at(left - 6, y(tick) + 4, "end",
                   fmt::format("{:.3g}", std::abs(tick) < 1e-12 ? 0 : tick));
  }
  for (double tick : nice_ticks(x_low, x_high, 6))
    if (tick == std::floor(tick))
      out += text_at(x(tick), height - bottom + 16, "middle", fmt::format("{:g}", tick));
  out += line_at(left, height - bottom, width - right, height - bottom, "axis");
  out += text_at((left + width - right) / 2, height - 6, "middle", chart.x_label);
  if (chart.level) {
    out += line_at(left, y(*chart.level), width - right, y(*chart.level), "mark");
    out += text_at(left + 2, y(*chart.level) - 4, "start", chart.level_label);
  }
  if (chart.mark_x) {
    out += line_at(x(*chart.mark_x), top, x(*chart.mark_x), height - bottom, "mark");
    const bool on_left = x(*chart.mark_x) > (left + width) / 2;
    out += text_at(x(*chart.mark_x) + (on_left ? -4 : 4), top + 10, on_left ? "end" : "start",
                   chart.mark_label);
  }
  for (const Series& s : chart.series) out += polyline(s, x, y);
  if (chart.series.size() > 1) out += legend(chart.series, width - right);
  return out + "</svg>\n";
}

std::string timeline_svg(const Timeline& t) {
  const double width = 940, left = 48, right = 12, top = 30, wave = 110, gap = 16, plot = 190;
  const double height = top + wave + gap + plot + 40, bottom = height - 40;
  const Map x{0, t.seconds > 0 ? t.seconds : 1, left, width - right};
  std::string out = open_svg(width, height, t.title);
  out += text_at(left, 18, "start", t.title, "title");
  // The outline as one polygon: along the maxima, back along the minima.
  const Map level{-1, 1, top + wave, top};
  const std::size_t n = std::min(t.low.size(), t.high.size());
  std::string points;
  const auto point = [&](std::size_t i, float v) {
    const double at = t.seconds * (static_cast<double>(i) + 0.5) / static_cast<double>(n);
    points +=
        fmt::format("{:.1f},{:.1f} ", x(at), level(std::clamp(static_cast<double>(v), -1., 1.)));
  };
  for (std::size_t i = 0; i < n; ++i) point(i, t.high[i]);
  for (std::size_t i = n; i-- > 0;) point(i, t.low[i]);
  if (n > 0) out += fmt::format("<polygon class=\"wave\" points=\"{}\"/>\n", points);

  const Map y{t.y_low, t.y_high, bottom, top + wave + gap};
  for (double tick : nice_ticks(t.y_low, t.y_high, 5)) {
    out += line_at(left, y(tick), width - right, y(tick), "grid");
    out += text_at(left - 6, y(tick) + 4, "end", fmt::format("{:.3g}", tick));
  }
  for (double tick : nice_ticks(0, t.seconds, 10))
    out += text_at(x(tick), bottom + 16, "middle", fmt::format("{:g}", tick));
  out += line_at(left, bottom, width - right, bottom, "axis");
  out += text_at((left + width - right) / 2, height - 6, "middle", "seconds");
  for (const Series& s : t.curves) out += polyline(s, x, y);
  return out + legend(t.curves, width - right) + "</svg>\n";
}

std::string confusion_svg(const std::vector<std::vector<int>>& confusion,
                          const std::vector<std::string>& names) {
  const auto n = static_cast<double>(names.size());
  const double cell = n <= 5 ? 70 : n <= 10 ? 52 : 38;
  std::size_t longest = 4;
  for (const auto& name : names)
    longest = std::max(longest, std::min<std::size_t>(name.size(), 22));
  const double left = 34 + 7.2 * static_cast<double>(longest), top = 10, slant = n > 5 ? 0.72 : 0;
  const double below = slant > 0 ? 30 + 5.4 * static_cast<double>(longest) : 44;
  const double width = left + n * cell + 14, height = top + n * cell + below + 16;
  std::string out = open_svg(width, height, "confusion matrix");
  for (std::size_t r = 0; r < names.size(); ++r) {
    double total = 0;
    for (int count : confusion[r]) total += count;
    const double y = top + static_cast<double>(r) * cell;
    out += text_at(left - 8, y + cell / 2 + 4, "end", shortened(names[r], 22), "label");
    for (std::size_t c = 0; c < names.size(); ++c) {
      const double x = left + static_cast<double>(c) * cell;
      const double part = total > 0 ? confusion[r][c] / total : 0;
      const char* ink = part > 0.5 ? "count on" : "count";
      out += fmt::format(
          "<g><title>{} heard as {}: {} of {:.0f} ({:.1f} %)</title><rect class=\"cell{}\" "
          "x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
          "fill-opacity=\"{:.3f}\"/>\n",
          escape(names[r]), escape(names[c]), confusion[r][c], total, 100 * part,
          r == c ? " diagonal" : "", x + 1, y + 1, cell - 2, cell - 2, 0.04 + 0.92 * part);
      if (confusion[r][c] > 0 || r == c) {
        const bool two_lines = cell >= 50;
        out += text_at(x + cell / 2, y + cell / 2 + (two_lines ? -1 : 4), "middle",
                       std::to_string(confusion[r][c]), ink);
        if (two_lines)
          out += text_at(x + cell / 2, y + cell / 2 + 14, "middle",
                         fmt::format("{:.0f} %", 100 * part), part > 0.5 ? "share on" : "share");
      }
      out += "</g>\n";
    }
  }
  for (std::size_t c = 0; c < names.size(); ++c) {
    const double x = left + (static_cast<double>(c) + 0.5) * cell, y = top + n * cell + 18;
    if (slant > 0)
      out += fmt::format(
          "<text class=\"label\" x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"end\" "
          "transform=\"rotate(-45 {0:.1f} {1:.1f})\">{2}</text>\n",
          x + 4, y - 2, escape(shortened(names[c], 22)));
    else
      out += text_at(x, y, "middle", shortened(names[c], 10), "label");
  }
  out += text_at(left + n * cell / 2, height - 6, "middle", "predicted");
  out += fmt::format(
      "<text class=\"tick\" x=\"12\" y=\"{0:.1f}\" text-anchor=\"middle\" "
      "transform=\"rotate(-90 12 {0:.1f})\">true</text>\n",
      top + n * cell / 2);
  return out + "</svg>\n";
}

std::string scatter_svg(const Scatter& s) {
  const double size = 360, left = 48, right = 14, top = 34, bottom = 44;
  const Map x{s.low, s.high, left, size - right}, y{s.low, s.high, size - bottom, top};
  std::string out = open_svg(size, size, s.title);
  out += text_at(left, 18, "start", s.title, "title");
  for (double tick : nice_ticks(s.low, s.high, 5)) {
    out += line_at(left, y(tick), size - right, y(tick), "grid");
    out += line_at(x(tick), top, x(tick), size - bottom, "grid");
    out += text_at(left - 6, y(tick) + 4, "end", fmt::format("{:.3g}", tick));
    out += text_at(x(tick), size - bottom + 16, "middle", fmt::format("{:.3g}", tick));
  }
  if (s.diagonal) out += line_at(x(s.low), y(s.low), x(s.high), y(s.high), "mark");
  if (s.cross) {
    const double middle = (s.low + s.high) / 2;
    out += line_at(x(middle), top, x(middle), size - bottom, "axis");
    out += line_at(left, y(middle), size - right, y(middle), "axis");
  }
  const auto draw = [&](const std::vector<ScatterPoint>& points, const char* css) {
    for (const ScatterPoint& p : points) {
      if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
      out += fmt::format(
          "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.2\"><title>{}</title></circle>\n",
          css, x(std::clamp(p.x, s.low, s.high)), y(std::clamp(p.y, s.low, s.high)),
          escape(p.label));
    }
  };
  draw(s.others, "hollow c1");
  draw(s.points, "point c0");
  double at = size - right;
  if (!s.others.empty()) {
    out += text_at(at, 18, "end", s.others_name, "legend");
    at -= 6.3 * static_cast<double>(s.others_name.size()) + 8;
    out += fmt::format("<circle class=\"hollow c1\" cx=\"{:.1f}\" cy=\"14\" r=\"3.2\"/>\n", at);
    at -= 14;
    out += text_at(at, 18, "end", s.points_name, "legend");
    at -= 6.3 * static_cast<double>(s.points_name.size()) + 8;
    out += fmt::format("<circle class=\"point c0\" cx=\"{:.1f}\" cy=\"14\" r=\"3.2\"/>\n", at);
  }
  out += text_at((left + size - right) / 2, size - 8, "middle", s.x_label);
  out += fmt::format(
      "<text class=\"tick\" x=\"13\" y=\"{0:.1f}\" text-anchor=\"middle\" "
      "transform=\"rotate(-90 13 {0:.1f})\">{1}</text>\n",
      (top + size - bottom) / 2, escape(s.y_label));
  return out + "</svg>\n";
}

std::string bars_svg(const std::vector<Bar>& bars) {
  const double width = 640, row = 30, left = 150, right = 64;
  const double height = row * static_cast<double>(bars.size()) + 22;
  const Map x{0, 1, left, width - right};
  std::string out = open_svg(width, height, "accuracy beside its baselines");
  for (double tick : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    out += line_at(x(tick), 0, x(tick), height - 18, "grid");
    out += text_at(x(tick), height - 4, "middle", fmt::format("{:g} %", 100 * tick));
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    const double y = row * static_cast<double>(i) + 5;
    out += text_at(left - 10, y + 14, "end", shortened(bar.name, 20), "label");
    out += fmt::format(
        "<rect class=\"bar c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
        "rx=\"2\"/>\n",
        bar.colour, left, y, std::max(1.0, x(bar.value) - left), row - 10);
    double end = x(bar.value);
    if (bar.low && bar.high) {
      const double middle = y + (row - 10) / 2;
      out += line_at(x(*bar.low), middle, x(*bar.high), middle, "whisker");
      out += line_at(x(*bar.low), middle - 4, x(*bar.low), middle + 4, "whisker");
      out += line_at(x(*bar.high), middle - 4, x(*bar.high), middle + 4, "whisker");
      end = std::max(end, x(*bar.high));
    }
    out += text_at(end + 8, y + 14, "start", fmt::format("{:.1f} %", 100 * bar.value), "value");
  }
  return out + "</svg>\n";
}

}  // namespace etude::apps
