#include "bench/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace etude::bench {
namespace {

// Slope of log y against log x by least squares.
double slope(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] > 0) || !(y[i] > 0)) return kUnknown;
    const double u = std::log(x[i]), v = std::log(y[i]);
    sx += u;
    sy += v;
    sxx += u * u;
    sxy += u * v;
  }
  const double spread = n * sxx - sx * sx;
  return x.size() > 1 && spread > 0 ? (n * sxy - sx * sy) / spread : kUnknown;
}

// The V of QUANTITY-V; NaN where the name has none.
double value_of(const std::string& name, std::size_t dash) {
  try {
    std::size_t used = 0;
    const std::string text = name.substr(dash + 1);
    const double value = std::stod(text, &used);
    return used == text.size() ? value : kUnknown;
  } catch (const std::exception&) {
    return kUnknown;
  }
}

}  // namespace

double Sweep::exponent() const { return slope(x, seconds); }
double Sweep::flops_exponent() const { return slope(x, flops); }

double Sweep::unit_cost() const {
  if (x.empty()) return kUnknown;
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const auto cost = [&](auto at) {
    return seconds[static_cast<std::size_t>(at - x.begin())] / *at;
  };
  return cost(high) / cost(low);
}

std::vector<Sweep> sweeps(const std::vector<Result>& results) {
  std::vector<Sweep> all;
  for (const Result& r : results) {
    const std::size_t dash = r.name.rfind('-');
    if (r.suite != "scaling" || r.seconds.empty() || dash == std::string::npos) continue;
    const double x = value_of(r.name, dash);
    if (std::isnan(x)) continue;
    const std::string quantity = r.name.substr(0, dash);
    auto sweep = std::find_if(all.begin(), all.end(), [&](const Sweep& s) {
      return s.kernel == r.kernel && s.quantity == quantity && s.provider == r.provider &&
             s.threads == r.threads;
    });
    if (sweep == all.end()) {
      all.push_back({r.kernel, quantity, r.provider, r.threads, {}, {}, {}});
      sweep = all.end() - 1;
    }
    const bool processor = r.threads == 1 && !r.processor.empty();
    sweep->x.push_back(x);
    sweep->seconds.push_back(processor ? quantile(r.processor, 0.5) : r.median());
    sweep->flops.push_back(r.flops);
  }
  return all;
}

const char* ThreadScaling::wanted() const {
  if (threads != 2 || cache == "warm") return "";
  return bound == "compute" ? "1.8 x" : bound == "memory" ? "90 % of the bandwidth" : "";
}

bool ThreadScaling::met() const { return bound == "memory" ? bandwidth >= 0.9 : ratio >= 1.8; }

std::vector<ThreadScaling> thread_scaling(const std::vector<Result>& results) {
  std::vector<ThreadScaling> rows;
  for (const Result& many : results) {
    if (many.threads < 2 || many.gpu || many.seconds.empty()) continue;
    const auto one = std::find_if(results.begin(), results.end(), [&](const Result& r) {
      return r.threads == 1 && !r.gpu && !r.seconds.empty() && r.suite == many.suite &&
             r.name == many.name && r.kernel == many.kernel && r.settings == many.settings &&
             r.provider == many.provider && r.cache == many.cache;
    });
    if (one == results.end()) continue;
    const auto share = [&](double amount, double peak) {
      return amount > 0 && peak > 0 ? many.rate(amount) / peak : kUnknown;
    };
    rows.push_back({many.suite + "/" + many.name + "/" + many.kernel, many.provider, many.cache,
                    many.bound(), many.threads, one->median(), many.median(),
                    one->median() / many.median(), one->quantile(0) / many.quantile(0),
                    share(many.bytes, many.machine.bytes_per_second),
                    share(many.flops, many.machine.flops)});
  }
  return rows;
}

std::string sweep_table(const std::vector<Sweep>& sweeps) {
  if (sweeps.empty()) return {};
  std::string text =
      "\ncost against size: time ~ size^p (1: linear), p of the FLOPs, and the time for a unit at "
      "the largest size over that at the smallest\n";
  for (const Sweep& s : sweeps) {
    if (s.x.size() < 2) continue;
    const auto [low, high] = std::minmax_element(s.x.begin(), s.x.end());
    const double work = s.flops_exponent();
    text += fmt::format(
        "{:<16} {:<10} {:>4g} ... {:<5g} {:<11} {} threads, {:<14}  p {:.2f}  "
        "FLOPs {}  unit {:.2f}\n",
        s.kernel, s.quantity, *low, *high, s.provider, s.threads, s.clock(), s.exponent(),
        std::isnan(work) ? "-" : fmt::format("{:.2f}", work), s.unit_cost());
  }
  return text;
}

std::string thread_table(const std::vector<ThreadScaling>& rows) {
  if (rows.empty()) return {};
  const auto percent = [](double share) {
    return std::isnan(share) ? std::string("-") : fmt::format("{:.0f}", 100 * share);
  };
  std::string text = fmt::format(
      "\nthreads against one thread\n{:<56} {:<11} {:>3} {:<4} {:>10} {:>10} {:>6} {:>6} {:<7} "
      "{:>6} {:>6}  {}\n",
      "row", "provider", "thr", "", "one", "many", "ratio", "best", "bound", "%FLOPs", "%bytes",
      "wanted");
  for (const ThreadScaling& r : rows) {
    const std::string_view wanted = r.wanted();
    text += fmt::format(
        "{:<56} {:<11} {:>3} {:<4} {:>10} {:>10} {:>6.2f} {:>6.2f} {:<7} {:>6} {:>6}  {}\n", r.name,
        r.provider, r.threads, r.cache, duration(r.one), duration(r.many), r.ratio, r.best_ratio,
        r.bound.empty() ? "-" : r.bound, percent(r.flops), percent(r.bandwidth),
        wanted.empty() ? "-" : fmt::format("{}: {}", wanted, r.met() ? "yes" : "no"));
  }
  return text;
}

}  // namespace etude::bench
