// Running a case of the table on one back end.
#pragma once

#include <optional>

#include "tests/cases.h"

namespace etude::test {

// A back end under test: a device, and for the CPU one of its instruction sets.
struct Target {
  std::string name;  // "cpu/avx2"
  Device device;
  std::string isa;  // empty: the device has no choice
};

// Every device of the build that can run, but the reference, with every instruction set.
// ETUDE_TEST_DEVICES=cpu,simt keeps those of these kinds.
std::vector<Target> targets();

// Selects the target's kernels while alive.
class UseTarget {
 public:
  explicit UseTarget(const Target& target);
  ~UseTarget();
  UseTarget(const UseTarget&) = delete;
  UseTarget& operator=(const UseTarget&) = delete;

 private:
  std::string previous_;
};

// Sets the number of threads while alive.
class UseThreads {
 public:
  explicit UseThreads(int n) : previous_(num_threads()) { set_num_threads(n); }
  ~UseThreads() { set_num_threads(previous_); }
  UseThreads(const UseThreads&) = delete;
  UseThreads& operator=(const UseThreads&) = delete;

 private:
  int previous_;
};

// One tensor that a case produced, on the host.
struct Numbers {
  std::string what;  // "output 0" or "gradient of w"
  bool gradient = false;
  double reduction = 1;
  std::vector<double> values;
};

// A single number to spoil, to see where it spreads to.
struct Poison {
  bool in_gradient = false;  // in the gradient that enters backward, else in an input
  std::size_t which = 0;     // output or input
  std::size_t position = 0;
};

// The outputs, and the gradients of the differentiable inputs for fixed random gradients of the
// outputs.
std::vector<Numbers> run_case(const Case& c, DType dtype, Device device,
                              std::optional<Poison> poison = {});

// Empty if `got` is `expected` within the tolerance of the case, else what is wrong. `roundings`
// adds that many epsilons: for an expectation that is not rounded to the type itself.
std::string compare(const Case& c, DType dtype, const std::vector<Numbers>& got,
                    const std::vector<Numbers>& expected, double roundings = 0);

// Empty if every bit is the same.
std::string compare_bits(const std::vector<Numbers>& got, const std::vector<Numbers>& expected);

}  // namespace etude::test
