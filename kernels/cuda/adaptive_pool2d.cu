// Adaptive average pooling to P x Q, NHWC; P = Q = 1 is global average pooling.
//
//   y[n, p, q, c] = mean of x[n, h, w, c] over h in [floor(p H / P), ceil((p + 1) H / P)), w alike
//   dx[n, h, w, c] = sum over the windows that cover (h, w) of dy[n, p, q, c] / pixels of it
//
// Forward: a block is (tile of channels) x (pixels of a window) x (outputs), with as many threads
// on a window as it has pixels for, four each; with small windows a block takes several outputs.
// Each thread sums its pixels, four loads in flight, and the threads of a window add up pairwise in
// shared memory, in a fixed order: neither atomics nor a long chain of additions. Neighbouring
// threads have neighbouring channels and then neighbouring pixels, so that few channels are read
// without gaps too.
// Backward: threads as in pool2d.h; each pixel gathers from the windows that cover it.
//
// Shared memory: 4 KB at most. FLOPs: an addition for each pixel of a window. Bytes: x and y once,
// both ways. Bound by memory. A single image with few channels has few blocks: one for each output
// and 128 (at least 32) channels.
#include <stdexcept>
#include <string>

#include "kernels/cuda/pool2d.h"

namespace etude::ETUDE_BACKEND {
namespace {

struct AdaptiveWindows {
  int h, w, c;   // of x
  Divisor p, q;  // outputs
  Divisor by_h, by_w;

  explicit AdaptiveWindows(const AdaptivePool2dShape& d)
      : h(static_cast<int>(d.h)),
        w(static_cast<int>(d.w)),
        c(static_cast<int>(d.c)),
        p(d.p),
        q(d.q),
        by_h(d.h),
        by_w(d.w) {
    // The edges of the windows are worked out in int.
    if ((d.h + 1) * (d.p + 1) > 0x7fffffff || (d.w + 1) * (d.q + 1) > 0x7fffffff)
      throw std::runtime_error("cuda: adaptive_avg_pool2d from " + std::to_string(d.h) + "x" +
                               std::to_string(d.w) + " to " + std::to_string(d.p) + "x" +
                               std::to_string(d.q) + " is too large");
  }
};

struct Span {
  int begin, end;
  __device__ int size() const { return end - begin; }
};
// What output i of `outputs` covers of `size` inputs.
__device__ inline Span covered_by(int i, int size, const Divisor& outputs) {
  return {outputs.floor(i * size), outputs.ceil((i + 1) * size)};
}
// The outputs that cover input i: the same formula, with the roles exchanged.
__device__ inline Span covering(int i, const Divisor& size, int outputs) {
  return {size.floor(i * outputs), size.ceil((i + 1) * outputs)};
}

// Of a block's threads: channels fastest, then pixels of a window, then outputs.
struct ForwardTiling {
  int packs;  // of a pixel
  int tile_packs, tile_pixels, tile_outputs;
  int tiles, outputs;

  ForwardTiling(const AdaptivePool2dShape& d, int width) {
    packs = static_cast<int>(d.c / width);
    outputs = static_cast<int>(d.n * d.p * d.q);
    const Index pixels = ceil_div(d.h, d.p) * ceil_div(d.w, d.q);
    // Narrower tiles where few images have to keep the GPU busy.
    for (int most = 32; most >= 8; most /= 2) {
      tiles = ceil_div(packs, most);
      tile_packs = ceil_div(packs, tiles);
      tile_pixels =
          static_cast<int>(min_of(ceil_div(pixels, Index{4}), Index{kPoolThreads / tile_packs}));
      tile_outputs = kPoolThreads / (tile_packs * tile_pixels);
      if (blocks() >= 128) break;
    }
  }
  Index blocks() const { return Index{tiles} * ceil_div(outputs, tile_outputs); }
};

template <int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 4)
    adaptive_avg_pool2d_means(ForwardTiling t, AdaptiveWindows d, const float* __restrict__ x,
                              float* __restrict__ y) {
  const int me = static_cast<int>(threadIdx.x);
  const int group = static_cast<int>(blockIdx.x) / t.tiles;
  const int tile = static_cast<int>(blockIdx.x) - group * t.tiles;
  const int row = me / t.tile_packs, out = row / t.tile_pixels;
  const int first = row - out * t.tile_pixels;  // pixel of the window
  const int pack = tile * t.tile_packs + (me - row * t.tile_packs);
  const int output = group * t.tile_outputs + out;
  const bool active = out < t.tile_outputs && pack < t.packs && output < t.outputs;

  Pack<kWidth> sum = splat<kWidth>(0);
  int pixels = 0;
  if (active) {
    const int line = d.q.floor(output), q = output - line * d.q.divisor;
    const int image = d.p.floor(line), p = line - image * d.p.divisor;
    const Span down = covered_by(p, d.h, d.p), across = covered_by(q, d.w, d.q);
    const int wide = across.size();
    pixels = down.size() * wide;
    int h = first / wide, w = first - h * wide;
    const int step_h = t.tile_pixels / wide, step_w = t.tile_pixels - step_h * wide;
    const float* const corner =
        x + (Index{image * d.h + down.begin} * d.w + across.begin) * d.c + pack * kWidth;
#pragma unroll 1
    for (int i = first; i < pixels; i += 4 * t.tile_pixels) {
      Pack<kWidth> v[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        v[k] = splat<kWidth>(0);
        if (i + k * t.tile_pixels < pixels) v[k] = load<kWidth>(corner + Index{h * d.w + w} * d.c);
        h += step_h, w += step_w;
        if (w >= wide) w -= wide, ++h;
      }
#pragma unroll
      for (int j = 0; j < kWidth; ++j)
        sum.e[j] += (v[0].e[j] + v[1].e[j]) + (v[2].e[j] + v[3].e[j]);
    }
  }

  __shared__ __align__(16) float sums[kPoolThreads * kWidth];
  store(sums + me * kWidth, sum);
  for (int rows = t.tile_pixels; rows > 1;) {
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (out < t.tile_outputs && first < rows - half) {
      const Pack<kWidth> other = load<kWidth>(sums + (me + half * t.tile_packs) * kWidth);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum.e[j] += other.e[j];
      store(sums + me * kWidth, sum);
    }
    rows = half;
  }
  if (!active || first > 0) return;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) sum.e[j] /= static_cast<float>(pixels);
  store(y + (Index{output} * t.packs + pack) * kWidth, sum);
}

template <int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 4)
    adaptive_avg_pool2d_gather(PoolTiling t, AdaptiveWindows d, const float* __restrict__ dy,
                               float* __restrict__ dx) {
  PoolPlace place(t, kWidth);
  const Span across = covering(place.column, d.by_w, d.q.divisor);
#pragma unroll 1
  for (int i = 0; i < place.count; ++i, place.next_row(t, kWidth)) {
    const Span down = covering(place.row, d.by_h, d.p.divisor);
    Pack<kWidth> sum = splat<kWidth>(0);
#pragma unroll 1
    for (int p = down.begin; p < down.end; ++p) {
      const int tall = covered_by(p, d.h, d.p).size();
      const float* const line =
          dy + Index{place.image * d.p.divisor + p} * (d.q.divisor * d.c) + place.channel;
#pragma unroll 1
      for (int q = across.begin; q < across.end; ++q) {
        const float weight = 1.0f / static_cast<float>(tall * covered_by(q, d.w, d.q).size());
        const Pack<kWidth> g = load<kWidth>(line + q * d.c);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum.e[j] = fmaf(g.e[j], weight, sum.e[j]);
      }
    }
    store(dx + place.at, sum);
  }
}

}  // namespace

void adaptive_avg_pool2d_forward(Stream s, const AdaptivePool2dShape& d, const float* x, float* y) {
  if (d.y_size() == 0) return;
  with_pack_width(d.c, [&](auto width) {
    const ForwardTiling t(d, width);
    ETUDE_CUDA(launch(
        {.grid = static_cast<unsigned>(t.blocks()), .block = kPoolThreads, .stream = stream_of(s)},
        adaptive_avg_pool2d_means<width>, t, AdaptiveWindows(d), x, y));
  });
}

void adaptive_avg_pool2d_backward(Stream s, const AdaptivePool2dShape& d, const float* dy,
                                  float* dx) {
  if (d.x_size() == 0) return;
  with_pack_width(d.c, [&](auto width) {
    const PoolTiling t(d.n, d.h, d.w, d.c / width, 1);
    ETUDE_CUDA(
        launch(t.shape(s), adaptive_avg_pool2d_gather<width>, t, AdaptiveWindows(d), dy, dx));
  });
}

}  // namespace etude::ETUDE_BACKEND
