// The case table: one entry says everything about one problem of one operation, and the tests and
// the benchmarks read what they need from it.
//
// A case is a function of tensors on the public interface of the engine (or, for what is no op,
// such as an optimiser's step, on the kernel table), with its inputs, its cost and the length of
// its sums. From it follow, without another line: every back end and instruction set against the
// reference, gradients against finite differences, bitwise repeatability, NaN and memory checks,
// and a row of the benchmark.
//
// Adding an op means adding its cases to one of the cases_*.cpp, and its row to `tolerance`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/ops.h"

namespace etude::test {

// How the numbers of an input are drawn; the seed is the name of the case and of the input.
enum class Fill {
  normal,    // N(a, b)
  uniform,   // [a, b)
  outlier,   // N(0, 1), but the first number is a
  off_zero,  // magnitude in [0.1, 1], either sign: away from the kink of ReLU
  distinct,  // a permutation of equally spaced numbers in [-1, 1]: no ties for a maximum
  tied,      // whole numbers from -2 to 2: maxima that several elements share
  labels,    // int64 in {a, ..., b - 1}
  none,      // zeros: only the shape matters, not the numbers
};

struct Input {
  std::string name;
  Shape shape;
  Fill fill = Fill::normal;
  double a = 0, b = 1;
  bool differentiable = true;
  double reduction = 1;  // length of the longest sum behind an element of its gradient
};

// Of one forward or backward pass: useful arithmetic, and the least traffic for float32, each
// tensor moved once.
struct Cost {
  double flops = 0;
  double bytes = 0;
};

using Tensors = std::vector<Tensor>;

struct Case {
  std::string op;                    // row of the tolerance table
  std::string label;                 // the problem
  std::vector<std::string> kernels;  // the lines of kernels.def it runs, backward included
  std::vector<Input> inputs;
  // Outputs from inputs of any device and real type. It leaves the inputs alone.
  std::function<Tensors(const Tensors&)> run;
  double reduction = 1;  // length of the longest sum behind an output
  Cost forward, backward;
  bool smooth = true;  // near its inputs; else finite differences say nothing

  std::string name() const { return op + "/" + label; }
  bool differentiable() const;
};

// ---- the table, by subject (cases_<subject>.cpp) ----------------------------------------------

std::vector<Case> elementwise_cases();
std::vector<Case> reduce_cases();
std::vector<Case> conv_cases();
std::vector<Case> norm_cases();
std::vector<Case> pool_cases();
std::vector<Case> loss_cases();
std::vector<Case> optimizer_cases();
std::vector<Case> frontend_cases();

// All of them. ETUDE_CASES=text keeps those whose name contains the text.
const std::vector<Case>& all_cases();

// Cases of given shapes, for suites of other shapes than the tests'.
Case conv2d_case(const Conv2dShape& shape, bool bias, bool relu);
Case linear_case(Index n, Index c, Index k, bool bias);
Case max_pool2d_case(const Pool2dShape& shape);
Case avg_pool2d_case(const Pool2dShape& shape);
struct BatchNormVariant {
  bool training = true, relu = false, residual = false;
  double offset = 0;   // mean of x, in its deviations
  double outlier = 0;  // of conv2d_norm: the first number of x, if not 0
};
Case batch_norm_case(const Shape& x, BatchNormVariant variant);
Case cross_entropy_case(Index rows, Index classes, double smoothing, bool weights);

// ---- numbers ---------------------------------------------------------------------------------

// The inputs of a case on a device, the same numbers (rounded to `dtype`) everywhere. The
// differentiable ones require gradients.
Tensors make_inputs(const Case& c, DType dtype, Device device);
// Numbers of a floating-point tensor as double.
std::vector<double> to_doubles(const Tensor& tensor);
// An output-shaped tensor of fixed random numbers: the gradient that enters the backward pass.
Tensor make_output_gradient(const Case& c, std::size_t output, const Tensor& like);

// The largest error allowed to an op, as a fraction of the largest magnitude in the tensor:
//
//   eps (constant + slope sqrt(reduction)),  eps = 2^-24 for float32, 2^-53 for float64
//
// Rounding errors of a sum of n terms behave like a random walk: they grow with sqrt(n) times the
// partial sums, the largest of which are of the size of the largest outputs. Errors are measured
// against the largest element since an element that cancels to nearly nothing has no digits to
// keep. The rows, and why each op has its numbers, are in cases.cpp.
double epsilon(DType dtype);
double tolerance(const std::string& op, DType dtype, double reduction);

}  // namespace etude::test
