#include "tests/cases.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

namespace etude::test {
namespace {

// FNV-1a: the numbers of a case depend on its name alone, not on the cases before it.
std::uint64_t hash(const std::string& text) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return h;
}

std::vector<double> draw_afresh(const Input& input, std::uint64_t seed) {
  Generator generator(seed);
  const Index n = input.shape.size();
  std::vector<double> values(static_cast<std::size_t>(n));
  switch (input.fill) {
    case Fill::normal:
      for (double& v : values) v = input.a + input.b * generator.normal();
      break;
    case Fill::outlier:
      for (double& v : values) v = generator.normal();
      values.front() = input.a;
      break;
    case Fill::uniform:
      for (double& v : values) v = generator.uniform(input.a, input.b);
      break;
    case Fill::off_zero:
      for (double& v : values)
        v = generator.uniform(0.1, 1) * (generator.below(2) == 0 ? -1.0 : 1.0);
      break;
    case Fill::distinct:
      for (Index i = 0; i < n; ++i)
        values[static_cast<std::size_t>(i)] =
            2 * (static_cast<double>(i) + 0.5) / static_cast<double>(n) - 1;
      generator.shuffle(values.begin(), values.end());
      break;
    case Fill::tied:
      for (double& v : values) v = static_cast<double>(generator.below(5)) - 2;
      break;
    case Fill::labels:
      for (double& v : values)
        v = input.a + static_cast<double>(generator.below(static_cast<Index>(input.b - input.a)));
      break;
    case Fill::none:
      break;
  }
  return values;
}

// Remembered: a case runs dozens of times, and drawing costs more than most kernels.
const std::vector<double>& draw(const Input& input, std::uint64_t seed) {
  static std::map<std::uint64_t, std::vector<double>> drawn;
  const auto [entry, is_new] = drawn.try_emplace(seed);
  if (is_new) entry->second = draw_afresh(input, seed);
  return entry->second;
}

template <class T>
Tensor upload(const std::vector<double>& values, const Shape& shape, Device device) {
  return Tensor::from(std::vector<T>(values.begin(), values.end()), shape, device);
}

struct Row {
  double constant, slope;
};

// Exact ops do one IEEE operation, or none, to each element: all back ends must agree in every bit.
// The others:
const std::map<std::string, Row> rows = {
    {"fill", {0, 0}},
    {"add", {0, 0}},
    {"mul", {0, 0}},
    {"scale", {0, 0}},
    {"relu", {0, 0}},
    {"dropout", {0, 0}},         // an integer comparison and one product
    {"random_uniform", {0, 0}},  // defined bit for bit (kernels/host/random.cpp)
    {"random_normal", {0, 0}},   // likewise
    {"max_pool2d", {0, 4}},      // forward moves numbers; overlapping windows add in backward
    {"sum", {1, 2}},
    {"mean_std", {8, 2}},  // a difference of numbers of similar size, and a root
    // Float accumulation in any order. Winograd F(2x2,3x3) stays within it: its transforms only add
    // and halve. So does F(4x4,3x3) where it is chosen, because sums over many channels allow as
    // much as its transforms cost. Forced upon every shape it needs more: an output has the
    // rounding errors of its tile, whose numbers are up to 3.4 times larger than the terms of its
    // sum.
    {"conv2d", {4, 2}},
    {"conv2d by winograd4", {32, 2}},
    {"linear", {4, 2}},
    {"conv2d_relu_max_pool2d", {4, 2}},
    {"vgg_block", {8, 4}},          // two convolutions: twice that
    {"conv2d_batch_norm", {8, 2}},  // statistics and what they scale: cf. batch_norm
    // x - mean cancels where the mean is large: cases with an offset state it in `reduction`.
    {"batch_norm", {16, 2}},
    {"batch_norm_max_pool2d", {16, 2}},
    {"avg_pool2d", {2, 2}},
    {"adaptive_avg_pool2d", {2, 2}},
    // exp and log of vector libraries are good to a few ulp; the loss adds rows.
    {"softmax", {16, 1}},
    {"cross_entropy", {16, 2}},
    {"mse_loss", {4, 2}},
    {"sgd", {4, 0}},
    {"adamw", {8, 0}},  // a root and two divisions
    {"ema", {4, 0}},
    {"gradient_clip", {8, 2}},
    // An FFT's error grows with log2 n butterflies, well under sqrt(n): slope 1/2 is ample.
    {"stft", {8, 0.5}},
    {"mel_spectrogram", {16, 0.5}},
    // In dB an error is relative to the band itself, not to the strongest: a band 30 dB below the
    // mean, as noise has them, loses three more digits of its power.
    {"mel_spectrogram_db", {64, 4}},
    {"top_db", {2, 0}},
    {"standardize", {16, 2}},
    {"augment", {12, 0}},  // interpolation twice, level, noise and mixing: a rounding each step
};

}  // namespace

bool Case::differentiable() const {
  return std::any_of(inputs.begin(), inputs.end(), [](const Input& i) { return i.differentiable; });
}

double epsilon(DType dtype) { return dtype == DType::f64 ? 0x1p-53 : 0x1p-24; }

double tolerance(const std::string& op, DType dtype, double reduction) {
  const char* algorithm = std::getenv("ETUDE_CONV_CPU");
  const bool convolution = op == "conv2d" || op == "conv2d_relu_max_pool2d" ||
                           op == "conv2d_batch_norm" || op == "vgg_block";
  const bool winograd4 = convolution && algorithm && std::string(algorithm) == "winograd4";
  const auto row = rows.find(winograd4 ? "conv2d by winograd4" : op);
  check(row != rows.end(), "tolerance: no row for op '{}'", op);
  return epsilon(dtype) * (row->second.constant + row->second.slope * std::sqrt(reduction));
}

Tensors make_inputs(const Case& c, DType dtype, Device device) {
  Tensors tensors;
  for (const Input& input : c.inputs) {
    const std::vector<double>& values = draw(input, hash(c.name() + ":" + input.name));
    if (input.fill == Fill::labels) {
      tensors.push_back(upload<std::int64_t>(values, input.shape, device));
      continue;
    }
    // Rounded to float first, so that float64 sees the same problem.
    const std::vector<float> rounded(values.begin(), values.end());
    tensors.push_back(dtype == DType::f64
                          ? upload<double>({rounded.begin(), rounded.end()}, input.shape, device)
                          : Tensor::from(rounded, input.shape, device));
    if (input.differentiable) tensors.back().set_requires_grad();
  }
  return tensors;
}

std::vector<double> to_doubles(const Tensor& tensor) {
  const auto widen = [](const auto& values) {
    return std::vector<double>(values.begin(), values.end());
  };
  switch (tensor.dtype()) {
    case DType::f64:
      return tensor.to_vector<double>();
    case DType::i64:
      return widen(tensor.to_vector<std::int64_t>());
    case DType::u8:
      return widen(tensor.to_vector<std::uint8_t>());
    case DType::f32:
      break;
  }
  return widen(tensor.to_vector<float>());
}

Tensor make_output_gradient(const Case& c, std::size_t output, const Tensor& like) {
  const Input input{"dy", like.shape(), Fill::normal};
  const std::vector<double>& values = draw(input, hash(c.name() + fmt::format(":dy{}", output)));
  const std::vector<float> rounded(values.begin(), values.end());
  if (like.dtype() == DType::f32) return Tensor::from(rounded, like.shape(), like.device());
  return upload<double>({rounded.begin(), rounded.end()}, like.shape(), like.device());
}

const std::vector<Case>& all_cases() {
  static const std::vector<Case> cases = [] {
    const char* wanted = std::getenv("ETUDE_CASES");
    std::vector<Case> result;
    for (const auto& subject : {elementwise_cases, reduce_cases, conv_cases, norm_cases, pool_cases,
                                loss_cases, optimizer_cases, frontend_cases})
      for (Case& c : subject())
        if (!wanted || c.name().find(wanted) != std::string::npos) result.push_back(std::move(c));
    check(!result.empty(), "ETUDE_CASES: no case has '{}' in its name", wanted ? wanted : "");
    return result;
  }();
  return cases;
}

}  // namespace etude::test
