// Pooling, vectorised over the channels. Forward walks output pixels, backward walks input pixels
// and collects from the windows that cover each: every output is written once, in a fixed order of
// additions, whatever the threads. A task is one row of one image. Bound by memory.
#include "kernels/cpu/pool2d.h"

#include <type_traits>

namespace etude::ETUDE_BACKEND {
namespace {

struct Range {
  Index begin, end;
};

// The taps of output `o` that lie inside the image.
Range taps_inside(Index o, Index stride, Index pad, Index taps, Index source) {
  const Index first = o * stride - pad;
  return {max_of(0, -first), min_of(taps, source - first)};
}

// The outputs whose window covers input `i`; its tap there is  i + pad - o stride.
Range windows_over(Index i, Index stride, Index pad, Index taps, Index outputs) {
  const Index last = i + pad, first = last - taps + 1;
  return {first <= 0 ? 0 : ceil_div(first, stride), min_of(outputs, last / stride + 1)};
}

// Adaptive windows: output o of `outputs` covers [floor(o in / outputs), ceil((o + 1) in /
// outputs)).
Range adaptive_window(Index o, Index in, Index outputs) {
  return {o * in / outputs, ceil_div((o + 1) * in, outputs)};
}
// The adaptive outputs that cover input i, found near i outputs / in.
Range adaptive_windows_over(Index i, Index in, Index outputs) {
  Index begin = i * outputs / in, end = begin + 1;
  while (begin > 0 && adaptive_window(begin - 1, in, outputs).end > i) --begin;
  while (end < outputs && adaptive_window(end, in, outputs).begin <= i) ++end;
  return {begin, end};
}

}  // namespace

namespace {

template <Index N>
using Constant = std::integral_constant<Index, N>;

// Asks for the cache lines of `floats` floats, two kilobytes ahead in a row, to read or to write
// them: a processor by itself stops doing so at the end of a page. Inlined by force, since GCC
// takes a call that only prefetches for one without effect.
template <bool Write>
ETUDE_INLINE void fetch_ahead(const float* p, Index floats) {
  constexpr Index ahead = 512;
  for (Index i = ahead; i < ahead + floats; i += kLine) __builtin_prefetch(p + i, Write);
}

// Where a row's windows lie, by value: the bytes of argmax may alias what is behind a reference,
// and every pixel would load it again.
struct WindowRow {
  const float* window;  // of the first output, its tap (0, 0)
  const float* sign;    // may be null
  float* y;
  std::uint8_t* argmax;
  Index channels, row, step;  // floats of a pixel; from row to row of x, from window to window
};

// Output q of a row, from taps [r0, r1) x [s0, s1) of windows `width` wide: with constants, the
// loops disappear.
template <bool Signed, class R0, class R1, class S0, class S1, class Width>
ETUDE_INLINE void max_pool2d_pixel(const WindowRow& at_row, Index q, R0 r0, R1 r1, S0 s0, S1 s1,
                                   Width width) {
  const Index C = at_row.channels;
  const float* const window = at_row.window + q * at_row.step;
  for_each_vector(C, [&](Index c, auto at) {
    const Vec order = Signed ? at.load(at_row.sign + c) : Vec{};
    Vec best{}, key{};
    IntVec best_tap{};
    bool found = false;
    for (Index r = r0; r < r1; ++r) {
      for (Index s = s0; s < s1; ++s) {
        const Vec v = at.load(window + r * at_row.row + s * C + c), k = Signed ? v * order : v;
        const IntVec wins = found ? (k > key) | (k != k) : splat(-1);
        key = wins ? k : key;
        best = wins ? v : best;
        best_tap = wins ? splat(static_cast<std::int32_t>(r * width + s)) : best_tap;
        found = true;
      }
    }
    at.store(at_row.y + q * C + c, best);
    store_bytes_n(at_row.argmax + q * C + c, best_tap, at.n);
  });
}

// Outputs [begin, end) of a row, whose windows R x S lie inside the image.
template <bool Signed, Index R, Index S>
void whole_windows(WindowRow at_row, Index begin, Index end) {
  for (Index q = begin; q < end; ++q) {
    for (Index r = 0; r < R; ++r)
      fetch_ahead<false>(at_row.window + r * at_row.row + q * at_row.step, at_row.step);
    max_pool2d_pixel<Signed>(at_row, q, Constant<0>{}, Constant<R>{}, Constant<0>{}, Constant<S>{},
                             Constant<S>{});
  }
}

template <bool Signed>
void max_pool2d_row(const Pool2dShape& d, Index p, WindowRow at_row) {
  const Range rows = taps_inside(p, d.stride_h, d.pad_h, d.r, d.h);
  const auto others = [&](Index begin, Index end) {
    for (Index q = begin; q < end; ++q) {
      const Range columns = taps_inside(q, d.stride_w, d.pad_w, d.s, d.w);
      max_pool2d_pixel<Signed>(at_row, q, rows.begin, rows.end, columns.begin, columns.end, d.s);
    }
  };
  const auto whole = d.r == 2 && d.s == 2   ? whole_windows<Signed, 2, 2>
                     : d.r == 3 && d.s == 3 ? whole_windows<Signed, 3, 3>
                                            : nullptr;
  if (!whole || rows.begin > 0 || rows.end < d.r) return others(0, d.q());
  const Index first = min_of(d.q(), ceil_div(d.pad_w, d.stride_w));
  const Index last = max_of(first, min_of(d.q(), (d.w + d.pad_w - d.s) / d.stride_w + 1));
  others(0, first);
  whole(at_row, first, last);
  others(last, d.q());
}

}  // namespace

// y = max over the taps inside the image (padding never wins); NaN beats every number, and the
// first of equal maxima is the one remembered.
void max_pool2d_row(const Pool2dShape& d, Index n, Index p, const float* sign, const float* x,
                    float* y, std::uint8_t* argmax) {
  const float* const window = x + ((n * d.h + p * d.stride_h - d.pad_h) * d.w - d.pad_w) * d.c;
  const WindowRow at_row{window, sign, y, argmax, d.c, d.w * d.c, d.stride_w * d.c};
  sign ? max_pool2d_row<true>(d, p, at_row) : max_pool2d_row<false>(d, p, at_row);
}

void max_pool2d_forward(Stream, const Pool2dShape& d, const float* x, float* y,
                        std::uint8_t* argmax) {
  const Index P = d.p(), row = d.q() * d.c;
  parallel_for(d.n * P, d.y_size() * d.r * d.s, [&](Index task) {
    max_pool2d_row(d, task / P, task % P, nullptr, x, y + task * row, argmax + task * row);
  });
}

namespace {

// Where windows neither overlap nor leave gaps in a row: each sends its gradient to one tap. Row r
// of `count` windows, as wide as `width` says.
template <class Width>
void spread_windows(Index count, Index channels, Width width, Index r, const float* dy,
                    const std::uint8_t* argmax, float* dx) {
  for (Index q = 0; q < count; ++q) {
    fetch_ahead<true>(dx + q * width * channels, width * channels);
    for_each_vector(channels, [&](Index c, auto at) {
      const Vec g = at.load(dy + q * channels + c);
      const IntVec winner = load_bytes_n(argmax + q * channels + c, at.n);
      for (Index s = 0; s < width; ++s) {
        const IntVec hit = winner == splat(static_cast<std::int32_t>(r * width + s));
        at.store(dx + (q * width + s) * channels + c, hit ? g : Vec{});
      }
    });
  }
}

}  // namespace

void max_pool2d_backward_row(const Pool2dShape& d, Index n, Index h, const float* dy,
                             const std::uint8_t* argmax, float* dx) {
  const Index P = d.p(), Q = d.q();
  const Range rows = windows_over(h, d.stride_h, d.pad_h, d.r, P);
  if (d.stride_w == d.s && d.pad_w == 0 && rows.end == rows.begin + 1) {
    const Index first = (n * P + rows.begin) * Q * d.c;
    const Index r = h + d.pad_h - rows.begin * d.stride_h;
    if (d.s == 2)
      spread_windows(Q, d.c, Constant<2>{}, r, dy + first, argmax + first, dx);
    else
      spread_windows(Q, d.c, d.s, r, dy + first, argmax + first, dx);
    for (Index i = Q * d.s * d.c; i < d.w * d.c; ++i) dx[i] = 0;
    return;
  }
  for (Index w = 0; w < d.w; ++w) {
    const Range columns = windows_over(w, d.stride_w, d.pad_w, d.s, Q);
    for_each_vector(d.c, [&](Index c, auto at) {
      Vec total{};
      for (Index p = rows.begin; p < rows.end; ++p) {
        for (Index q = columns.begin; q < columns.end; ++q) {
          const Index i = ((n * P + p) * Q + q) * d.c + c;
          const Index tap = (h + d.pad_h - p * d.stride_h) * d.s + (w + d.pad_w - q * d.stride_w);
          const IntVec hit =
              load_bytes_n(argmax + i, at.n) == splat(static_cast<std::int32_t>(tap));
          total += hit ? at.load(dy + i) : Vec{};
        }
      }
      at.store(dx + w * d.c + c, total);
    });
  }
}

void max_pool2d_backward(Stream, const Pool2dShape& d, const float* dy, const std::uint8_t* argmax,
                         float* dx) {
  parallel_for(d.n * d.h, d.x_size() + d.y_size(), [&](Index task) {
    max_pool2d_backward_row(d, task / d.h, task % d.h, dy, argmax, dx + task * d.w * d.c);
  });
}

// y = sum over the window / (R S): padding counts as zeros.
void avg_pool2d_forward(Stream, const Pool2dShape& d, const float* x, float* y) {
  const Index P = d.p(), Q = d.q();
  const Vec scale = splat(1 / static_cast<float>(d.r * d.s));
  parallel_for(d.n * P, d.y_size() * d.r * d.s, [&](Index task) {
    const Index n = task / P, p = task % P;
    const Range rows = taps_inside(p, d.stride_h, d.pad_h, d.r, d.h);
    for (Index q = 0; q < Q; ++q) {
      const Range columns = taps_inside(q, d.stride_w, d.pad_w, d.s, d.w);
      const float* const window =
          x + ((n * d.h + p * d.stride_h - d.pad_h) * d.w + q * d.stride_w - d.pad_w) * d.c;
      for_each_vector(d.c, [&](Index c, auto at) {
        Vec total{};
        for (Index r = rows.begin; r < rows.end; ++r)
          for (Index s = columns.begin; s < columns.end; ++s)
            total += at.load(window + (r * d.w + s) * d.c + c);
        at.store(y + (task * Q + q) * d.c + c, total * scale);
      });
    }
  });
}

void avg_pool2d_backward(Stream, const Pool2dShape& d, const float* dy, float* dx) {
  const Index P = d.p(), Q = d.q();
  const Vec scale = splat(1 / static_cast<float>(d.r * d.s));
  parallel_for(d.n * d.h, d.x_size() + d.y_size(), [&](Index task) {
    const Index n = task / d.h, h = task % d.h;
    const Range rows = windows_over(h, d.stride_h, d.pad_h, d.r, P);
    for (Index w = 0; w < d.w; ++w) {
      const Range columns = windows_over(w, d.stride_w, d.pad_w, d.s, Q);
      for_each_vector(d.c, [&](Index c, auto at) {
        Vec total{};
        for (Index p = rows.begin; p < rows.end; ++p)
          for (Index q = columns.begin; q < columns.end; ++q)
            total += at.load(dy + ((n * P + p) * Q + q) * d.c + c);
        at.store(dx + (task * d.w + w) * d.c + c, total * scale);
      });
    }
  });
}

// y = mean over the window, whose size may differ from output to output. Each row of the window is
// summed by itself first: a global average over a long spectrogram keeps its digits.
void adaptive_avg_pool2d_forward(Stream, const AdaptivePool2dShape& d, const float* x, float* y) {
  parallel_for(d.n * d.p, d.x_size(), [&](Index task) {
    const Index n = task / d.p, p = task % d.p;
    const Range rows = adaptive_window(p, d.h, d.p);
    for (Index q = 0; q < d.q; ++q) {
      const Range columns = adaptive_window(q, d.w, d.q);
      const Index count = (rows.end - rows.begin) * (columns.end - columns.begin);
      const Vec scale = splat(1 / static_cast<float>(count));
      for_each_vector(d.c, [&](Index c, auto at) {
        Vec total{};
        for (Index h = rows.begin; h < rows.end; ++h) {
          Vec row{};
          for (Index w = columns.begin; w < columns.end; ++w)
            row += at.load(x + ((n * d.h + h) * d.w + w) * d.c + c);
          total += row;
        }
        at.store(y + (task * d.q + q) * d.c + c, total * scale);
      });
    }
  });
}

void adaptive_avg_pool2d_backward(Stream, const AdaptivePool2dShape& d, const float* dy,
                                  float* dx) {
  parallel_for(d.n * d.h, d.x_size(), [&](Index task) {
    const Index n = task / d.h, h = task % d.h;
    const Range rows = adaptive_windows_over(h, d.h, d.p);
    for (Index w = 0; w < d.w; ++w) {
      const Range columns = adaptive_windows_over(w, d.w, d.q);
      for_each_vector(d.c, [&](Index c, auto at) {
        Vec total{};
        for (Index p = rows.begin; p < rows.end; ++p) {
          const Range tall = adaptive_window(p, d.h, d.p);
          for (Index q = columns.begin; q < columns.end; ++q) {
            const Range wide = adaptive_window(q, d.w, d.q);
            const Index count = (tall.end - tall.begin) * (wide.end - wide.begin);
            total += at.load(dy + ((n * d.p + p) * d.q + q) * d.c + c) *
                     splat(1 / static_cast<float>(count));
          }
        }
        at.store(dx + (task * d.w + w) * d.c + c, total);
      });
    }
  });
}

}  // namespace etude::ETUDE_BACKEND
