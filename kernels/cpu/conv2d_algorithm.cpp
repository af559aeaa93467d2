#include "kernels/cpu/conv2d_algorithm.h"

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "kernels/log.h"

namespace etude {
namespace {

struct Name {
  ConvAlgorithm algorithm;
  const char* text;
};
constexpr Name names[] = {{ConvAlgorithm::gather, "gather"},
                          {ConvAlgorithm::planar, "planar"},
                          {ConvAlgorithm::winograd2, "winograd2"},
                          {ConvAlgorithm::winograd4, "winograd4"}};

// ETUDE_CONV_CPU, read once.
std::optional<ConvAlgorithm> preferred() {
  static const std::optional<ConvAlgorithm> chosen = []() -> std::optional<ConvAlgorithm> {
    const char* value = std::getenv("ETUDE_CONV_CPU");
    if (!value || !*value) return {};
    std::string expected;
    for (const Name& name : names) {
      if (std::string(name.text) == value) return name.algorithm;
      expected += (expected.empty() ? "" : ", ") + std::string(name.text);
    }
    throw std::runtime_error("ETUDE_CONV_CPU=" + std::string(value) + ": expected one of " +
                             expected);
  }();
  return chosen;
}

// Whether an algorithm can compute the pass at all.
bool applies(ConvAlgorithm algorithm, const Conv2dShape& p, ConvPass) {
  const bool plain3x3 = p.r == 3 && p.s == 3 && p.stride_h == 1 && p.stride_w == 1 &&
                        p.dilation_h == 1 && p.dilation_w == 1;
  switch (algorithm) {
    case ConvAlgorithm::gather:
      return true;
    case ConvAlgorithm::planar:
      return plain3x3 && p.c > 0 && p.c <= 32 && p.k > 0 && p.k <= 32;
    case ConvAlgorithm::winograd2:
    case ConvAlgorithm::winograd4:
      return plain3x3;
  }
  return false;
}

// Planar lanes are tiles of four pixels of the output row. It needs most of the widest vectors'
// lanes; and with one channel in and many out, what it saves in arithmetic it loses in transposes.
// Its filter gradient needs many pixels besides: to have time for the sums of its lanes, and
// because the gradient of a weight that is exactly zero (a tap whose few products all have a factor
// of zero) becomes a rounding error there, which Adam, dividing by it, would take for a gradient.
bool planar_pays(const Conv2dShape& p, ConvPass pass) {
  constexpr Index enough_pixels = 2048;
  const bool data = pass == ConvPass::backward_data;
  const Index tiles = p.n * (((data ? p.w : p.q()) + 3) / 4), vectors = (tiles + 15) / 16;
  if (3 * tiles < 2 * 16 * vectors || (!data && p.c <= 2 && p.k > 16)) return false;
  return pass != ConvPass::backward_filter || p.n * p.p() * p.q() >= enough_pixels;
}

// Taps of an axis that some output meets: the gather leaves the others out.
Index live_taps(Index taps, Index outputs, Index source, Index stride, Index pad, Index dilation) {
  Index live = 0;
  for (Index t = 0; t < taps; ++t) {
    const Index at = t * dilation - pad;
    const Index first = at >= 0 ? 0 : (-at + stride - 1) / stride;  // the first output inside
    if (first < outputs && first * stride + at < source) ++live;
  }
  return live;
}

// Estimated time of a pass for each pair of channels, in multiply-adds.
double gather_cost(const Conv2dShape& p) {
  return static_cast<double>(p.n * p.p() * p.q() *
                             live_taps(p.r, p.p(), p.h, p.stride_h, p.pad_h, p.dilation_h) *
                             live_taps(p.s, p.q(), p.w, p.stride_w, p.pad_w, p.dilation_w));
}

// A product for each of (m + 2)^2 elements of a tile; the transforms, which cost as much as some
// multiply-adds an element, shared by all channels of the other side, or by all tiles. `overhead`
// was fitted to measurements.
double winograd_cost(const Conv2dShape& p, ConvPass pass, Index m) {
  const bool backward = pass == ConvPass::backward_data;
  const Index height = backward ? p.h : p.p(), width = backward ? p.w : p.q();
  const auto elements = static_cast<double>((m + 2) * (m + 2));
  const auto tiles = static_cast<double>(p.n * ((height + m - 1) / m) * ((width + m - 1) / m));
  const double overhead = pass == ConvPass::backward_filter ? 12 : 8, of_a_filter = 5;
  return elements *
         (tiles * (1 + overhead / static_cast<double>(p.c) + overhead / static_cast<double>(p.k)) +
          of_a_filter);
}

// Winograd's algorithm, or `gather` where it does not pay.
ConvAlgorithm winograd_choice(const Conv2dShape& p, ConvPass pass) {
  // A more exact algorithm has to lose by this factor.
  constexpr double margin = 1.15;
  // Shorter sums do not have rounding errors of their own that cover those of F(4x4, 3x3). For the
  // filter gradient see planar_pays, too.
  constexpr Index least_channels = 8, least_pixels = 256;
  const Index summed = pass == ConvPass::backward_data ? p.k : p.c;
  const bool filter = pass == ConvPass::backward_filter;
  if (filter && p.n * p.p() * p.q() < least_pixels) return ConvAlgorithm::gather;
  const double two = winograd_cost(p, pass, 2), four = winograd_cost(p, pass, 4);
  const bool two_is_enough = (!filter && summed < least_channels) || two < margin * four;
  if (gather_cost(p) < margin * (two_is_enough ? two : four)) return ConvAlgorithm::gather;
  return two_is_enough ? ConvAlgorithm::winograd2 : ConvAlgorithm::winograd4;
}

ConvAlgorithm fastest(const Conv2dShape& p, ConvPass pass) {
  constexpr Index few_channels = 16;
  if (!applies(ConvAlgorithm::winograd2, p, pass)) return ConvAlgorithm::gather;
  const bool planar = applies(ConvAlgorithm::planar, p, pass) && planar_pays(p, pass);
  if (planar && (p.c < few_channels || p.k < few_channels)) return ConvAlgorithm::planar;
  return winograd_choice(p, pass);
}

void log_choice(const Conv2dShape& p, ConvPass pass, ConvAlgorithm algorithm) {
  static const char* const passes[] = {"conv2d_forward", "conv2d_backward_data",
                                       "conv2d_backward_filter"};
  std::string line = "cpu " + std::string(passes[static_cast<int>(pass)]) + " " + text_of(p) + ": ";
  for (const Name& name : names)
    if (name.algorithm == algorithm) line += name.text;
  if (preferred() && *preferred() != algorithm) line += " (what ETUDE_CONV_CPU names does not fit)";
  log_kernel(line);
}

}  // namespace

ConvAlgorithm conv2d_algorithm(const Conv2dShape& p, ConvPass pass) {
  const ConvAlgorithm wanted = preferred().value_or(fastest(p, pass));
  const ConvAlgorithm algorithm = applies(wanted, p, pass) ? wanted : ConvAlgorithm::gather;
  if (log_kernels()) log_choice(p, pass, algorithm);
  return algorithm;
}

}  // namespace etude
