// 2-D convolution as its definition reads. With x = 0 outside the image,
//
//   y[n,p,q,k] = bias[k] + sum over r,s,c of x[n, p stride + r dilation - pad, (same for q), c]
//                                            w[k,r,s,c]
//
// Each pass is 2 N P Q K R S C FLOPs and touches x, w and y once. Every output is one sum in
// double, in the order of the loops; no scratch memory.
#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

std::size_t conv2d_forward_workspace(const Conv2dShape&) { return 0; }
std::size_t conv2d_backward_data_workspace(const Conv2dShape&) { return 0; }
std::size_t conv2d_backward_filter_workspace(const Conv2dShape&) { return 0; }

void conv2d_forward(Stream, const Conv2dShape& d, const T* x, const T* w, const T* bias, bool relu,
                    T* y, void*) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index p = 0; p < P; ++p) {
      for (Index q = 0; q < Q; ++q) {
        for (Index k = 0; k < d.k; ++k) {
          double acc = bias ? bias[k] : 0;
          for (Index r = 0; r < d.r; ++r) {
            const Index h = p * d.stride_h + r * d.dilation_h - d.pad_h;
            if (h < 0 || h >= d.h) continue;
            for (Index s = 0; s < d.s; ++s) {
              const Index v = q * d.stride_w + s * d.dilation_w - d.pad_w;
              if (v < 0 || v >= d.w) continue;
              const T* pixel = x + ((n * d.h + h) * d.w + v) * d.c;
              const T* tap = w + ((k * d.r + r) * d.s + s) * d.c;
              for (Index c = 0; c < d.c; ++c) acc += static_cast<double>(pixel[c]) * tap[c];
            }
          }
          if (relu && acc <= 0) acc = 0;  // false for NaN, which stays
          y[((n * P + p) * Q + q) * d.k + k] = static_cast<T>(acc);
        }
      }
    }
  }
}

// dx[n,h,w,c] = sum over k,r,s of dy[n,p,q,k] w[k,r,s,c] with p stride + r dilation - pad = h:
// a gather, so that each input pixel is written once.
void conv2d_backward_data(Stream, const Conv2dShape& d, const T* dy, const T* w, T* dx, void*) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for collapse(2)
  for (Index n = 0; n < d.n; ++n) {
    for (Index h = 0; h < d.h; ++h) {
      for (Index v = 0; v < d.w; ++v) {
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index r = 0; r < d.r; ++r) {
            const Index from_h = h + d.pad_h - r * d.dilation_h;  // = p stride
            if (from_h < 0 || from_h % d.stride_h || from_h / d.stride_h >= P) continue;
            for (Index s = 0; s < d.s; ++s) {
              const Index from_w = v + d.pad_w - s * d.dilation_w;
              if (from_w < 0 || from_w % d.stride_w || from_w / d.stride_w >= Q) continue;
              const Index p = from_h / d.stride_h, q = from_w / d.stride_w;
              const T* out = dy + ((n * P + p) * Q + q) * d.k;
              const T* tap = w + (r * d.s + s) * d.c + c;
              for (Index k = 0; k < d.k; ++k)
                acc += static_cast<double>(out[k]) * tap[k * d.r * d.s * d.c];
            }
          }
          dx[((n * d.h + h) * d.w + v) * d.c + c] = static_cast<T>(acc);
        }
      }
    }
  }
}

// dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] x[n, p stride + r dilation - pad, ..., c]
// dbias[k]    = sum over n,p,q of dy[n,p,q,k]
void conv2d_backward_filter(Stream, const Conv2dShape& d, const T* x, const T* dy, T* dw, T* dbias,
                            void*) {
  const Index P = d.p(), Q = d.q();
#pragma omp parallel for
  for (Index k = 0; k < d.k; ++k) {
    for (Index r = 0; r < d.r; ++r) {
      for (Index s = 0; s < d.s; ++s) {
        for (Index c = 0; c < d.c; ++c) {
          double acc = 0;
          for (Index n = 0; n < d.n; ++n) {
            for (Index p = 0; p < P; ++p) {
              const Index h = p * d.stride_h + r * d.dilation_h - d.pad_h;
              if (h < 0 || h >= d.h) continue;
              for (Index q = 0; q < Q; ++q) {
                const Index v = q * d.stride_w + s * d.dilation_w - d.pad_w;
                if (v < 0 || v >= d.w) continue;
                acc += static_cast<double>(dy[((n * P + p) * Q + q) * d.k + k]) *
                       x[((n * d.h + h) * d.w + v) * d.c + c];
              }
            }
          }
          dw[((k * d.r + r) * d.s + s) * d.c + c] = static_cast<T>(acc);
        }
      }
    }
    if (dbias) {
      double acc = 0;
      for (Index i = 0; i < d.n * P * Q; ++i) acc += dy[i * d.k + k];
      dbias[k] = static_cast<T>(acc);
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
