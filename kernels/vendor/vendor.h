/* What libetude-vendor offers: NVIDIA's libraries behind one table of functions.
 *
 * It is a library of its own, opened at run time (loader.h), so that the program starts where cuDNN,
 * cuBLAS and cuFFT are absent. Plain C, so that both sides may come from different compilers. They
 * are yardsticks for the benchmarks and an optional provider of linear layers: the engine trains
 * without them.
 *
 * Conventions. All matrices are float and row-major; pointers are to memory of the device `device`;
 * `stream` is its cudaStream_t, on which the work is enqueued and not waited for. A function returns
 * null when all is well, else what was wrong; the text is valid until the thread's next call.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ETUDE_VENDOR_VERSION 1

/* As Conv2dShape (kernels/shapes.h). */
typedef struct EtudeVendorConv2d {
  int64_t n, h, w, c, k, r, s;
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int nchw; /* 0: x [N,H,W,C], w [K,R,S,C], y [N,P,Q,K]; else x [N,C,H,W], w [K,C,R,S], y [N,K,P,Q] */
  int tf32; /* 0: float32 arithmetic only */
} EtudeVendorConv2d;

enum { ETUDE_VENDOR_FORWARD = 0, ETUDE_VENDOR_BACKWARD_DATA = 1, ETUDE_VENDOR_BACKWARD_FILTER = 2 };

typedef struct EtudeVendorPlan EtudeVendorPlan;

typedef struct EtudeVendor {
  int version;        /* ETUDE_VENDOR_VERSION; the first member for ever */
  const char* device; /* the kind of device whose memory it works on: "cuda" */

  int libraries;                          /* how many there are */
  const char* (*library_name)(int which); /* "cuDNN 9.14.0" */
  const char* (*library_problem)(int which); /* why it cannot be used; null: it can */

  /* A convolution, with the fastest algorithm that cuDNN finds for it by measuring. */
  const char* (*conv2d_plan)(const EtudeVendorConv2d* shape, int pass, int device, void* stream,
                             EtudeVendorPlan** plan);
  /* Real FFTs by cuFFT: [batch, n] -> [batch, n / 2 + 1, 2]. */
  const char* (*rfft_plan)(int64_t n, int64_t batch, int device, void* stream,
                           EtudeVendorPlan** plan);
  /* forward: x, w -> y; backward data: dy, w -> dx; backward filter: x, dy -> dw; rfft: a -> y. */
  const char* (*run)(EtudeVendorPlan* plan, const float* a, const float* b, float* y);
  /* What was chosen, for people: "implicit precomp gemm, deterministic". */
  const char* (*describe)(const EtudeVendorPlan* plan);
  size_t (*workspace)(const EtudeVendorPlan* plan); /* bytes that the plan holds */
  void (*destroy)(EtudeVendorPlan* plan);

  /* c [m, n] = op(a) [m, k] op(b) [k, n] + beta c by cuBLAS; op transposes where ta or tb is not 0:
   * a is then stored as [k, m], b as [n, k]. No TF32. */
  const char* (*sgemm)(int device, void* stream, int ta, int tb, int64_t m, int64_t n, int64_t k,
                       const float* a, const float* b, float beta, float* c);
} EtudeVendor;

/* The one symbol of the library. */
#define ETUDE_VENDOR_SYMBOL "etude_vendor_table"
typedef const EtudeVendor* (*EtudeVendorEntry)(void);

#ifdef __cplusplus
}
#endif
