// Learning-rate schedules: the factor on the base rate as a function of the step, no state.
#pragma once

#include "kernels/shapes.h"

namespace etude {

struct Schedule {
  enum Kind { constant, step, cosine, one_cycle } kind = constant;
  Index total_steps = 1;
  Index warmup_steps = 0;        // linear from 0, for constant, step and cosine
  Index step_every = 1;          // of `step`
  double gamma = 0.1;            // of `step`
  double final_factor = 0;       // of `cosine`
  // PyTorch's OneCycleLR with cosine annealing: the base rate is the maximum.
  double pct_start = 0.3, div_factor = 25, final_div_factor = 1e4;

  // The factor for the given step, 0-based.
  double factor(Index step) const;
};

}  // namespace etude
