#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/svg.h"
#include "bench/report.h"

namespace etude::bench {
namespace {

constexpr double kWidth = 760, kHeight = 400, kLeft = 56, kRight = 16, kTop = 20, kBottom = 44;

// log10 to pixels
struct Axis {
  double low, high, from, to;
  double operator()(double v) const {
    return from +
           (std::log10(v) - std::log10(low)) / (std::log10(high) - std::log10(low)) * (to - from);
  }
};

double power_below(double v) { return std::pow(10, std::floor(std::log10(v))); }
double power_above(double v) { return std::pow(10, std::ceil(std::log10(v))); }

bool drawn(const Result& r) {
  return !r.seconds.empty() && r.flops > 0 && r.bytes > 0 && r.machine.flops > 0 &&
         r.cache == "cold";
}

constexpr const char* kStyle =
    "<style>svg{background:#fff} text{font:11px sans-serif;fill:#555} .grid{stroke:#e3e6e9} "
    ".roof{stroke:#1d2329;stroke-width:1.5;fill:none} .p0{fill:#2563c9} .p1{fill:#d0620b} "
    ".p2{fill:#2f8f4e} .p3{fill:#8a4fbf} .point{opacity:.8}</style>\n";

}  // namespace

std::string roofline_svg(const std::vector<Result>& results, bool standalone) {
  std::vector<const Result*> points;
  std::vector<Machine> roofs;
  std::vector<std::string> labels, names;
  for (const Result& r : results) {
    if (!drawn(r)) continue;
    points.push_back(&r);
    if (std::find(names.begin(), names.end(), r.provider) == names.end())
      names.push_back(r.provider);
    const std::string label =
        r.gpu ? "GPU" : fmt::format("{} thread{}", r.threads, r.threads == 1 ? "" : "s");
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) {
      labels.push_back(label);
      roofs.push_back(r.machine);
    }
  }
  if (points.empty()) return {};
  double x_low = 0.1, x_high = 1000, y_low = 1e9, y_high = 1e9;
  for (const Result* r : points) {
    x_low = std::min(x_low, r->intensity());
    x_high = std::max(x_high, r->intensity());
    y_low = std::min(y_low, r->rate(r->flops));
    y_high = std::max({y_high, r->rate(r->flops), r->machine.flops});
  }
  const Axis x{power_below(x_low), power_above(x_high), kLeft, kWidth - kRight};
  const Axis y{power_below(y_low), power_above(y_high), kHeight - kBottom, kTop};
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" "
      "aria-label=\"roofline\"{2}>\n",
      kWidth, kHeight,
      standalone ? fmt::format(" width=\"{}\" height=\"{}\"", kWidth, kHeight) : "");
  if (standalone) svg += kStyle;
  const auto text = [&](double at_x, double at_y, const char* anchor, const std::string& words) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", at_x, at_y,
                       anchor, apps::escape(words));
  };
  const auto line = [&](const char* css, double x1, double y1, double x2, double y2) {
    svg += fmt::format(
        "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", css, x1,
        y1, x2, y2);
  };
  for (double v = x.low; v <= x.high * 1.001; v *= 10) {
    line("grid", x(v), y.from, x(v), y.to);
    text(x(v), y.from + 15, "middle", fmt::format("{:g}", v));
  }
  for (double v = y.low; v <= y.high * 1.001; v *= 10) {
    line("grid", x.from, y(v), x.to, y(v));
    text(kLeft - 6, y(v) + 4, "end", fmt::format("{:g}", 1e-9 * v));
  }
  text((x.from + x.to) / 2, kHeight - 8, "middle", "flop per byte, algorithmic");
  text(4, kTop - 7, "start", "GFLOP/s");
  for (std::size_t i = 0; i < roofs.size(); ++i) {
    const Machine& m = roofs[i];
    const double ridge = m.flops / m.bytes_per_second;
    const double first = std::max(x.low, y.low / m.bytes_per_second);
    svg += fmt::format(
        "<polyline class=\"roof\" points=\"{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\"/>\n",
        x(first), y(first * m.bytes_per_second), x(ridge), y(m.flops), x.to, y(m.flops));
    text(x.to - 4, y(m.flops) - 5, "end",
         fmt::format("{}: {:.0f} GFLOP/s, {:.0f} GB/s", labels[i], 1e-9 * m.flops,
                     1e-9 * m.bytes_per_second));
  }
  for (const Result* r : points) {
    const auto colour = std::find(names.begin(), names.end(), r->provider) - names.begin();
    svg += fmt::format(
        "<circle class=\"point p{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" "
        "r=\"{}\"><title>{}</title></circle>\n",
        colour % 4, x(r->intensity()), y(r->rate(r->flops)),
        r->provider.starts_with("etude") ? 4 : 3,
        apps::escape(
            fmt::format("{}/{}/{} {}, {} threads: {:.1f} GFLOP/s, {:.0f} % of speed of light",
                        r->suite, r->name, r->kernel, r->provider, r->threads,
                        1e-9 * r->rate(r->flops), 100 * r->speed_of_light())));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double at = kLeft + 14 + 110.0 * static_cast<double>(i);
    svg += fmt::format("<circle class=\"point p{}\" cx=\"{:.0f}\" cy=\"{:.0f}\" r=\"4\"/>\n", i % 4,
                       at, kTop + 12.0);
    text(at + 8, kTop + 16, "start", names[i]);
  }
  return svg + "</svg>\n";
}

}  // namespace etude::bench
