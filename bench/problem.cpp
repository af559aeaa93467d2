#include "bench/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <sstream>

#include "engine/error.h"

namespace etude::bench {
namespace {

// A setting and its default: a number, the name of a setting before it, or that name "/2".
struct Setting {
  const char* name;
  const char* otherwise;
  bool number = true;
};

struct Kernel {
  std::vector<std::string> names;
  std::vector<Setting> settings;
  std::function<void(Problem&)> describe;  // operands and costs from the settings
};

double real(Index n) { return static_cast<double>(n); }

// The usual count for a real transform: half of 5 n log2 n.
double transform_flops(Index n) { return 2.5 * real(n) * std::log2(real(n)); }

void require(const Problem& p, bool good) {
  check(good, "{} {}: this shape has no output", p.kernel, p.settings());
}

void describe_conv2d(Problem& p) {
  const Conv2dShape s = conv2d_shape(p);
  require(p, s.n > 0 && s.c > 0 && s.k > 0 && s.r > 0 && s.s > 0 && s.stride_h > 0 &&
                 s.stride_w > 0 && s.dilation_h > 0 &&
                 s.h + 2 * s.pad_h > s.dilation_h * (s.r - 1) &&
                 s.w + 2 * s.pad_w > s.dilation_w * (s.s - 1));
  const Operand x{"x", s.n, s.h * s.w, s.c}, w{"w", s.k, s.r * s.s, s.c},
      y{"y", s.n, s.p() * s.q(), s.k};
  switch (conv2d_pass(p)) {
    case Pass::forward:
      p.inputs = {x, w};
      p.output = y;
      p.reduction = real(s.r * s.s * s.c);
      break;
    case Pass::backward_data:
      p.inputs = {y, w};
      p.output = x;
      p.reduction = real(s.r * s.s * s.k);
      break;
    case Pass::backward_filter:
      p.inputs = {x, y};
      p.output = w;
      p.reduction = real(s.n * s.p() * s.q());
  }
  p.flops = 2 * real(s.macs());
  p.bytes = 4 * real(x.size() + w.size() + y.size());
}

// A 3x3 convolution of padding 1 with ReLU and 2x2 max-pooling, in one pass. The winner of a window
// is a byte.
void describe_conv2d_pool(Problem& p) {
  const Conv2dShape s = conv2d_shape(p);
  require(p, s.n > 0 && s.c > 0 && s.k > 0 && s.p() > 1 && s.q() > 1);
  const Operand x{"x", s.n, s.h * s.w, s.c}, w{"w", s.k, 9, s.c},
      y{"y", s.n, s.p() / 2 * (s.q() / 2), s.k};
  if (p.kernel == "conv2d_pool_forward") {
    p.inputs = {x, w};
    p.output = y;
    p.flops = 2 * real(s.macs());
    p.bytes = 4 * real(x.size() + w.size() + y.size()) + real(y.size());
    p.reduction = real(9 * s.c);
  } else {  // reads x, w, y, dy; writes dx, dw
    p.inputs = {x, w, y};
    p.output = w;
    p.flops = 4 * real(s.macs());
    p.bytes = 8 * real(x.size() + w.size() + y.size()) + real(y.size());
    p.reduction = real(s.n * s.p() * s.q());
  }
}

// Two such convolutions and pooling: the first block of a VGG, whose input has no gradient. What is
// between the convolutions is in no memory, if it need not be.
void describe_conv2d_block(Problem& p) {
  const Conv2dShape first = conv2d_shape(p);
  Conv2dShape second = first;
  second.c = first.k;
  require(p, first.n > 0 && first.c > 0 && first.k > 0 && first.p() > 1 && first.q() > 1);
  const Operand x{"x", first.n, first.h * first.w, first.c}, w1{"w1", first.k, 9, first.c},
      w2{"w2", second.k, 9, second.c}, y{"y", first.n, first.p() / 2 * (first.q() / 2), second.k};
  const double one = 2 * real(first.macs()), two = 2 * real(second.macs());
  if (p.kernel == "conv2d_block_forward") {
    p.inputs = {x, w1, w2};
    p.output = y;
    p.flops = one + two;
    p.bytes = 4 * real(x.size() + y.size()) + real(y.size());
    p.reduction = real(9 * second.c);
  } else {
    p.inputs = {x, w1, w2, y};
    p.output = w2;
    p.flops = one + 2 * two;
    p.bytes = 4 * real(x.size() + 2 * y.size()) + real(y.size());
    p.reduction = real(second.n * second.p() * second.q());
  }
}

// A convolution, batch norm and ReLU. In training what is between them is written and read.
void describe_conv2d_norm(Problem& p) {
  describe_conv2d(p);
  if (p.kernel == "conv2d_norm_forward") p.bytes += 8 * real(p.output.size());
  const Operand channels{"gamma", 1, 1, p.output.channels};
  p.inputs.push_back(channels);
  p.inputs.push_back(channels);
}

// Training reads x twice, for the statistics and to normalise; backward reads x, y (for the ReLU
// mask) and dy twice.
void describe_batch_norm(Problem& p) {
  const Index n = p.at("N"), hw = p.at("H") * p.at("W"), c = p.at("C");
  require(p, n > 0 && hw > 0 && c > 0 && n * hw > 1);
  const Operand x{"x", n, hw, c}, gamma{"gamma", 1, 1, c}, beta{"beta", 1, 1, c};
  const bool backward = p.kernel == "batch_norm_backward";
  p.inputs = backward ? std::vector<Operand>{x, {"dy", n, hw, c}, gamma, beta}
                      : std::vector<Operand>{x, gamma, beta};
  p.output = x;
  const double passes = backward ? 7 : p.kernel == "batch_norm_inference" ? 2 : 3;
  p.bytes = 4 * passes * real(x.size());
  p.reduction = real(n * hw);
}

// The place of the maximum is a byte.
void describe_max_pool2d(Problem& p) {
  const Pool2dShape s = pool2d_shape(p);
  require(p, s.n > 0 && s.c > 0 && s.r > 0 && s.s > 0 && s.stride_h > 0 &&
                 s.h + 2 * s.pad_h >= s.r && s.w + 2 * s.pad_w >= s.s && s.r * s.s <= 255);
  const Operand x{"x", s.n, s.h * s.w, s.c}, y{"y", s.n, s.p() * s.q(), s.c};
  const bool backward = p.kernel == "max_pool2d_backward";
  p.inputs = backward ? std::vector<Operand>{x, y} : std::vector<Operand>{x};
  p.output = backward ? x : y;
  p.bytes = 4 * real(x.size()) + 5 * real(y.size());
}

void describe_elementwise(Problem& p) {
  const Index n = p.at("size");
  require(p, n > 0);
  const auto operand = [n](const char* name) { return Operand{name, n, 1, 1}; };
  double tensors = 0;
  if (p.kernel == "add") {
    p.inputs = {operand("a"), operand("b")};
    tensors = 3;
  } else if (p.kernel == "relu_forward") {
    p.inputs = {operand("x")};
    tensors = 2;
  } else {
    p.inputs = {operand("w"), operand("gradient")};
    tensors = 5;
  }
  p.output = operand(p.kernel == "sgd_step" ? "momentum" : "y");
  p.bytes = 4 * tensors * real(n);
}

void describe_softmax(Problem& p) {
  const Index n = p.at("N"), c = p.at("C");
  require(p, n > 0 && c > 0);
  p.inputs = {{"x", n, 1, c}};
  p.output = {"y", n, 1, c};
  p.bytes = 8 * real(n * c);
  p.reduction = real(c);
}

void describe_transform(Problem& p) {
  const StftShape s = stft_shape(p);
  require(p, s.clips > 0 && s.n_fft > 1 && s.hop > 0 && s.frames() > 0);
  if (p.kernel == "rfft") {
    p.inputs = {{"x", p.at("N"), 1, s.n_fft}};
    p.output = {"y", p.at("N"), 1, 2 * s.bins()};
  } else {
    p.inputs = {{"x", s.clips, 1, s.samples}};
    p.output = p.kernel == "stft" ? Operand{"y", s.clips, s.frames(), 2 * s.bins()}
                                  : Operand{"y", s.clips, p.at("n_mels"), s.frames()};
    require(p, p.output.size() > 0);
  }
  p.flops = real(s.clips * s.frames()) * transform_flops(s.n_fft);
  p.bytes = 4 * real(p.inputs[0].size() + p.output.size());
  p.reduction = real(s.n_fft);
}

void count_images(Problem& p) {
  require(p, p.at("N") > 0 && p.at("H") > 0 && p.at("W") > 0 && p.at("C") > 0);
  p.items = real(p.at("N"));
  p.unit = "images";
}

void describe_product(Problem& p) {
  const double n = real(p.at("N"));
  require(p, n > 0);
  p.flops = 2 * n * n * n;
}

void count_audio(Problem& p) {
  require(p, p.at("songs") > 0 && p.at("seconds") > 0);
  p.items = real(p.at("songs") * p.at("seconds"));
  p.unit = "s of audio";
}

const std::vector<Kernel>& kernels() {
  const std::vector<Setting> model = {{"model", "tinyvgg", false},
                                      {"N", "32"},
                                      {"H", "28"},
                                      {"W", "H"},
                                      {"C", "1"},
                                      {"hidden", "10"},
                                      {"outputs", "10"}};
  const std::vector<Setting> convolution = {
      {"N", "1"},     {"H", "32"},      {"W", "H"},
      {"C", "16"},    {"K", "C"},       {"R", "3"},
      {"S", "R"},     {"stride", "1"},  {"stride_w", "stride"},
      {"pad", "R/2"}, {"pad_w", "S/2"}, {"dilation", "1"}};
  const std::vector<Setting> audio = {{"songs", "1"}, {"seconds", "45"}};
  std::vector<Setting> epoch = audio;
  epoch.push_back({"model", "vgg4", false});
  static const std::vector<Kernel> all = {
      {{"conv2d_forward", "conv2d_backward_data", "conv2d_backward_filter"},
       convolution,
       describe_conv2d},
      {{"conv2d_norm_forward", "conv2d_norm_inference"}, convolution, describe_conv2d_norm},
      {{"conv2d_pool_forward", "conv2d_pool_backward"},
       {{"N", "32"}, {"H", "64"}, {"W", "H"}, {"C", "10"}, {"K", "C"}},
       describe_conv2d_pool},
      {{"conv2d_block_forward", "conv2d_block_backward"},
       {{"N", "32"}, {"H", "64"}, {"W", "H"}, {"C", "1"}, {"K", "10"}},
       describe_conv2d_block},
      {{"linear_forward", "linear_backward_data", "linear_backward_filter"},
       {{"N", "64"}, {"C", "512"}, {"K", "10"}},
       describe_conv2d},
      {{"batch_norm_forward", "batch_norm_inference", "batch_norm_backward"},
       {{"N", "16"}, {"H", "32"}, {"W", "H"}, {"C", "64"}},
       describe_batch_norm},
      {{"max_pool2d_forward", "max_pool2d_backward"},
       {{"N", "16"},
        {"H", "32"},
        {"W", "H"},
        {"C", "64"},
        {"R", "2"},
        {"S", "R"},
        {"stride", "R"},
        {"pad", "0"}},
       describe_max_pool2d},
      {{"add"}, {{"size", "1000000"}}, describe_elementwise},
      {{"relu_forward"}, {{"size", "1000000"}}, describe_elementwise},
      {{"sgd_step"}, {{"size", "1000000"}}, describe_elementwise},
      {{"softmax"}, {{"N", "64"}, {"C", "10"}}, describe_softmax},
      {{"rfft"}, {{"N", "1938"}, {"n_fft", "2048"}}, describe_transform},
      {{"stft"},
       {{"N", "1"}, {"samples", "992250"}, {"n_fft", "2048"}, {"hop", "512"}},
       describe_transform},
      {{"mel_spectrogram"},
       {{"N", "1"}, {"samples", "992250"}, {"n_fft", "2048"}, {"hop", "512"}, {"n_mels", "128"}},
       describe_transform},
      // ---- whole pieces of work
      {{"train_step"}, model, count_images},
      {{"inference"}, model, count_images},
      {{"mel_front_end"}, audio, count_audio},
      {{"decode"}, audio, count_audio},
      {{"features"}, audio, count_audio},
      {{"epoch"}, epoch, count_audio},
      {{"emulated_gemm"}, {{"N", "256"}}, describe_product},
  };
  return all;
}

const Kernel* find_kernel(const std::string& name) {
  for (const Kernel& k : kernels())
    if (std::find(k.names.begin(), k.names.end(), name) != k.names.end()) return &k;
  return nullptr;
}

// The kernels that a name stands for: itself, or those that begin with it and an underscore.
std::vector<std::string> expand(const std::string& name) {
  if (find_kernel(name)) return {name};
  std::vector<std::string> names;
  for (const Kernel& k : kernels())
    for (const std::string& n : k.names)
      if (n == name + "_forward" || n == name + "_inference" || n.starts_with(name + "_backward"))
        names.push_back(n);
  check(!names.empty(), "no kernel '{}'; there are:\n{}", name, kernel_help());
  return names;
}

bool parse_number(const std::string& text, Index& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= 0;
}

std::string default_of(const Problem& p, const Setting& setting) {
  std::string name = setting.otherwise;
  const bool half = name.ends_with("/2");
  if (half) name.resize(name.size() - 2);
  const auto other = p.values.find(name);
  if (other == p.values.end()) return name;
  return half ? std::to_string(std::stoll(other->second) / 2) : other->second;
}

Problem make_problem(const std::string& kernel, std::map<std::string, std::string> given) {
  const Kernel& k = *find_kernel(kernel);
  Problem p;
  p.kernel = kernel;
  for (const Setting& setting : k.settings) {
    const auto at = given.find(setting.name);
    p.values[setting.name] = at != given.end() ? at->second : default_of(p, setting);
    if (at != given.end()) given.erase(at);
    Index value = 0;
    check(!setting.number || parse_number(p.values[setting.name], value),
          "{}: {} is a number, found '{}'", kernel, setting.name, p.values[setting.name]);
  }
  if (!given.empty()) {
    std::string names;
    for (const Setting& setting : k.settings)
      names += (names.empty() ? "" : ", ") + std::string(setting.name);
    fail("{}: '{}' is unknown; expected {}", kernel, given.begin()->first, names);
  }
  k.describe(p);
  return p;
}

}  // namespace

Index Problem::at(const std::string& name) const { return std::stoll(values.at(name)); }

const std::string& Problem::text(const std::string& name) const { return values.at(name); }

bool Problem::is(const std::string& family) const {
  return kernel == family || kernel == family + "_forward" || kernel == family + "_inference" ||
         kernel.starts_with(family + "_backward");
}

std::string Problem::settings() const {
  std::string text;
  const Kernel* const k = find_kernel(kernel);
  if (!k) return values.begin()->second;  // a case of the tests
  for (const Setting& setting : k->settings)
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", setting.name, values.at(setting.name));
  return text;
}

std::vector<Problem> parse_problems(const std::string& kernel,
                                    const std::vector<std::string>& settings) {
  std::map<std::string, std::string> given;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    check(equals != std::string::npos && equals > 0 && equals + 1 < setting.size(),
          "{}: expected NAME=VALUE such as H=32, found '{}'", kernel, setting);
    given[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  std::vector<Problem> problems;
  for (const std::string& name : expand(kernel)) {
    Problem p = make_problem(name, given);
    const bool of_input = kernel != name && name == "conv2d_backward_data" && p.at("C") == 1;
    if (!of_input) problems.push_back(std::move(p));
  }
  return problems;
}

std::vector<Problem> parse_problems(const std::string& text) {
  std::istringstream words(text);
  std::string kernel, word;
  words >> kernel;
  std::vector<std::string> settings;
  while (words >> word) settings.push_back(word);
  return parse_problems(kernel, settings);
}

std::string kernel_help() {
  std::string help;
  for (const Kernel& k : kernels()) {
    help += "  ";
    for (std::size_t i = 0; i < k.names.size(); ++i) help += (i ? ", " : "") + k.names[i];
    help += ":";
    for (const Setting& s : k.settings) help += fmt::format(" {}={}", s.name, s.otherwise);
    help += "\n";
  }
  return help;
}

Conv2dShape conv2d_shape(const Problem& p) {
  if (p.is("linear")) return {p.at("N"), 1, 1, p.at("C"), p.at("K"), 1, 1};
  if (!p.values.contains("stride"))  // of several ops
    return {p.at("N"), p.at("H"), p.at("W"), p.at("C"), p.at("K"), 3, 3, 1, 1, 1, 1};
  return {p.at("N"),     p.at("H"),        p.at("W"),       p.at("C"),        p.at("K"),
          p.at("R"),     p.at("S"),        p.at("stride"),  p.at("stride_w"), p.at("pad"),
          p.at("pad_w"), p.at("dilation"), p.at("dilation")};
}

Pass conv2d_pass(const Problem& p) {
  return p.kernel.ends_with("_backward_data")     ? Pass::backward_data
         : p.kernel.ends_with("_backward_filter") ? Pass::backward_filter
                                                  : Pass::forward;
}

BatchNormShape batch_norm_shape(const Problem& p) {
  return {p.at("N") * p.at("H") * p.at("W"), p.at("C"), 1e-5, 0.1, true};
}

Pool2dShape pool2d_shape(const Problem& p) {
  const Index stride = p.at("stride"), pad = p.at("pad");
  return {p.at("N"), p.at("H"), p.at("W"), p.at("C"), p.at("R"),
          p.at("S"), stride,    stride,    pad,       pad};
}

StftShape stft_shape(const Problem& p) {
  const Index n = p.at("n_fft");
  if (p.kernel == "rfft") return {1, p.at("N") * n, n, n, false};
  return {p.at("N"), p.at("samples"), n, p.at("hop")};
}

Problem reduced(const Problem& problem) {
  std::map<std::string, std::string> values = problem.values;
  const auto at_most = [&](const char* name, Index most) {
    values[name] = std::to_string(std::min(problem.at(name), most));
  };
  if (problem.is("conv2d") || problem.is("linear")) {
    const Pass pass = conv2d_pass(problem);
    if (pass != Pass::backward_filter) at_most("N", problem.is("linear") ? 64 : 1);
    if (pass != Pass::backward_data) at_most("K", 4);
    if (pass != Pass::forward) at_most("C", 4);
  } else if (problem.is("conv2d_pool") || problem.is("conv2d_norm")) {
    if (problem.kernel == "conv2d_pool_forward" || problem.kernel == "conv2d_norm_inference")
      at_most("N", 1);
    at_most("K", 4);
  } else if (problem.kernel == "conv2d_block_forward") {
    at_most("N", 1);
  } else if (problem.is("batch_norm")) {
    at_most("C", 4);
  } else if (problem.is("max_pool2d")) {
    at_most("N", 1);
  } else if (problem.kernel == "rfft") {
    at_most("N", 4);
  } else if (problem.kernel == "softmax") {
    at_most("N", 64);
  } else if (problem.kernel == "add" || problem.is("relu") || problem.kernel == "sgd_step") {
    at_most("size", 10000);
  } else if (problem.kernel == "stft" || problem.kernel == "mel_spectrogram") {
    const Index around = 1 + problem.at("n_fft") / 2 / problem.at("hop");
    at_most("N", 1);
    at_most("samples", (around + 4) * problem.at("hop"));
    Problem p = make_problem(problem.kernel, values);
    if (p.at("samples") < problem.at("samples")) p.last_frames = around;
    return p;
  }
  return make_problem(problem.kernel, values);
}

}  // namespace etude::bench
