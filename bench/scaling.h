// What several rows say together: cost against size, and against threads.
#pragma once

#include <string>
#include <vector>

#include "bench/result.h"

namespace etude::bench {

// Cost against one quantity: the rows of the suite `scaling`, named QUANTITY-VALUE, of one kernel,
// provider and number of threads. With one thread it is processor time, which other work on the
// machine disturbs least, else the median of the wall clock.
struct Sweep {
  std::string kernel, quantity, provider;
  int threads = 0;
  std::vector<double> x, seconds, flops;  // flops: 0 where they are not known

  const char* clock() const { return threads == 1 ? "processor time" : "wall clock"; }
  // p of seconds ~ x^p, least squares of the logarithms: 1 is linear. NaN of fewer than two points.
  double exponent() const;
  double flops_exponent() const;  // the same of the work
  // Time for a unit of x at the largest x over that at the smallest.
  double unit_cost() const;
};
std::vector<Sweep> sweeps(const std::vector<Result>& results);

// One problem by one provider with one thread and with `threads`.
struct ThreadScaling {
  std::string name, provider, cache, bound;  // "resnet18/layer1/conv2d_forward"; "memory" ...
  int threads = 0;
  double one = 0, many = 0;          // seconds, medians
  double ratio = 0, best_ratio = 0;  // one thread / many: of the medians, of the best calls
  double bandwidth = 0, flops = 0;   // shares of the peaks measured with that many threads
  const char* wanted() const;        // for two threads; "" where nothing is
  bool met() const;
};
std::vector<ThreadScaling> thread_scaling(const std::vector<Result>& results);

// Tables of both for the terminal; "" where there is nothing to say.
std::string sweep_table(const std::vector<Sweep>& sweeps);
std::string thread_table(const std::vector<ThreadScaling>& rows);

}  // namespace etude::bench
