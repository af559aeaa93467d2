// Losses of a regression of valence and arousal: columns alternate between the two, valence first.
#pragma once

#include "data/loader.h"
#include "engine/ops.h"

namespace etude::apps {

// 1 - the mean of both axes' concordance correlation (metrics.h) over the batch -> scalar.
// x, target [N, 2 steps]; mask like them (1: counts, 0: does not), or undefined: all count.
// Error for fewer than two numbers an axis.
//
// CCC is computed on the host, in double: the batch has a few hundred numbers, and the quotient of
// sums has no kernel. On a device that has memory of its own each step waits for its outputs.
Tensor ccc_loss(const Tensor& x, const Tensor& target, const Tensor& mask = {});

// Mean of (x - target)^2 over the numbers that the mask keeps -> scalar. `target` is 0 where the
// mask is, `count` how many numbers it keeps.
Tensor masked_mse_loss(const Tensor& x, const Tensor& target, const Tensor& mask, int count);

// The loss of --loss NAME (mse, ccc) for a batch of a regression, over time or not.
Tensor regression_loss(const std::string& name, const Tensor& outputs, const data::Batch& batch);

}  // namespace etude::apps
