// 2-D pooling over windows of R x S taps, NHWC.
//
//   max forward   y = max over the taps inside the image, argmax = the tap r S + s of the first
//   max backward  dx = sum of dy over the windows whose argmax is this pixel
//   avg forward   y = sum over the taps inside the image / (R S)
//   avg backward  dx = sum of dy over the windows that cover this pixel / (R S)
//
// NaN beats every number. Backward gathers: each pixel collects from the windows that cover it, in
// the order of the windows, and is written once; no atomics (which are how this is often done), so
// the same bits every time.
//
// Threads: see pool2d.h. Forward reads its taps four at a time, all four before it uses one;
// backward reads the same window of four rows of pixels. No shared memory: windows overlap, or
// share sectors, within a block, and L1 serves that.
//
// FLOPs: a comparison or addition a tap. Bytes: x and y once, and for max a byte of argmax for each
// element of y; forward and backward alike. With 2 x 2 windows 21 bytes for 4 elements of x. Bound
// by memory; with odd C, where a thread moves 4 bytes at a time, nearly by the instructions.
#include <cmath>

#include "kernels/cuda/pool2d.h"

namespace etude::ETUDE_BACKEND {
namespace {

struct Window {
  int h, w, c;  // of x
  int p, q;     // of y
  int r, s, stride_h, stride_w, pad_h, pad_w;
  Divisor by_stride_h, by_stride_w;

  explicit Window(const Pool2dShape& d)
      : h(static_cast<int>(d.h)),
        w(static_cast<int>(d.w)),
        c(static_cast<int>(d.c)),
        p(static_cast<int>(d.p())),
        q(static_cast<int>(d.q())),
        r(static_cast<int>(d.r)),
        s(static_cast<int>(d.s)),
        stride_h(static_cast<int>(d.stride_h)),
        stride_w(static_cast<int>(d.stride_w)),
        pad_h(static_cast<int>(d.pad_h)),
        pad_w(static_cast<int>(d.pad_w)),
        by_stride_h(d.stride_h),
        by_stride_w(d.stride_w) {}
};

// ---- forward ------------------------------------------------------------------------------------

// body(tap, v) for every tap of the window of output (row, column), in order; taps outside the
// image, and up to three behind the last, have v = outside.
template <int kWidth, class Body>
__device__ inline void for_each_tap(const Window& d, const PoolPlace& place,
                                    const float* __restrict__ x, float outside, Body&& body) {
  const int h0 = place.row * d.stride_h - d.pad_h, w0 = place.column * d.stride_w - d.pad_w;
  const int taps = d.r * d.s;
  const Index line = Index{d.w} * d.c;
  int r = 0, s = 0;
#pragma unroll 1
  for (int tap = 0; tap < taps; tap += 4) {
    Pack<kWidth> v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      v[k] = splat<kWidth>(outside);
      const int h = h0 + r, w = w0 + s;
      if (r < d.r && static_cast<unsigned>(h) < static_cast<unsigned>(d.h) &&
          static_cast<unsigned>(w) < static_cast<unsigned>(d.w))
        v[k] = load<kWidth>(x + (place.image * d.h + h) * line + (w * d.c + place.channel));
      if (++s == d.s) s = 0, ++r;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) body(tap + k, v[k]);
  }
}

template <int kWidth>
__device__ inline void store_bytes(std::uint8_t* p, const int (&v)[kWidth]) {
  const auto byte = [&](int j) { return static_cast<unsigned char>(v[j]); };
  if constexpr (kWidth == 4)
    *reinterpret_cast<uchar4*>(p) = make_uchar4(byte(0), byte(1), byte(2), byte(3));
  else if constexpr (kWidth == 2)
    *reinterpret_cast<uchar2*>(p) = make_uchar2(byte(0), byte(1));
  else
    *p = byte(0);
}

template <int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 4)
    max_pool2d_windows(PoolTiling t, Window d, const float* __restrict__ x, float* __restrict__ y,
                       std::uint8_t* __restrict__ argmax) {
  PoolPlace place(t, kWidth);
#pragma unroll 1
  for (int i = 0; i < place.count; ++i, place.next_row(t, kWidth)) {
    // The first tap inside wins unless another is greater: also where all are -inf.
    const int first = max_of(0, d.pad_h - place.row * d.stride_h) * d.s +
                      max_of(0, d.pad_w - place.column * d.stride_w);
    Pack<kWidth> best = splat<kWidth>(-INFINITY);
    int best_tap[kWidth];
#pragma unroll
    for (int j = 0; j < kWidth; ++j) best_tap[j] = first;
    for_each_tap<kWidth>(d, place, x, -INFINITY, [&](int tap, const Pack<kWidth>& v) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) {
        const bool wins = (v.e[j] > best.e[j]) | (v.e[j] != v.e[j]);
        best.e[j] = wins ? v.e[j] : best.e[j];
        best_tap[j] = wins ? tap : best_tap[j];
      }
    });
    store(y + place.at, best);
    store_bytes<kWidth>(argmax + place.at, best_tap);
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 4)
    avg_pool2d_windows(PoolTiling t, Window d, float scale, const float* __restrict__ x,
                       float* __restrict__ y) {
  PoolPlace place(t, kWidth);
#pragma unroll 1
  for (int i = 0; i < place.count; ++i, place.next_row(t, kWidth)) {
    Pack<kWidth> sum = splat<kWidth>(0);
    for_each_tap<kWidth>(d, place, x, 0, [&](int, const Pack<kWidth>& v) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum.e[j] += v.e[j];
    });
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum.e[j] *= scale;
    store(y + place.at, sum);
  }
}

// ---- backward -----------------------------------------------------------------------------------

// The first output whose window covers input i, and the tap that it has there.
struct Cover {
  int output, tap;
  __device__ Cover(int i, int taps, int pad, const Divisor& stride) {
    output = stride.ceil(max_of(0, i + pad - taps + 1));
    tap = i + pad - output * stride.divisor;
  }
};

// body(k, at, tap) for every window over a thread's pixels: row k of the thread, offset in dy, and
// the tap that the pixel is. Windows in the order of p and q; of one window all rows in turn.
template <class Load, class Use>
__device__ inline void for_each_window(const PoolTiling& t, const Window& d, PoolPlace place,
                                       int width, Load&& read, Use&& use) {
  const Cover across(place.column, d.s, d.pad_w, d.by_stride_w);
  int output[kPoolRows], tap[kPoolRows], image[kPoolRows];
#pragma unroll
  for (int k = 0; k < kPoolRows; ++k) {
    const Cover down(place.row, d.r, d.pad_h, d.by_stride_h);
    // Rows that the thread has not are covered by no window.
    output[k] = k < place.count ? down.output : d.p;
    tap[k] = down.tap;
    image[k] = place.image;
    place.next_row(t, width);
  }
  const Index line = Index{d.q} * d.c;
  for (int down = 0; down * d.stride_h < d.r; ++down) {
    int q = across.output, tap_w = across.tap;
    for (int right = 0; right * d.stride_w < d.s; ++right, ++q, tap_w -= d.stride_w) {
#pragma unroll
      for (int k = 0; k < kPoolRows; ++k) {
        const int p = output[k] + down, tap_h = tap[k] - down * d.stride_h;
        const bool covered = p < d.p && q < d.q && tap_h >= 0 && tap_w >= 0;
        read(k, covered, (image[k] * d.p + p) * line + (q * d.c + place.channel),
             tap_h * d.s + tap_w);
      }
#pragma unroll
      for (int k = 0; k < kPoolRows; ++k) use(k);
    }
  }
}

template <int kWidth>
__device__ inline void load_bytes(const std::uint8_t* p, int (&v)[kWidth]) {
  if constexpr (kWidth == 4) {
    const uchar4 a = *reinterpret_cast<const uchar4*>(p);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
  } else if constexpr (kWidth == 2) {
    const uchar2 a = *reinterpret_cast<const uchar2*>(p);
    v[0] = a.x, v[1] = a.y;
  } else {
    v[0] = *p;
  }
}

template <int kWidth>
__device__ inline void store_rows(const PoolTiling& t, const PoolPlace& place,
                                  const Pack<kWidth> (&sum)[kPoolRows], float* __restrict__ dx) {
#pragma unroll
  for (int k = 0; k < kPoolRows; ++k)
    if (k < place.count) store(dx + place.at + Index{k} * t.packs * kWidth, sum[k]);
}

template <int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 2)
    max_pool2d_gather(PoolTiling t, Window d, const float* __restrict__ dy,
                      const std::uint8_t* __restrict__ argmax, float* __restrict__ dx) {
  const PoolPlace place(t, kWidth);
  Pack<kWidth> sum[kPoolRows], g[kPoolRows];
  int winner[kPoolRows][kWidth], tap[kPoolRows];
#pragma unroll
  for (int k = 0; k < kPoolRows; ++k) sum[k] = splat<kWidth>(0);
  for_each_window(
      t, d, place, kWidth,
      [&](int k, bool covered, Index at, int tap_here) {
        tap[k] = tap_here;
        g[k] = splat<kWidth>(0);  // all that an uncovered pixel can add
#pragma unroll
        for (int j = 0; j < kWidth; ++j) winner[k][j] = 0;
        if (!covered) return;
        g[k] = load<kWidth>(dy + at);
        load_bytes<kWidth>(argmax + at, winner[k]);
      },
      [&](int k) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[k].e[j] += winner[k][j] == tap[k] ? g[k].e[j] : 0.0f;
      });
  store_rows(t, place, sum, dx);
}

template <int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 2)
    avg_pool2d_gather(PoolTiling t, Window d, float scale, const float* __restrict__ dy,
                      float* __restrict__ dx) {
  const PoolPlace place(t, kWidth);
  Pack<kWidth> sum[kPoolRows], g[kPoolRows];
#pragma unroll
  for (int k = 0; k < kPoolRows; ++k) sum[k] = splat<kWidth>(0);
  for_each_window(
      t, d, place, kWidth,
      [&](int k, bool covered, Index at, int) {
        g[k] = splat<kWidth>(0);
        if (covered) g[k] = load<kWidth>(dy + at);
      },
      [&](int k) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[k].e[j] += g[k].e[j];
      });
#pragma unroll
  for (int k = 0; k < kPoolRows; ++k)
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[k].e[j] *= scale;
  store_rows(t, place, sum, dx);
}

// One over the taps, padding counted.
float tap_weight(const Pool2dShape& d) { return 1 / static_cast<float>(d.r * d.s); }

}  // namespace

void max_pool2d_forward(Stream s, const Pool2dShape& d, const float* x, float* y,
                        std::uint8_t* argmax) {
  if (d.y_size() == 0) return;
  with_pack_width(d.c, [&](auto width) {
    const PoolTiling t(d.n, d.p(), d.q(), d.c / width, 1);
    ETUDE_CUDA(launch(t.shape(s), max_pool2d_windows<width>, t, Window(d), x, y, argmax));
  });
}

void max_pool2d_backward(Stream s, const Pool2dShape& d, const float* dy,
                         const std::uint8_t* argmax, float* dx) {
  if (d.x_size() == 0) return;
  with_pack_width(d.c, [&](auto width) {
    const PoolTiling t(d.n, d.h, d.w, d.c / width, kPoolRows);
    ETUDE_CUDA(launch(t.shape(s), max_pool2d_gather<width>, t, Window(d), dy, argmax, dx));
  });
}

void avg_pool2d_forward(Stream s, const Pool2dShape& d, const float* x, float* y) {
  if (d.y_size() == 0) return;
  with_pack_width(d.c, [&](auto width) {
    const PoolTiling t(d.n, d.p(), d.q(), d.c / width, 1);
    ETUDE_CUDA(launch(t.shape(s), avg_pool2d_windows<width>, t, Window(d), tap_weight(d), x, y));
  });
}

void avg_pool2d_backward(Stream s, const Pool2dShape& d, const float* dy, float* dx) {
  if (d.x_size() == 0) return;
  with_pack_width(d.c, [&](auto width) {
    const PoolTiling t(d.n, d.h, d.w, d.c / width, kPoolRows);
    ETUDE_CUDA(launch(t.shape(s), avg_pool2d_gather<width>, t, Window(d), tap_weight(d), dy, dx));
  });
}

}  // namespace etude::ETUDE_BACKEND
