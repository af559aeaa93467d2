// The rows of the benchmark. Each register_* adds its rows to Google Benchmark; a row reports
// GFLOP/s, or GB/s where it is bound by memory, and its share of the peak that machine.h measured.
#pragma once

#include <functional>
#include <string>

#include "bench/machine.h"
#include "engine/tensor.h"

namespace etude::bench {

// A row named `name` that times body() and counts `flops` and `bytes` a call; the larger share of
// the two peaks is shown as "%peak". `prepare` makes the body, so that a row's tensors live only
// while it runs.
struct Row {
  std::string name;
  double flops = 0;
  double bytes = 0;
  std::function<std::function<void()>()> prepare;
};
void register_row(const Machine& machine, Row row);

// A tensor of reproducible normal numbers.
Tensor random_tensor(Shape shape);

void register_conv_rows(const Machine& machine);
void register_layer_rows(const Machine& machine);
void register_front_end_rows(const Machine& machine);
void register_model_rows(const Machine& machine);
void register_simt_rows(const Machine& machine);  // where the build has the emulator
void register_case_rows(const Machine& machine);  // where the build has the tests

}  // namespace etude::bench
