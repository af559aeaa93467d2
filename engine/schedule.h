// Learning-rate schedules: the factor on the base rate as a function of the step, no state.
#pragma once

#include "kernels/shapes.h"

namespace etude {

struct Schedule {
  enum Kind { constant, step, cosine, one_cycle } kind = constant;
  Index total_steps = 1;
  // Linear warm-up for constant, step and cosine: factor (i + 1) / (warmup_steps + 1) in step i, so
  // that no step is wasted on a rate of zero and step `warmup_steps` is the first at full rate.
  Index warmup_steps = 0;
  Index step_every = 1;     // of `step`: gamma^floor(i / step_every), as StepLR
  double gamma = 0.1;       // of `step`
  double final_factor = 0;  // of `cosine`: reached at total_steps, as CosineAnnealingLR
  // PyTorch's OneCycleLR with cosine annealing: the base rate is the maximum.
  double pct_start = 0.3, div_factor = 25, final_div_factor = 1e4;

  // The factor for the given step, 0-based; steps past the end have the last one's.
  double factor(Index step) const;
};

}  // namespace etude
