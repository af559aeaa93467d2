// Pooling, forward as the definitions read and backward as gathers: each input pixel collects from
// the windows that cover it and is written once.
#include <cmath>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {
namespace {

// The output row whose tap `tap` reads input row `at`, or -1.
Index window_of(Index at, Index tap, Index stride, Index pad, Index outputs) {
  const Index from = at + pad - tap;  // = output stride
  if (from < 0 || from % stride || from / stride >= outputs) return -1;
  return from / stride;
}

// Adaptive windows: output i of `out` covers [floor(i in / out), ceil((i + 1) in / out)).
Index adaptive_begin(Index i, Index in, Index out) { return i * in / out; }
Index adaptive_end(Index i, Index in, Index out) { return ((i + 1) * in + out - 1) / out; }

}  // namespace

// y = max over the taps inside the image (padding never wins); NaN beats every number, and the
// first of equal maxima is the one remembered.
void max_pool2d_forward(Stream, const Pool2dShape& d, const T* x, T* y, std::uint8_t* argmax) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index p = 0; p < P; ++p) {
      for (Index q = 0; q < Q; ++q) {
        for (Index c = 0; c < d.c; ++c) {
          bool found = false;
          T best = 0;
          Index best_tap = 0;
          for (Index r = 0; r < d.r; ++r) {
            const Index h = p * d.stride_h + r - d.pad_h;
            if (h < 0 || h >= d.h) continue;
            for (Index s = 0; s < d.s; ++s) {
              const Index v = q * d.stride_w + s - d.pad_w;
              if (v < 0 || v >= d.w) continue;
              const T value = x[((n * d.h + h) * d.w + v) * d.c + c];
              if (!found || value > best || std::isnan(value)) {
                found = true;
                best = value;
                best_tap = r * d.s + s;
              }
            }
          }
          const Index at = ((n * P + p) * Q + q) * d.c + c;
          y[at] = best;
          argmax[at] = static_cast<std::uint8_t>(best_tap);
        }
      }
    }
  }
}

void max_pool2d_backward(Stream, const Pool2dShape& d, const T* dy, const std::uint8_t* argmax,
                         T* dx) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index h = 0; h < d.h; ++h) {
      for (Index v = 0; v < d.w; ++v) {
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index r = 0; r < d.r; ++r) {
            const Index p = window_of(h, r, d.stride_h, d.pad_h, P);
            if (p < 0) continue;
            for (Index s = 0; s < d.s; ++s) {
              const Index q = window_of(v, s, d.stride_w, d.pad_w, Q);
              if (q < 0) continue;
              const Index at = ((n * P + p) * Q + q) * d.c + c;
              if (argmax[at] == r * d.s + s) acc += dy[at];
            }
          }
          dx[((n * d.h + h) * d.w + v) * d.c + c] = static_cast<T>(acc);
        }
      }
    }
  }
}

// y = sum over the window / (R S): padding counts as zeros.
void avg_pool2d_forward(Stream, const Pool2dShape& d, const T* x, T* y) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index p = 0; p < P; ++p) {
      for (Index q = 0; q < Q; ++q) {
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index r = 0; r < d.r; ++r) {
            const Index h = p * d.stride_h + r - d.pad_h;
            if (h < 0 || h >= d.h) continue;
            for (Index s = 0; s < d.s; ++s) {
              const Index v = q * d.stride_w + s - d.pad_w;
              if (v < 0 || v >= d.w) continue;
              acc += x[((n * d.h + h) * d.w + v) * d.c + c];
            }
          }
          y[((n * P + p) * Q + q) * d.c + c] = static_cast<T>(acc / static_cast<double>(d.r * d.s));
        }
      }
    }
  }
}

void avg_pool2d_backward(Stream, const Pool2dShape& d, const T* dy, T* dx) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index h = 0; h < d.h; ++h) {
      for (Index v = 0; v < d.w; ++v) {
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index r = 0; r < d.r; ++r) {
            const Index p = window_of(h, r, d.stride_h, d.pad_h, P);
            if (p < 0) continue;
            for (Index s = 0; s < d.s; ++s) {
              const Index q = window_of(v, s, d.stride_w, d.pad_w, Q);
              if (q >= 0) acc += dy[((n * P + p) * Q + q) * d.c + c];
            }
          }
          dx[((n * d.h + h) * d.w + v) * d.c + c] =
              static_cast<T>(acc / static_cast<double>(d.r * d.s));
        }
      }
    }
  }
}

// y = mean over the window, whose size may differ from output to output.
void adaptive_avg_pool2d_forward(Stream, const AdaptivePool2dShape& d, const T* x, T* y) {
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index p = 0; p < d.p; ++p) {
      for (Index q = 0; q < d.q; ++q) {
        const Index h0 = adaptive_begin(p, d.h, d.p), h1 = adaptive_end(p, d.h, d.p);
        const Index w0 = adaptive_begin(q, d.w, d.q), w1 = adaptive_end(q, d.w, d.q);
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index h = h0; h < h1; ++h)
            for (Index v = w0; v < w1; ++v) acc += x[((n * d.h + h) * d.w + v) * d.c + c];
          y[((n * d.p + p) * d.q + q) * d.c + c] =
              static_cast<T>(acc / static_cast<double>((h1 - h0) * (w1 - w0)));
        }
      }
    }
  }
}

void adaptive_avg_pool2d_backward(Stream, const AdaptivePool2dShape& d, const T* dy, T* dx) {
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index h = 0; h < d.h; ++h) {
      for (Index v = 0; v < d.w; ++v) {
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index p = 0; p < d.p; ++p) {
            const Index h0 = adaptive_begin(p, d.h, d.p), h1 = adaptive_end(p, d.h, d.p);
            if (h < h0 || h >= h1) continue;
            for (Index q = 0; q < d.q; ++q) {
              const Index w0 = adaptive_begin(q, d.w, d.q), w1 = adaptive_end(q, d.w, d.q);
              if (v < w0 || v >= w1) continue;
              acc += dy[((n * d.p + p) * d.q + q) * d.c + c] /
                     static_cast<double>((h1 - h0) * (w1 - w0));
            }
          }
          dx[((n * d.h + h) * d.w + v) * d.c + c] = static_cast<T>(acc);
        }
      }
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
