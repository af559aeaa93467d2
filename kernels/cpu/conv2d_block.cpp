// Two convolutions with ReLU and 2x2 max-pooling, the first of one channel: TinyVGG's first block.
//
// Its output between the convolutions would be the largest array of the network, written once and
// read three times. It is computed from x where its planes are needed instead (conv_reader.h), in
// the forward pass and in the filter gradient of the second convolution, each of which is that of
// planar_strip.h and conv2d_planar_filter.cpp but for the reader. The third pass, here, is the data
// gradient of the second convolution, whose pixels meet the first ReLU and become sums of the first
// filter's gradient while they are in registers and in the first-level cache.
//
// Multiply-adds a pixel, C = 1: forward 4.5 K^2 + 9 K, backward 9 K^2 + 24 K.
// Memory: x, and a quarter of the pixels of y, dy and winners, once a pass.
// Deterministic: fixed slices, fixed order.
#include "kernels/composed/conv2d_block.h"

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/conv2d_algorithm.h"
#include "kernels/cpu/conv_reader.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/planar_strip.h"
#include "kernels/cpu/slices.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr Index kFilterSize = kTaps * kTaps;
constexpr Index kMostSlices = 16;

bool fused(const Conv2dShape& first, const Conv2dShape& second) {
  const auto planar = [](const Conv2dShape& p, ConvPass pass) {
    return conv2d_algorithm(p, pass) == ConvAlgorithm::planar;
  };
  return first.c == 1 && planar(first, ConvPass::forward) &&
         planar(first, ConvPass::backward_filter) && planar(second, ConvPass::forward) &&
         planar(second, ConvPass::backward_data) && planar(second, ConvPass::backward_filter);
}

// sums[k][r][s] += gradient of w1, bias[k] += of its bias, from the data gradient of the second
// convolution. Both are vectors over the lanes.
class FirstGradient {
 public:
  FirstGradient(const Conv2dShape& p, const float* x, const FirstConv& conv, Index tiles,
                float* sums, float* bias)
      : lines_(x, {p.n, p.h, p.w, 1}, tiles, -p.pad_w),
        conv_(conv),
        image_(p.n, p.p(), p.q(), p.k),
        tiles_(tiles),
        pad_h_(p.pad_h),
        sums_(sums),
        bias_(bias) {}

  void place(Index first_lane) {
    lines_.place(first_lane);
    LaneColumn columns[kTilePixels];
    lane_columns(image_, tiles_, first_lane, kTilePixels, 0, kTilePixels, columns);
    for (int j = 0; j < kTilePixels; ++j)
      for (int lane = 0; lane < kLanes; ++lane)
        inside_[j][lane] = columns[j].offset[lane] < 0 ? 0 : -1;
  }
  ETUDE_INLINE void prefetch(Index, Index, Index, Index) const {}

  void finish(Index row, Index live, const float* m) {
    const Line* lines[kStepLines];
    for (Index r = 0; r < live + kTaps - 1; ++r) lines[r] = &lines_.line(row - pad_h_ + r);
    // d[k][row][j]: the gradient before the ReLU.
    alignas(64) float d[kPlanarChannels * kStepRows * kTilePixels * kLanes];
    for (Index i = 0; i < live; ++i) {
      const Line* const taps[kTaps] = {lines[i], lines[i + 1], lines[i + 2]};
      conv_.row<kPairs>(taps, [&](Index k, const Vec(&y)[kTilePixels]) {
        Vec dy[kTilePixels];
        output_pixels(m + (k * kTileComponents * kStepRows + i) * kLanes, dy);
        Vec total{};
#pragma GCC unroll 4
        for (int j = 0; j < kTilePixels; ++j) {
          const Vec gated = relu_gate(y[j], inside_[j] ? dy[j] : Vec{});
          store(d + ((k * kStepRows + i) * kTilePixels + j) * kLanes, gated);
          total += gated;
        }
        store(bias_ + k * kLanes, load(bias_ + k * kLanes) + total);
      });
    }
    constexpr int most = kLanes == 16 ? 2 : 1;  // nine sums each
    Index k = 0;
    for (; k + most <= conv_.outputs(); k += most) add<most>(lines, live, d, k);
    for (; k < conv_.outputs(); ++k) add<1>(lines, live, d, k);
  }

 private:
  static constexpr int kPairs = kTilePixels / 2;
  using Line = PixelLines<kPairs>::Line;

  template <int Outputs>
  void add(const Line* const* lines, Index live, const float* d, Index k) {
    Vec acc[Outputs][kFilterSize];
    for (int o = 0; o < Outputs; ++o)
      for (int t = 0; t < kFilterSize; ++t) acc[o][t] = Vec{};
    for (Index i = 0; i < live; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kTilePixels; ++j) {
        Vec gradient[Outputs];
        for (int o = 0; o < Outputs; ++o)
          gradient[o] = load(d + (((k + o) * kStepRows + i) * kTilePixels + j) * kLanes);
#pragma GCC unroll 9
        for (int t = 0; t < kFilterSize; ++t) {
          const Vec x = load(lines[i + t / kTaps]->pixels[j + t % kTaps]);
#pragma GCC unroll 4
          for (int o = 0; o < Outputs; ++o) acc[o][t] = fma(gradient[o], x, acc[o][t]);
        }
      }
    float* to = sums_ + k * kFilterSize * kLanes;
    for (int o = 0; o < Outputs; ++o)
      for (int t = 0; t < kFilterSize; ++t, to += kLanes) store(to, load(to) + acc[o][t]);
  }

  PixelLines<kPairs> lines_;
  FirstConv conv_;
  PlanarImage image_;
  Index tiles_, pad_h_;
  IntVec inside_[kTilePixels];
  float *sums_, *bias_;
};

struct FirstPlan {
  StripGrid grid;  // of the first convolution's output
  Index strips, slices;
  explicit FirstPlan(const Conv2dShape& first)
      : grid{first.n, first.p(), first.q()},
        strips(grid.strips()),
        slices(max_of(1, min_of(kMostSlices, strips))) {}
};

std::size_t first_gradient_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  const Index parts = FirstPlan(first).slices * (first.w_size() + first.k);
  return packed_filter_bytes(second.k, second.c) + static_cast<std::size_t>(parts) * sizeof(float);
}

void first_gradient(const Conv2dShape& first, const Conv2dShape& second, const float* x,
                    const float* w1, const float* bias1, const float* w2, const float* dy,
                    const std::uint8_t* winners, float* dw1, float* dbias1, void* work) {
  const FirstPlan plan(first);
  const StripGrid& grid = plan.grid;
  float* const u = static_cast<float*>(work);
  float* const dw_parts = u + packed_filter_bytes(second.k, second.c) / sizeof(float);
  float* const dbias_parts = dw_parts + plan.slices * first.w_size();
  pack_filter(turned_filter(second, w2), second.k, second.c, u);
  const PlanarReader reader(dy, winners, {second.n, second.p() / 2, second.q() / 2, second.k},
                            grid.tiles(), second.pad_w - (kTaps - 1), kTileComponents);
  parallel_for(plan.slices, second.macs(), [&](Index slice) {
    alignas(64) float sums[kPlanarChannels * kFilterSize * kLanes] = {};
    alignas(64) float bias[kPlanarChannels * kLanes] = {};
    PlanarReader gradient = reader;
    FirstGradient finish(first, x, FirstConv(w1, bias1, first.k), grid.tiles(), sums, bias);
    const Index last = plan.strips * (slice + 1) / plan.slices;
    for (Index strip = plan.strips * slice / plan.slices; strip < last; ++strip) {
      gradient.place(grid.first_lane(strip));
      finish.place(grid.first_lane(strip));
      planar_strip(gradient, kTaps - 1 - second.pad_h, u, second.c, grid.first_row(strip),
                   grid.rows(strip), finish);
    }
    sum_lanes(sums, first.w_size());
    sum_lanes(bias, first.k);
    for (Index i = 0; i < first.w_size(); ++i) dw_parts[slice * first.w_size() + i] = sums[i];
    for (Index i = 0; i < first.k; ++i) dbias_parts[slice * first.k + i] = bias[i];
  });
  add_slices(dw_parts, plan.slices, first.w_size(), dw1);
  if (dbias1) add_slices(dbias_parts, plan.slices, first.k, dbias1);
}

}  // namespace

std::size_t conv2d_block_forward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  return fused(first, second) ? planar_forward_workspace(second)
                              : composed::block_forward_workspace(first, second);
}

void conv2d_block_forward(Stream s, const Conv2dShape& first, const Conv2dShape& second,
                          const float* x, const float* w1, const float* bias1, const float* w2,
                          const float* bias2, float* y, std::uint8_t* winners, void* work) {
  if (fused(first, second))
    planar_block_forward(first, second, x, w1, bias1, w2, bias2, y, winners, work);
  else
    composed::block_forward(s, first, second, x, w1, bias1, w2, bias2, y, winners, work);
}

std::size_t conv2d_block_backward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  if (!fused(first, second)) return composed::block_backward_workspace(first, second);
  return static_cast<std::size_t>(
      max_of(static_cast<Index>(planar_backward_filter_workspace(second)),
             static_cast<Index>(first_gradient_workspace(first, second))));
}

void conv2d_block_backward(Stream s, const Conv2dShape& first, const Conv2dShape& second,
                           const float* x, const float* w1, const float* bias1, const float* w2,
                           const float* y, const std::uint8_t* winners, const float* dy, float* dw1,
                           float* dbias1, float* dw2, float* dbias2, void* work) {
  if (!fused(first, second))
    return composed::block_backward(s, first, second, x, w1, bias1, w2, y, winners, dy, dw1, dbias1,
                                    dw2, dbias2, work);
  planar_block_backward_filter(first, second, x, w1, bias1, dy, winners, dw2, dbias2, work);
  first_gradient(first, second, x, w1, bias1, w2, dy, winners, dw1, dbias1, work);
}

}  // namespace etude::ETUDE_BACKEND
