// The Fourier transform of a windowed frame of N = n_fft real samples, N a power of two from 128 to
// 8192, by a group of lanes that keeps its points in registers.
//
//   z[n] = x[2n] + i x[2n + 1], n < M = N / 2       pack the real samples as complex points
//   Z[k] = sum over n of z[n] exp(-2 pi i n k / M)  complex transform
//   E = (Z[k] + conj Z[M - k]) / 2                  transforms of the even and of the odd samples
//   O = (Z[k] - conj Z[M - k]) / 2i
//   X[k] = E + W O,  X[M - k] = conj(E - W O),      W = exp(-2 pi i k / N), k <= M / 2
//
// The complex transform is Stockham's, which leaves its result in order, with few passes of a high
// radix (Govindaraju et al., High Performance Discrete Fourier Transforms on Graphics Processors,
// 2008). Lane t of a group of M / P holds the P points t + (M / P) i. A pass transforms R of them,
// P / R times; between two passes the points change lanes through shared memory.
//
//   N                 128    256    512    1024   2048   4096     8192
//   points a lane     16     16     16     32     32     32       32
//   lanes a frame     4      8      16     16     32     64       128
//   passes            16 4   16 8   16 16  32 16  32 32  32 32 2  32 32 4
//
// Up to 2048 a frame stays within a warp: one exchange, ordered by __syncwarp alone. Real and
// imaginary parts take turns in the exchange, which halves its shared memory. All its accesses are
// free of bank conflicts (see the padding below).
//
// A NaN or infinity in the frame reaches both parts of every X[k] but the imaginary parts of X[0]
// and X[M], which are zero by symmetry.
#pragma once

#include "kernels/cuda/frames.h"

namespace etude::ETUDE_BACKEND {

template <int N>
struct FftShape {
  static constexpr int kM = N / 2;
  static constexpr int kPoints = kM >= 512 ? 32 : 16;  // P
  static constexpr int kLanes = kM / kPoints;          // of a frame
  static constexpr int kRadix2 = min_of(kLanes, kPoints);
  static constexpr int kRadix3 = kLanes / kRadix2;          // 1: two passes are enough
  static constexpr int kFrames = min_of(32, 256 / kLanes);  // of a block
  static constexpr int kThreads = kFrames * kLanes;
  static constexpr int kBlocks = 512 / kThreads;  // a multiprocessor at least: 128 registers
  // A frame's floats in the exchange: P and one to pad, M / P times. Lanes that store P apart, and
  // lanes that load side by side, then hit different banks; so do the frames of a warp.
  static constexpr int kBuffer = kM + kLanes;
};

// exp(-2 pi i q j / period) for all q and j of a pass and, for the last step, exp(-2 pi i k / N):
// in the order in which lanes read them. Made by make_twiddles() in float64 and rounded once.
template <int N>
struct FftTwiddles {
  using Shape = FftShape<N>;
  static constexpr int kPass3 = Shape::kPoints * Shape::kRadix2;  // offsets
  static constexpr int kSplit = kPass3 + (Shape::kRadix3 > 1 ? Shape::kM : 0);
  static constexpr int kSize = kSplit + Shape::kM / 2;
};

// table[q * columns + j] = scale exp(-2 pi i (first + q) j / period): up to three such parts, one
// after the other.
struct TwiddlePart {
  int size, columns, first, period;
  double scale = 1;
};
struct TwiddleParts {
  TwiddlePart part[3];
};
void make_twiddles(Stream s, const TwiddleParts& parts, float2* table);

template <int N>
void make_fft_twiddles(Stream s, float2* table) {
  using Shape = FftShape<N>;
  constexpr int kRows = Shape::kPoints * Shape::kRadix2;
  make_twiddles(s,
                {{{kRows, Shape::kPoints, 0, kRows},
                  {Shape::kRadix3 > 1 ? Shape::kM : 0, kRows, 0, Shape::kM},
                  {Shape::kM / 2, Shape::kM / 2, 1, N, 0.5}}},
                table);
}

constexpr bool has_fft(Index n_fft) { return (n_fft & (n_fft - 1)) == 0; }

// Calls use.operator()<N>() for the power of two N = n_fft.
template <class Use>
void with_fft_length(Index n_fft, Use&& use) {
  switch (n_fft) {
    case 128:
      return use.template operator()<128>();
    case 256:
      return use.template operator()<256>();
    case 512:
      return use.template operator()<512>();
    case 1024:
      return use.template operator()<1024>();
    case 2048:
      return use.template operator()<2048>();
    case 4096:
      return use.template operator()<4096>();
    default:
      return use.template operator()<8192>();
  }
}

std::size_t fft_twiddle_bytes(Index n_fft);

// ---- butterflies in registers -------------------------------------------------------------------

__device__ __forceinline__ float2 times(float2 a, float2 b) {
  return make_float2(fmaf(a.x, b.x, -(a.y * b.y)), fmaf(a.x, b.y, a.y * b.x));
}

// cos(pi p / 16), 0 <= p <= 8. A switch rather than a table: p is known once the loops are
// unrolled, and a table would live in memory.
__device__ __forceinline__ float cosine(int p) {
  switch (p) {
    case 0:
      return 1.0f;
    case 1:
      return 0.98078528040323044913f;
    case 2:
      return 0.92387953251128675613f;
    case 3:
      return 0.83146961230254523708f;
    case 4:
      return 0.70710678118654752440f;
    case 5:
      return 0.55557023301960222474f;
    case 6:
      return 0.38268343236508977173f;
    case 7:
      return 0.19509032201612826785f;
    default:
      return 0.0f;
  }
}

// z exp(-pi i p / 16), 0 <= p < 16; what is 1, -i or a multiple of 1 - i costs less.
__device__ __forceinline__ float2 turned(float2 z, int p) {
  if (p == 0) return z;
  if (p == 8) return make_float2(z.y, -z.x);
  if (p == 4) return make_float2(cosine(4) * (z.x + z.y), cosine(4) * (z.y - z.x));
  if (p == 12) return make_float2(cosine(4) * (z.y - z.x), -cosine(4) * (z.x + z.y));
  const float c = p < 8 ? cosine(p) : -cosine(16 - p), s = cosine(p < 8 ? 8 - p : p - 8);
  return make_float2(fmaf(z.x, c, z.y * s), fmaf(z.y, c, -(z.x * s)));
}

template <int R>
__host__ __device__ constexpr int bit_reversed(int k) {
  int r = 0;
  for (int bit = 1; bit < R; bit *= 2) r = 2 * r + (k & bit ? 1 : 0);
  return r;
}

// P / R transforms of R points, of which b takes v[b], v[b + P / R], ...: in place, in order.
template <int P, int R>
__device__ __forceinline__ void transform_registers(float2 (&v)[P]) {
  constexpr int kStride = P / R;
  constexpr int kStages = R == 2 ? 1 : R == 4 ? 2 : R == 8 ? 3 : R == 16 ? 4 : 5;
#pragma unroll
  for (int b = 0; b < kStride; ++b) {
    float2 u[R];
#pragma unroll
    for (int q = 0; q < R; ++q) u[q] = v[b + q * kStride];
#pragma unroll
    for (int stage = 0; stage < kStages; ++stage) {
      const int half = R >> (stage + 1);
#pragma unroll
      for (int pair = 0; pair < R / 2; ++pair) {
        const int i = pair % half, low = pair / half * 2 * half + i;
        const float2 a = u[low], c = u[low + half];
        u[low] = make_float2(a.x + c.x, a.y + c.y);
        u[low + half] = turned(make_float2(a.x - c.x, a.y - c.y), i * (16 / half));
      }
    }
#pragma unroll
    for (int k = 0; k < R; ++k) v[b + k * kStride] = u[bit_reversed<R>(k)];
  }
}

// ---- a frame, spread over its lanes -------------------------------------------------------------

// Orders the shared memory of a frame's lanes. Beyond a warp all warps of the block wait.
template <int N>
__device__ __forceinline__ void sync_frame() {
  if constexpr (FftShape<N>::kLanes <= 32)
    __syncwarp();
  else
    __syncthreads();
}

// Whether a condition holds for any lane of those that sync_frame() orders.
template <int N>
__device__ __forceinline__ bool any_in_sync(bool condition) {
  if constexpr (FftShape<N>::kLanes <= 32)
    return __any_sync(0xffffffffu, condition);
  else
    return __syncthreads_or(condition);
}

// v[i] = windowed samples 2 (t + lanes i) and the one after. Inside the clip, where the address
// allows, they are one load; frames that reach beyond it, and those that share a warp with one, are
// padded in shared memory first, one half after the other.
template <int N>
__device__ __forceinline__ void load_frame(const FrameRows& p, const float* x, const float* window,
                                           int row, int t, float* buffer,
                                           float2 (&v)[FftShape<N>::kPoints]) {
  using Shape = FftShape<N>;
  constexpr int kM = Shape::kM, kP = Shape::kPoints;
  const Frame frame = frame_of(p, x, row);
  const float* own = frame.origin + 2 * t;
  if (any_in_sync<N>(frame.lo > 0 || frame.hi < N)) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      sync_frame<N>();
#pragma unroll 4
      for (int n = t; n < kM; n += Shape::kLanes)
        buffer[n] = sample_of(frame, p.reflect, half * kM + n);
      sync_frame<N>();
#pragma unroll
      for (int i = 0; i < kP / 2; ++i)
        v[half * kP / 2 + i] =
            *reinterpret_cast<const float2*>(buffer + 2 * (t + Shape::kLanes * i));
    }
  } else if (reinterpret_cast<std::uintptr_t>(own) % sizeof(float2) == 0) {
#pragma unroll
    for (int i = 0; i < kP; ++i)
      v[i] = *reinterpret_cast<const float2*>(own + 2 * Shape::kLanes * i);
  } else {
#pragma unroll
    for (int i = 0; i < kP; ++i)
      v[i] = make_float2(own[2 * Shape::kLanes * i], own[2 * Shape::kLanes * i + 1]);
  }
#pragma unroll
  for (int i = 0; i < Shape::kPoints; ++i) {
    const float2 w = reinterpret_cast<const float2*>(window)[t + Shape::kLanes * i];
    v[i] = make_float2(v[i].x * w.x, v[i].y * w.y);
  }
}

// Moves the results of a pass of radix R, whose `before` is the product of the radices before it,
// to where the next pass reads them. `pad` is 1 after the first pass (FftShape::kBuffer), else 0.
template <int N, int R, int before>
__device__ __forceinline__ void exchange(int t, float* buffer, float2 (&v)[FftShape<N>::kPoints]) {
  using Shape = FftShape<N>;
  constexpr int kP = Shape::kPoints, kStride = kP / R, kLanes = Shape::kLanes;
  static_assert(kStride == 1, "a pass before the last has the full radix");
  constexpr int kPad = before == 1 ? 1 : 0;
  float* to = buffer + t / before * (before * R + kPad) + t % before;
  const float* from = buffer + t + kPad * (t / kP);
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    sync_frame<N>();
#pragma unroll
    for (int k = 0; k < R; ++k) to[k * before] = part == 0 ? v[k].x : v[k].y;
    sync_frame<N>();
#pragma unroll
    for (int i = 0; i < kP; ++i) {
      const float value = from[kLanes * i + kPad * (kLanes * i / kP)];
      (part == 0 ? v[i].x : v[i].y) = value;
    }
  }
}

// v[i] *= exp(-2 pi i q j / (before R)) for the pass of radix R that follows.
template <int N, int R, int before>
__device__ __forceinline__ void twiddle(int t, const float2* table,
                                        float2 (&v)[FftShape<N>::kPoints]) {
  using Shape = FftShape<N>;
  constexpr int kStride = Shape::kPoints / R;
#pragma unroll
  for (int q = 1; q < R; ++q)
#pragma unroll
    for (int b = 0; b < kStride; ++b) {
      const int j = (t + Shape::kLanes * b) % before;
      float2& z = v[b + q * kStride];
      z = times(z, table[q * before + j]);
    }
}

// From windowed samples (load_frame) to the spectrum: v[i] = X[k], v[P / 2 + i] = X[M - k] for
// k = t + lanes i, i < P / 2. Returns X[M / 2], of use in lane 0 only. `buffer` is the frame's
// kBuffer floats of shared memory.
template <int N>
__device__ __forceinline__ float2 real_transform(int t, float* buffer, const float2* table,
                                                 float2 (&v)[FftShape<N>::kPoints]) {
  using Shape = FftShape<N>;
  using Twiddles = FftTwiddles<N>;
  constexpr int kP = Shape::kPoints, kM = Shape::kM;
  transform_registers<kP, kP>(v);
  exchange<N, kP, 1>(t, buffer, v);
  twiddle<N, Shape::kRadix2, kP>(t, table, v);
  transform_registers<kP, Shape::kRadix2>(v);
  if constexpr (Shape::kRadix3 > 1) {
    constexpr int kBefore = kP * Shape::kRadix2;
    exchange<N, Shape::kRadix2, kP>(t, buffer, v);
    twiddle<N, Shape::kRadix3, kBefore>(t, table + Twiddles::kPass3, v);
    transform_registers<kP, Shape::kRadix3>(v);
  }

  // Z[M - k], k < M / 2, comes from other lanes: the upper half, then Z[M] = Z[0].
  float* const re = buffer;
  float* const im = buffer + kM / 2 + 1;
  sync_frame<N>();
#pragma unroll
  for (int i = 0; i < kP / 2; ++i) {
    re[t + Shape::kLanes * i] = v[kP / 2 + i].x;
    im[t + Shape::kLanes * i] = v[kP / 2 + i].y;
  }
  if (t == 0) re[kM / 2] = v[0].x, im[kM / 2] = v[0].y;
  sync_frame<N>();
  const float2 middle = v[kP / 2];
#pragma unroll
  for (int i = 0; i < kP / 2; ++i) {
    const int k = t + Shape::kLanes * i;
    const float2 z = v[i], mirror = make_float2(re[kM / 2 - k], im[kM / 2 - k]);
    const float2 even = make_float2(z.x + mirror.x, z.y - mirror.y);  // 2 E
    const float2 odd = make_float2(z.y + mirror.y, mirror.x - z.x);   // 2 O
    const float2 half = times(odd, table[Twiddles::kSplit + k]);      // W O
    v[i] = make_float2(fmaf(0.5f, even.x, half.x), fmaf(0.5f, even.y, half.y));
    v[kP / 2 + i] = make_float2(fmaf(0.5f, even.x, -half.x), fmaf(-0.5f, even.y, half.y));
  }
  if (t == 0) v[0].y = v[kP / 2].y = 0.0f;
  // k = M / 2: its own mirror, W = -i. The sums spread a NaN of one part to the other.
  const float nothing = (middle.x - middle.x) + (middle.y - middle.y);
  return make_float2(middle.x + nothing, nothing - middle.y);
}

}  // namespace etude::ETUDE_BACKEND
