#include "engine/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/error.h"

namespace etude {

namespace {

// Half a cosine wave from `start` (t = 0) to `end` (t = 1).
double cosine_between(double start, double end, double t) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * t));
}

// Smith & Topin, "Super-convergence", 2018, in the two-phase form of PyTorch's OneCycleLR: up until
// step pct_start total - 1 (which need not be an integer), then down until the last step.
double one_cycle_factor(const Schedule& s, double step) {
  const double initial = 1 / s.div_factor;
  const double last = initial / s.final_div_factor;
  const double top = s.pct_start * static_cast<double>(s.total_steps) - 1;
  const double end = static_cast<double>(s.total_steps) - 1;
  if (step < top) return cosine_between(initial, 1, step / top);
  if (top >= end) return 1;  // no way down: pct_start is 1
  return cosine_between(1, last, (step - top) / (end - top));
}

}  // namespace

double Schedule::factor(Index i) const {
  check(total_steps > 0, "schedule: total_steps is {}, must be positive", total_steps);
  check(i >= 0, "schedule: step is {}, must not be negative", i);
  check(warmup_steps >= 0, "schedule: warmup_steps is {}, must not be negative", warmup_steps);
  if (kind == one_cycle) {
    check(pct_start >= 0 && pct_start <= 1 && div_factor > 0 && final_div_factor > 0,
          "schedule: one-cycle needs 0 <= pct_start <= 1 and positive divisors, has {}, {}, {}",
          pct_start, div_factor, final_div_factor);
    return one_cycle_factor(*this, static_cast<double>(std::min(i, total_steps - 1)));
  }
  if (i < warmup_steps) return static_cast<double>(i + 1) / static_cast<double>(warmup_steps + 1);
  switch (kind) {
    case step:
      check(step_every > 0, "schedule: step_every is {}, must be positive", step_every);
      return std::pow(gamma, static_cast<double>(i / step_every));
    case cosine: {
      const Index length = total_steps - warmup_steps;
      if (i >= total_steps || length <= 0) return final_factor;
      return cosine_between(1, final_factor,
                            static_cast<double>(i - warmup_steps) / static_cast<double>(length));
    }
    default:
      return 1;
  }
}

}  // namespace etude
