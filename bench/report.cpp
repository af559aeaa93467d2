#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report_page.h"
#include "apps/svg.h"
#include "bench/scaling.h"

namespace etude::bench {
namespace {

using apps::escape;
using Json = nlohmann::ordered_json;

std::string section(const std::string& title, const std::string& lead, const std::string& content) {
  return fmt::format("<section>\n<h2>{}</h2>\n<p class=\"lead\">{}</p>\n{}</section>\n",
                     escape(title), escape(lead), content);
}

std::string card(const std::string& content) {
  return "<div class=\"card\">\n" + content + "</div>\n";
}

using Cells = std::vector<std::string>;

std::string table(const Cells& head, const std::vector<Cells>& rows) {
  std::string out = "<table>\n<tr>";
  for (std::size_t c = 0; c < head.size(); ++c)
    out += fmt::format("<th{}>{}</th>", c > 1 ? " class=\"n\"" : "", escape(head[c]));
  out += "</tr>\n";
  for (const Cells& row : rows) {
    out += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      out += fmt::format("<td{}>{}</td>", c > 1 ? " class=\"n\"" : "", escape(row[c]));
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string number(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "";
}

bool scaling(const Result& r) { return r.suite == "scaling"; }

std::string kernel_rows(const std::vector<Result>& results) {
  std::vector<Cells> rows;
  for (const Result& r : results) {
    if (scaling(r) || r.items > 0 || r.counted) continue;
    Cells row = {r.suite + "/" + r.name + "/" + r.kernel, r.provider};
    if (r.failure.empty()) {
      const bool bounded = r.least_seconds() > 0;
      row.insert(row.end(),
                 {std::to_string(r.threads), r.cache, duration(r.median()), duration(r.quantile(0)),
                  duration(r.quantile(0.95)), duration(quantile(r.processor, 0.5)),
                  number(r.flops > 0 ? 1e-9 * r.rate(r.flops) : kUnknown, 1),
                  number(r.bytes > 0 ? 1e-9 * r.rate(r.bytes) : kUnknown, 1), r.bound(),
                  number(bounded ? 100 * r.speed_of_light() : kUnknown, 0), number(r.versus, 2),
                  std::isfinite(r.error) ? fmt::format("{:.0e}", r.error) : "",
                  !r.repeats   ? ""
                  : *r.repeats ? "same"
                               : "vary"});
    } else {
      row.push_back(r.failure);
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return {};
  return section(
      "Kernels",
      "%SOL: percent of the time that the measured peaks allow. vs best: the time of the fastest "
      "other "
      "provider over this row's. error: largest difference from the reference back end over its "
      "largest number.",
      card(table({"row", "provider", "threads", "cache", "median", "min", "p95", "cpu", "GFLOP/s",
                  "GB/s", "bound", "%SOL", "vs best", "error", "bits"},
                 rows)));
}

std::string work_rows(const std::vector<Result>& results) {
  std::vector<Cells> rows;
  for (const Result& r : results)
    if (r.items > 0 && !scaling(r))
      rows.push_back(
          {r.suite + "/" + r.name + "/" + r.kernel, r.provider, std::to_string(r.threads),
           r.failure.empty() ? duration(r.median()) : r.failure,
           r.failure.empty() ? duration(r.quantile(0.95)) : "",
           r.failure.empty() ? fmt::format("{:.4g} {}/s", r.rate(r.items), r.unit) : "",
           number(r.failure.empty() && r.flops > 0 ? 1e-9 * r.rate(r.flops) : kUnknown, 1)});
  if (rows.empty()) return {};
  return section(
      "Models and pipeline", "Whole pieces of work, through the engine.",
      card(table({"row", "provider", "threads", "median", "p95", "rate", "GFLOP/s"}, rows)));
}

// A chart for each quantity that the suite "scaling" varies, with a dashed line for each curve: the
// cost at the largest size, shared out evenly.
std::string curves(const std::vector<Result>& results) {
  const std::vector<Sweep> all = sweeps(results);
  if (all.empty()) return {};
  std::vector<apps::LineChart> charts;
  std::vector<Cells> rows;
  for (const Sweep& sweep : all) {
    const std::string title = sweep.kernel + ", ms";
    auto chart = std::find_if(charts.begin(), charts.end(), [&](const apps::LineChart& c) {
      return c.x_label.starts_with(sweep.quantity + ":") && c.title == title;
    });
    if (chart == charts.end()) {
      charts.push_back({title, sweep.quantity + ":", {}, {}, {}, {}, {}, true});
      chart = charts.end() - 1;
    }
    chart->x_label += (chart->series.empty() ? " p " : ", ") + number(sweep.exponent(), 2);
    const int colour = static_cast<int>(chart->series.size() / 2 % apps::curve_colours);
    apps::Series measured{
        fmt::format("{}{} thread{}", sweep.provider == "etude:cpu" ? "" : sweep.provider + ", ",
                    sweep.threads, sweep.threads == 1 ? "" : "s"),
        sweep.x,
        {},
        colour};
    for (const double seconds : sweep.seconds) measured.y.push_back(1e3 * seconds);
    const auto largest = static_cast<std::size_t>(std::max_element(sweep.x.begin(), sweep.x.end()) -
                                                  sweep.x.begin());
    chart->series.push_back(
        {"linear", {0, sweep.x[largest]}, {0, measured.y[largest]}, colour, true});
    chart->series.push_back(std::move(measured));
    rows.push_back({sweep.quantity, sweep.kernel, sweep.provider, std::to_string(sweep.threads),
                    sweep.clock(), number(sweep.exponent(), 2), number(sweep.flops_exponent(), 2),
                    number(sweep.unit_cost(), 2)});
  }
  std::string cards;
  for (const apps::LineChart& chart : charts) cards += card(apps::line_chart_svg(chart));
  return section(
      "Cost against batch, clip length and channels",
      "time ~ size^p, by least squares of the logarithms: p = 1 is linear, twice the work takes "
      "twice the time. Dashed: the line through the origin and the largest size. Convolutions "
      "between hidden channels grow with their square, and p of the FLOPs says what to expect. "
      "unit: the time for one clip, frame ... at the largest size over that at the smallest. "
      "With one thread it is processor time, which other work on the machine disturbs least.",
      "<div class=\"grid three\">\n" + cards + "</div>\n" +
          card(table(
              {"quantity", "kernel", "provider", "threads", "clock", "p", "p of FLOPs", "unit"},
              rows)));
}

std::string thread_rows(const std::vector<Result>& results) {
  std::vector<Cells> rows;
  for (const ThreadScaling& r : thread_scaling(results))
    rows.push_back({r.name, r.provider, std::to_string(r.threads), r.cache, duration(r.one),
                    duration(r.many), number(r.ratio, 2), number(r.best_ratio, 2), r.bound,
                    number(100 * r.flops, 0), number(100 * r.bandwidth, 0), r.wanted(),
                    !*r.wanted() ? ""
                    : r.met()    ? "yes"
                                 : "no"});
  if (rows.empty()) return {};
  return section("Threads against one thread",
                 "ratio: the time with one thread over that with several, of the medians and of "
                 "the best calls. %FLOPs, %bytes: of the peaks measured with that many threads.",
                 card(table({"row", "provider", "threads", "cache", "one", "many", "ratio", "best",
                             "bound", "%FLOPs", "%bytes", "wanted", "met"},
                            rows)));
}

std::string counted_rows(const std::vector<Result>& results) {
  std::vector<Cells> rows;
  for (const Result& r : results)
    if (r.counted)
      rows.push_back({r.suite + "/" + r.name + "/" + r.kernel, r.counted->kernel,
                      number(r.counted->traffic(r.bytes), 2), number(r.counted->loads(), 2),
                      number(r.counted->waves(), 2), number(r.counted->lanes, 1)});
  if (rows.empty()) return {};
  return section(
      "CUDA kernels on the emulator",
      "Counts, not times. traffic: distinct sectors over the algorithm's bytes; sectors: "
      "fetched by global loads over what their bytes fill; wavefronts: passes over shared "
      "memory over those without conflicts; lanes: active ones, of 32.",
      card(table({"row", "kernel", "traffic", "sectors", "wavefronts", "lanes"}, rows)));
}

std::string modelled_rows(const std::vector<ModelledRow>& modelled) {
  if (modelled.empty()) return {};
  Cells head = {"row", "kernel"};
  for (const Gpu& gpu : gpus()) head.push_back(gpu.name);
  std::vector<Cells> rows;
  for (const ModelledRow& m : modelled) {
    Cells row = {m.name, m.kernel.empty() ? "not counted: FLOPs and bytes alone" : m.kernel};
    for (const ModelTime& t : m.gpu)
      row.push_back(fmt::format("{} {}", duration(t.seconds), t.bound));
    rows.push_back(std::move(row));
  }
  return section("Modelled on GPUs, not measured",
                 "From data-sheet peaks, the compiled kernels' instruction mix and the emulator's "
                 "counts. It ranks variants; it predicts nothing.",
                 card(table(head, rows)));
}

std::string context_list(const Json& context) {
  std::vector<Cells> rows;
  for (const auto& [key, value] : context.items()) {
    if (!value.is_array()) {
      rows.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
      continue;
    }
    for (const Json& line : value) rows.push_back({key, line.get<std::string>()});
  }
  return section("Machine, versions, what was skipped", "", card(table({"", ""}, rows)));
}

constexpr const char* kStyle = R"css(
.roof { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.point.p0 { fill: var(--c0); } .point.p1 { fill: var(--c1); } .point.p2 { fill: #2f8f4e; }
.point.p3 { fill: #8a4fbf; } .point { opacity: .85; } td, th { white-space: nowrap; }
)css";

}  // namespace

std::string modelled_table(const std::vector<ModelledRow>& rows) {
  if (rows.empty()) return {};
  std::string text = fmt::format(
      "\nmodelled, not measured (microseconds; it ranks, it predicts "
      "nothing)\n{:<56}",
      "row");
  for (const Gpu& gpu : gpus()) text += fmt::format(" {:>10}", gpu.name);
  text += "  kernel\n";
  for (const ModelledRow& row : rows) {
    text += fmt::format("{:<56}", row.name);
    for (const ModelTime& t : row.gpu)
      text += fmt::format(" {:>8.1f} {}", 1e6 * t.seconds, t.bound[0]);
    text += "  " + (row.kernel.empty() ? "not counted: FLOPs and bytes alone" : row.kernel) + "\n";
  }
  return text + "c, m, s: bound by compute, memory, shared memory\n";
}

std::string report_html(const std::vector<Result>& results,
                        const std::vector<ModelledRow>& modelled, const Json& context) {
  std::string body;
  const std::string roofline = roofline_svg(results, false);
  if (!roofline.empty())
    body +=
        section("Roofline",
                "Rows with cold caches under the roofs that were measured on this machine before "
                "them. Hover for names.",
                card(roofline));
  body += work_rows(results) + curves(results) + thread_rows(results) + kernel_rows(results) +
          counted_rows(results) + modelled_rows(modelled) + context_list(context);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>etude-bench</title>\n<style>{}{}</style>\n</head>\n<body>\n<main>\n"
      "<header><h1>etude-bench</h1><p>{}</p></header>\n{}</main>\n</body>\n</html>\n",
      apps::report_style(), kStyle, escape(context.value("processor", "")), body);
}

}  // namespace etude::bench
