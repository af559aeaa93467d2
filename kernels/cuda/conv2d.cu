// Convolution, forward and both gradients: as gather convolutions and products that others compute.
//
// Forward is a gather convolution as it stands. The data gradient
//
//   dx[n,h,v,c] = sum over k, r, s of dy[n,p,q,k] w[k,r,s,c]   with p stride + r dilation - pad = h
//
// falls apart into stride_h stride_w phases: the pixels of dx with the same h mod stride (and v)
// meet the same taps, those with (h + pad - r dilation) mod stride = 0, which are every
// (stride / gcd(stride, dilation))-th. Each phase is a gather convolution of dy with its taps
// alone, in which K and C exchange their roles; nothing is multiplied with the zeros between the
// pixels that a strided convolution leaves out, and no output is written twice. A phase without
// taps is a convolution over nothing, which writes zeros.
//
// Every reduction runs in an order that the problem fixes.
#include <cstdlib>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "kernels/cuda/conv2d.h"
#include "kernels/log.h"

namespace etude::ETUDE_BACKEND {
namespace {

enum class Algorithm { direct, gemm };

// ETUDE_CONV=direct|gemm prefers one wherever it fits.
enum class Preference { none, direct, gemm };

Preference preference() {
  static const Preference chosen = [] {
    const char* value = std::getenv("ETUDE_CONV");
    const std::string name = value ? value : "";
    if (name.empty()) return Preference::none;
    if (name == "direct") return Preference::direct;
    if (name == "gemm") return Preference::gemm;
    throw std::runtime_error("ETUDE_CONV=" + name + ": expected direct or gemm");
  }();
  return chosen;
}

// Which algorithm runs: a gather convolution (forward or a phase of the data gradient) of c
// channels to k, or a filter gradient, over taps.
//
// Few channels make a thin product, whose tiles would be mostly padding and whose addresses would
// cost more than its arithmetic; there the direct kernels have all taps and outputs at hand. An
// output of one pixel, as a linear layer has, gives their spatial tiles nothing to share.
Algorithm choose(Index c, Index k, Index taps, Index pixels, bool direct_fits, const char* what) {
  if (preference() == Preference::gemm) return Algorithm::gemm;
  if (preference() == Preference::direct) {
    if (direct_fits) return Algorithm::direct;
    if (log_kernels())
      log_kernel(std::string(what) + ": ETUDE_CONV=direct, but the direct kernel does not fit");
    return Algorithm::gemm;
  }
  const bool few_channels = min_of(c, k) <= 16 && max_of(c, k) <= 64;
  return direct_fits && few_channels && taps > 0 && pixels > 1 ? Algorithm::direct
                                                               : Algorithm::gemm;
}

// ---- shapes ------------------------------------------------------------------------------------

// One pixel's window, one image and the filters have 32-bit offsets in the kernels, also where
// their channels are padded.
void check_size(const Conv2dShape& p) {
  constexpr Index limit = std::numeric_limits<int>::max() / 2;
  const auto check = [&](Index size, const char* what) {
    if (size > limit)
      throw std::runtime_error("cuda: conv2d " + text_of(p) + ": " + what + " has " +
                               std::to_string(size) + " elements, more than " +
                               std::to_string(limit));
  };
  check((p.h + 2 * p.pad_h) * (p.w + 2 * p.pad_w) * in_fours(p.c), "an image");
  check(p.p() * p.q() * in_fours(p.k), "an output image");
  check(p.k * p.r * p.s * in_fours(p.c), "the filter");
  check(p.n * p.p() * p.q(), "a channel of the output");
  check(p.n * p.h * p.w, "a channel of the input");
}

// The taps of one axis that a phase of the data gradient meets: first, first + step, ...
struct PhaseTaps {
  int first, step, count;
};

PhaseTaps taps_of_phase(Index phase, Index stride, Index pad, Index dilation, Index size) {
  const Index step = stride / std::gcd(stride, dilation);
  for (Index r = 0; r < min_of(step, size); ++r)
    if ((phase + pad - r * dilation) % stride == 0)
      return {static_cast<int>(r), static_cast<int>(step),
              static_cast<int>((size - 1 - r) / step + 1)};
  return {0, 1, 0};
}

// A phase of the data gradient as a gather convolution of dy with w + tap channels of w to
// dx + output.
struct Phase {
  GatherConv gather;
  Index tap, output;
};

Phase phase_of(const Conv2dShape& p, Index phase_h, Index phase_w) {
  PhaseTaps h = taps_of_phase(phase_h, p.stride_h, p.pad_h, p.dilation_h, p.r);
  PhaseTaps w = taps_of_phase(phase_w, p.stride_w, p.pad_w, p.dilation_w, p.s);
  if (h.count == 0 || w.count == 0) h = {0, 1, 0}, w = {0, 1, 1};  // nothing to sum
  const auto number = [](Index i) { return static_cast<int>(i); };
  const Index row = p.s * p.c;  // of the filter
  GatherConv g{};
  g.n = number(p.n), g.h = number(p.p()), g.w = number(p.q()), g.c = number(p.k);
  g.p = number(ceil_div(p.h - phase_h, p.stride_h));
  g.q = number(ceil_div(p.w - phase_w, p.stride_w));
  g.k = number(p.c);
  g.r = h.count, g.s = w.count;
  g.stride_h = g.stride_w = 1;
  g.step_h = number(-h.step * p.dilation_h / p.stride_h);
  g.step_w = number(-w.step * p.dilation_w / p.stride_w);
  // Exact where the phase has taps; else without meaning.
  g.first_h = number((phase_h + p.pad_h - h.first * p.dilation_h) / p.stride_h);
  g.first_w = number((phase_w + p.pad_w - w.first * p.dilation_w) / p.stride_w);
  g.y_n = p.h * p.w * p.c, g.y_p = p.stride_h * p.w * p.c, g.y_q = p.stride_w * p.c;
  g.w_k = 1, g.w_r = h.step * row, g.w_s = w.step * p.c, g.w_c = p.r * row;
  g.order = FilterOrder::outputs_inner, g.filter_c = g.c;
  return {g, h.first * p.s + w.first, (phase_h * p.w + phase_w) * p.c};
}

template <class Visit>
void for_each_phase(const Conv2dShape& p, Visit&& visit) {
  for (Index h = 0; h < min_of(p.stride_h, p.h); ++h)
    for (Index w = 0; w < min_of(p.stride_w, p.w); ++w) visit(phase_of(p, h, w), h, w);
}

Algorithm choose(const GatherConv& g, const char* what) {
  return choose(g.c, g.k, Index{g.r} * g.s, Index{g.p} * g.q, direct_fits(g), what);
}

Algorithm choose_filter(const Conv2dShape& p) {
  return choose(p.c, p.k, p.r * p.s, p.p() * p.q(), direct_filter_fits(p),
                "conv2d_backward_filter");
}

void log_choice(const char* what, const Conv2dShape& p, const std::string& how) {
  if (log_kernels()) log_kernel(std::string(what) + " " + text_of(p) + ": " + how);
}

std::string plan_text(Algorithm algorithm, const GatherConv& g) {
  return algorithm == Algorithm::direct ? "direct" : gemm_gather_plan(in_fours(g));
}

// ---- what the passes read, as rows of channels --------------------------------------------------

Rows rows_of_x(const Conv2dShape& p) { return {p.n * p.h * p.w, p.c}; }
Rows rows_of_w(const Conv2dShape& p) { return {p.k * p.r * p.s, p.c}; }
Rows rows_of_dy(const Conv2dShape& p) { return {p.n * p.p() * p.q(), p.k}; }

std::size_t in_fours_workspace(const Rows& a, const Rows& b) {
  return in_fours_workspace(a) + in_fours_workspace(b);
}

bool empty(const Conv2dShape& p) { return p.y_size() == 0 || p.x_size() == 0; }

}  // namespace

GatherConv gather_forward(const Conv2dShape& p) {
  check_size(p);
  const auto number = [](Index i) { return static_cast<int>(i); };
  GatherConv g{};
  g.n = number(p.n), g.h = number(p.h), g.w = number(p.w), g.c = number(p.c);
  g.p = number(p.p()), g.q = number(p.q()), g.k = number(p.k);
  g.r = number(p.r), g.s = number(p.s);
  g.stride_h = number(p.stride_h), g.stride_w = number(p.stride_w);
  g.step_h = number(p.dilation_h), g.step_w = number(p.dilation_w);
  g.first_h = number(-p.pad_h), g.first_w = number(-p.pad_w);
  g.y_n = p.p() * p.q() * p.k, g.y_p = p.q() * p.k, g.y_q = p.k;
  g.w_k = p.r * p.s * p.c, g.w_r = p.s * p.c, g.w_s = p.c, g.w_c = 1;
  g.order = FilterOrder::channels_inner, g.filter_c = g.c;
  return g;
}

// ---- the entries of kernels.def ----------------------------------------------------------------

std::size_t conv2d_forward_workspace(const Conv2dShape& p) {
  if (empty(p)) return 0;
  const GatherConv g = gather_forward(p);
  if (choose(g, "conv2d_forward") == Algorithm::direct) return 0;
  return in_fours_workspace(rows_of_x(p), rows_of_w(p)) + gemm_gather_workspace(in_fours(g));
}

void conv2d_forward(Stream s, const Conv2dShape& p, const float* x, const float* w,
                    const float* bias, bool relu, float* y, void* work) {
  if (empty(p)) return;
  const GatherConv g = gather_forward(p);
  const Algorithm algorithm = choose(g, "conv2d_forward");
  log_choice("conv2d_forward", p, plan_text(algorithm, g));
  if (algorithm == Algorithm::direct) return direct_gather(s, g, x, w, bias, relu, y);
  const float* const x4 = in_fours(s, rows_of_x(p), x, work);
  const float* const w4 = in_fours(s, rows_of_w(p), w, work);
  gemm_gather(s, in_fours(g), x4, w4, bias, relu, y, work);
}

std::size_t conv2d_backward_data_workspace(const Conv2dShape& p) {
  if (empty(p)) return 0;
  check_size(p);
  std::size_t bytes = 0;  // the phases use it one after the other
  bool reads = false;
  for_each_phase(p, [&](const Phase& phase, Index, Index) {
    if (choose(phase.gather, "conv2d_backward_data") == Algorithm::direct) return;
    bytes = max_of(bytes, gemm_gather_workspace(in_fours(phase.gather)));
    reads = reads || phase.gather.r > 0;
  });
  return bytes + (reads ? in_fours_workspace(rows_of_dy(p), rows_of_w(p)) : 0);
}

void conv2d_backward_data(Stream s, const Conv2dShape& p, const float* dy, const float* w,
                          float* dx, void* work) {
  if (empty(p)) return memory_zero(s, dx, static_cast<std::size_t>(p.x_size()) * sizeof(float));
  check_size(p);
  const float *dy4 = nullptr, *w4 = nullptr;  // made once, for all products that read them
  for_each_phase(p, [&](const Phase& phase, Index h, Index v) {
    const GatherConv& g = phase.gather;
    const Algorithm algorithm = choose(g, "conv2d_backward_data");
    if (log_kernels())
      log_choice("conv2d_backward_data", p,
                 "phase " + std::to_string(h) + "," + std::to_string(v) + " with " +
                     std::to_string(g.r) + "x" + std::to_string(g.s) +
                     " taps: " + plan_text(algorithm, g));
    float* const to = dx + phase.output;
    if (algorithm == Algorithm::direct)
      return direct_gather(s, g, dy, w + phase.tap * p.c, nullptr, false, to);
    if (!dy4 && g.r > 0) {
      dy4 = in_fours(s, rows_of_dy(p), dy, work);
      w4 = in_fours(s, rows_of_w(p), w, work);
    }
    gemm_gather(s, in_fours(g), dy4, w4 + phase.tap * in_fours(p.c), nullptr, false, to, work);
  });
}

std::size_t conv2d_backward_filter_workspace(const Conv2dShape& p) {
  if (empty(p)) return 0;
  check_size(p);
  if (choose_filter(p) == Algorithm::direct) return direct_filter_workspace(p);
  return in_fours_workspace(rows_of_x(p), rows_of_dy(p)) + gemm_filter_workspace(p);
}

void conv2d_backward_filter(Stream s, const Conv2dShape& p, const float* x, const float* dy,
                            float* dw, float* dbias, void* work) {
  if (empty(p)) {
    memory_zero(s, dw, static_cast<std::size_t>(p.w_size()) * sizeof(float));
    if (dbias) memory_zero(s, dbias, static_cast<std::size_t>(p.k) * sizeof(float));
    return;
  }
  check_size(p);
  if (choose_filter(p) == Algorithm::direct) {
    log_choice("conv2d_backward_filter", p, "direct");
    return direct_filter(s, p, x, dy, dw, dbias, work);
  }
  log_choice("conv2d_backward_filter", p, gemm_filter_plan(p));
  const float* const x4 = in_fours(s, rows_of_x(p), x, work);
  const float* const dy4 = in_fours(s, rows_of_dy(p), dy, work);
  gemm_filter(s, p, x4, dy4, dw, dbias, work);
}

}  // namespace etude::ETUDE_BACKEND
