#include "bench/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "data/csv.h"

namespace etude::bench {
namespace {

using Json = nlohmann::ordered_json;

// "-" for what is not known.
std::string number(double value, const char* format = "{:.3g}") {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "-";
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// Every column of CSV and JSON, in order.
Json columns(const Result& r) {
  Json row = {{"suite", r.suite},      {"name", r.name},         {"kernel", r.kernel},
              {"problem", r.settings}, {"provider", r.provider}, {"note", r.note},
              {"cache", r.cache},      {"threads", r.threads},   {"calls", r.seconds.size()}};
  const bool timed = !r.seconds.empty();
  const auto put = [&](const char* name, double value) { row[name] = finite(value); };
  put("median_us", timed ? 1e6 * r.median() : kUnknown);
  put("min_us", timed ? 1e6 * r.quantile(0) : kUnknown);
  put("p95_us", timed ? 1e6 * r.quantile(0.95) : kUnknown);
  put("cpu_us", 1e6 * quantile(r.processor, 0.5));
  put("gflops", timed && r.flops > 0 ? 1e-9 * r.rate(r.flops) : kUnknown);
  put("gbytes", timed && r.bytes > 0 ? 1e-9 * r.rate(r.bytes) : kUnknown);
  put("items_per_second", timed && r.items > 0 ? r.rate(r.items) : kUnknown);
  row["unit"] = r.unit;
  put("flops", r.flops);
  put("bytes", r.bytes);
  put("intensity", r.intensity());
  row["bound"] = r.bound();
  put("speed_of_light", timed && r.least_seconds() > 0 ? r.speed_of_light() : kUnknown);
  put("versus_best_other", r.versus);
  put("workspace_bytes", static_cast<double>(r.workspace));
  put("error", r.error);
  row["repeats"] = r.repeats ? Json(*r.repeats) : Json(nullptr);
  put("traffic", r.counted ? r.counted->traffic(r.bytes) : kUnknown);
  put("load_sectors", r.counted ? r.counted->loads() : kUnknown);
  put("wavefronts", r.counted ? r.counted->waves() : kUnknown);
  put("lanes", r.counted ? r.counted->lanes : kUnknown);
  row["failure"] = r.failure;
  return row;
}

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return data::csv_field(value.get<std::string>());
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.dump();
}

}  // namespace

double quantile(std::vector<double> samples, double q) {
  if (samples.empty()) return kUnknown;
  std::sort(samples.begin(), samples.end());
  const double at = q * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (at - static_cast<double>(below)) * (samples[above] - samples[below]);
}

double Result::quantile(double q) const { return bench::quantile(seconds, q); }

double Result::least_seconds() const {
  return std::max(machine.flops > 0 ? flops / machine.flops : 0,
                  machine.bytes_per_second > 0 ? bytes / machine.bytes_per_second : 0);
}

const char* Result::bound() const {
  if (bytes <= 0 || least_seconds() <= 0) return "";
  return bytes * machine.flops > flops * machine.bytes_per_second ? "memory" : "compute";
}

bool wrong(const Result& r) { return !std::isnan(r.error) && !(r.error <= kWrong); }

void compare(std::vector<Result>& results) {
  const auto group = [](const Result& r) {
    return std::tie(r.suite, r.name, r.kernel, r.settings, r.cache, r.threads, r.gpu);
  };
  for (Result& r : results) {
    r.versus = kUnknown;
    if (r.seconds.empty()) continue;
    for (const Result& other : results) {
      if (&other == &r || other.seconds.empty() || group(other) != group(r) ||
          other.provider == r.provider)
        continue;
      const double ratio = other.median() / r.median();
      r.versus = std::isnan(r.versus) ? ratio : std::min(r.versus, ratio);
    }
  }
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  if (seconds < 1e-3) return fmt::format("{:.1f} us", 1e6 * seconds);
  if (seconds < 1) return fmt::format("{:.2f} ms", 1e3 * seconds);
  return fmt::format("{:.2f} s ", seconds);
}

std::string table_header() {
  return fmt::format(
      "{:<56} {:<11} {:>3} {:<4} {:>10} {:>10} {:>10} {:>10} {:>8} {:>7} {:>7} {:<7} {:>5} "
      "{:>7} {:>8} {:<4}\n",
      "row", "provider", "thr", "", "median", "min", "p95", "cpu", "GFLOP/s", "GB/s", "flop/B",
      "bound", "%SOL", "vs best", "error", "bits");
}

std::string table_row(const Result& r) {
  std::string row =
      fmt::format("{:<56} {:<11} ", r.suite + "/" + r.name + "/" + r.kernel, r.provider);
  if (!r.failure.empty())
    return row + (r.provider == "etude:simt" ? "not counted: " : "failed: ") + r.failure + "\n";
  if (r.counted)
    return row + fmt::format(
                     "counted: {:.2f} x the bytes, {:.2f} x the sectors, {:.2f} x the "
                     "wavefronts, {:.1f} lanes; {}\n",
                     r.counted->traffic(r.bytes), r.counted->loads(), r.counted->waves(),
                     r.counted->lanes, r.note);
  row += fmt::format("{:>3} {:<4} {:>10} {:>10} {:>10} {:>10} ", r.threads, r.cache,
                     duration(r.median()), duration(r.quantile(0)), duration(r.quantile(0.95)),
                     duration(quantile(r.processor, 0.5)));
  const bool bounded = r.least_seconds() > 0;
  row += fmt::format("{:>8} {:>7} {:>7} {:<7} {:>5} {:>7} ",
                     number(r.flops > 0 ? 1e-9 * r.rate(r.flops) : kUnknown, "{:.1f}"),
                     number(r.bytes > 0 ? 1e-9 * r.rate(r.bytes) : kUnknown, "{:.1f}"),
                     number(r.bytes > 0 && r.flops > 0 ? r.intensity() : kUnknown, "{:.1f}"),
                     *r.bound() ? r.bound() : "-",
                     number(bounded ? 100 * r.speed_of_light() : kUnknown, "{:.0f}"),
                     number(r.versus, "{:.2f}"));
  row += fmt::format("{:>8} {:<4}", number(r.error, "{:.1e}"),
                     !r.repeats   ? "-"
                     : *r.repeats ? "same"
                                  : "vary");
  if (r.items > 0) row += fmt::format("  {:.4g} {}/s", r.rate(r.items), r.unit);
  if (wrong(r)) row += "  WRONG";
  if (!r.note.empty()) row += "  " + r.note;
  return row + "\n";
}

std::string to_csv(const std::vector<Result>& results) {
  std::string text;
  for (const Result& r : results) {
    const Json row = columns(r);
    if (text.empty()) {
      for (const auto& [key, value] : row.items())
        text += fmt::format("{}{}", text.empty() ? "" : ",", key);
      text += "\n";
    }
    std::string line;
    for (const auto& [key, value] : row.items())
      line += fmt::format("{}{}", key == "suite" ? "" : ",", cell(value));
    text += line + "\n";
  }
  return text;
}

Json to_json(const std::vector<Result>& results, const Json& context) {
  Json rows = Json::array();
  for (const Result& r : results) rows.push_back(columns(r));
  return {{"context", context}, {"rows", std::move(rows)}};
}

}  // namespace etude::bench
