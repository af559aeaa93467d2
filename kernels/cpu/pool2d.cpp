// Pooling, vectorised over the channels. Forward walks output pixels, backward walks input pixels
// and collects from the windows that cover each: every output is written once, in a fixed order of
// additions, whatever the threads. A task is one row of one image. Bound by memory.
#include "kernels/cpu/parallel.h"

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

// y = max over the taps inside the image (padding never wins); NaN beats every number, and the
// first of equal maxima is the one remembered.
void max_pool2d_forward(Stream, const Pool2dShape& d, const float* x, float* y,
                        std::uint8_t* argmax) {
  const Index P = d.p(), Q = d.q();
  parallel_for(d.n * P, d.y_size() * d.r * d.s, [&](Index task) {
    const Index n = task / P, p = task % P;
    const Range rows = taps_inside(p, d.stride_h, d.pad_h, d.r, d.h);
    for (Index q = 0; q < Q; ++q) {
      const Range columns = taps_inside(q, d.stride_w, d.pad_w, d.s, d.w);
      const float* const window =
          x + ((n * d.h + p * d.stride_h - d.pad_h) * d.w + q * d.stride_w - d.pad_w) * d.c;
      const Index out = (task * Q + q) * d.c;
      for_each_vector(d.c, [&](Index c, auto at) {
        Vec best{};
        IntVec best_tap{};
        bool found = false;
        for (Index r = rows.begin; r < rows.end; ++r) {
          for (Index s = columns.begin; s < columns.end; ++s) {
            const Vec v = at.load(window + (r * d.w + s) * d.c + c);
            const IntVec tap = splat(static_cast<std::int32_t>(r * d.s + s));
            const IntVec wins = found ? (v > best) | (v != v) : splat(-1);
            best = wins ? v : best;
            best_tap = wins ? tap : best_tap;
            found = true;
          }
        }
        at.store(y + out + c, best);
        store_bytes_n(argmax + out + c, best_tap, at.n);
      });
    }
  });
}

void max_pool2d_backward(Stream, const Pool2dShape& d, const float* dy, const std::uint8_t* argmax,
                         float* dx) {
  const Index P = d.p(), Q = d.q();
  parallel_for(d.n * d.h, d.x_size() + d.y_size(), [&](Index task) {
    const Index n = task / d.h, h = task % d.h;
    const Range rows = windows_over(h, d.stride_h, d.pad_h, d.r, P);
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
        at.store(dx + (task * d.w + w) * d.c + c, total);
      });
    }
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
