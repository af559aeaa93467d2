// Winograd's minimal filtering F(M x M, 3 x 3): M x M outputs of a 3 x 3 filter from a tile of
// (M + 2) x (M + 2) inputs with (M + 2)^2 multiplications instead of 9 M^2: 2.25 times fewer for
// M = 2, 4 times fewer for M = 4 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015). With the one-dimensional transforms A, B and G below,
//
//   y  = A^T [ (G w G^T) * (B^T x B) ] A        forward, * element by element, summed over channels
//   dw = G^T [ (A dy A^T) * (B^T x B) ] G       its adjoint in w, summed over tiles
//
// and the data gradient is a forward pass over dy with rotated filters.
//
// They are the Toom-Cook construction for the points 0, p, -p, ... and infinity: the rows of A^T
// are powers of the points, those of G powers over N(p) = the product of p - q over the other
// points q, and those of B^T the coefficients of the product of x - q. M = 2 takes 0 and +-1. M = 4
// takes 0, +-5/8 and +-3/2: with the customary +-1 and +-2 the entries of A and B reach 8 and 5,
// and the error of a result is three to four times larger (README.md).
#pragma once

#include "kernels/cpu/simd.h"

namespace etude::ETUDE_BACKEND {

// One-dimensional transforms of vectors, lane by lane.
template <int M>
struct Winograd;

template <>
struct Winograd<2> {
  static constexpr int kTile = 4;
  // B^T and A as matrices, of which one row at a time may be wanted.
  static constexpr float kInput[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}};
  static constexpr float kGradient[4][2] = {{1, 0}, {1, 1}, {1, -1}, {0, 1}};
  // B^T
  ETUDE_INLINE static void input(const Vec (&d)[4], Vec (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  // G
  ETUDE_INLINE static void filter(const Vec (&g)[3], Vec (&u)[4]) {
    const Vec even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
  // A^T
  ETUDE_INLINE static void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) + m[3];
  }
  // A
  ETUDE_INLINE static void gradient(const Vec (&dy)[2], Vec (&m)[4]) {
    m[0] = dy[0];
    m[1] = dy[0] + dy[1];
    m[2] = dy[0] - dy[1];
    m[3] = dy[1];
  }
  // G^T
  ETUDE_INLINE static void filter_gradient(const Vec (&u)[4], Vec (&g)[3]) {
    const Vec even = 0.5f * (u[1] + u[2]);
    g[0] = u[0] + even;
    g[1] = 0.5f * (u[1] - u[2]);
    g[2] = even + u[3];
  }
};

template <>
struct Winograd<4> {
  static constexpr int kTile = 6;
  static constexpr float p1 = 0.625f, p2 = 1.5f;  // the points, and their powers: all exact
  static constexpr float square1 = p1 * p1, square2 = p2 * p2;
  static constexpr float cube1 = p1 * square1, cube2 = p2 * square2;
  static constexpr float n0 = square1 * square2;  // N of the points 0, +-p1 and +-p2
  static constexpr float n1 = 2 * square1 * (square1 - square2);
  static constexpr float n2 = 2 * square2 * (square2 - square1);
  static constexpr float kInput[6][6] = {
      {n0, 0, -square1 - square2, 0, 1, 0},  {0, -p1* square2, -square2, p1, 1, 0},
      {0, p1* square2, -square2, -p1, 1, 0}, {0, -p2* square1, -square1, p2, 1, 0},
      {0, p2* square1, -square1, -p2, 1, 0}, {0, n0, 0, -square1 - square2, 0, 1}};
  static constexpr float kGradient[6][4] = {{1, 0, 0, 0},
                                            {1, p1, square1, cube1},
                                            {1, -p1, square1, -cube1},
                                            {1, p2, square2, cube2},
                                            {1, -p2, square2, -cube2},
                                            {0, 0, 0, 1}};

  // B^T
  ETUDE_INLINE static void input(const Vec (&d)[6], Vec (&v)[6]) {
    const Vec even1 = fma(splat(-square2), d[2], d[4]), odd1 = fma(splat(-square2), d[1], d[3]);
    const Vec even2 = fma(splat(-square1), d[2], d[4]), odd2 = fma(splat(-square1), d[1], d[3]);
    v[0] = fma(splat(n0), d[0], fma(splat(-square1 - square2), d[2], d[4]));
    v[1] = fma(splat(p1), odd1, even1);
    v[2] = fma(splat(-p1), odd1, even1);
    v[3] = fma(splat(p2), odd2, even2);
    v[4] = fma(splat(-p2), odd2, even2);
    v[5] = fma(splat(n0), d[1], fma(splat(-square1 - square2), d[3], d[5]));
  }
  // G
  ETUDE_INLINE static void filter(const Vec (&g)[3], Vec (&u)[6]) {
    const Vec even1 = 1 / n1 * fma(splat(square1), g[2], g[0]), odd1 = p1 / n1 * g[1];
    const Vec even2 = 1 / n2 * fma(splat(square2), g[2], g[0]), odd2 = p2 / n2 * g[1];
    u[0] = 1 / n0 * g[0];
    u[1] = even1 + odd1;
    u[2] = even1 - odd1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[2];
  }
  // A^T
  ETUDE_INLINE static void output(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec even1 = m[1] + m[2], odd1 = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + (even1 + even2);
    y[1] = fma(splat(p1), odd1, p2 * odd2);
    y[2] = fma(splat(square1), even1, square2 * even2);
    y[3] = fma(splat(cube1), odd1, fma(splat(cube2), odd2, m[5]));
  }
  // A
  ETUDE_INLINE static void gradient(const Vec (&dy)[4], Vec (&m)[6]) {
    const Vec even1 = fma(splat(square1), dy[2], dy[0]), odd1 = fma(splat(square1), dy[3], dy[1]);
    const Vec even2 = fma(splat(square2), dy[2], dy[0]), odd2 = fma(splat(square2), dy[3], dy[1]);
    m[0] = dy[0];
    m[1] = fma(splat(p1), odd1, even1);
    m[2] = fma(splat(-p1), odd1, even1);
    m[3] = fma(splat(p2), odd2, even2);
    m[4] = fma(splat(-p2), odd2, even2);
    m[5] = dy[3];
  }
  // G^T
  ETUDE_INLINE static void filter_gradient(const Vec (&u)[6], Vec (&g)[3]) {
    const Vec even1 = 1 / n1 * (u[1] + u[2]), odd1 = p1 / n1 * (u[1] - u[2]);
    const Vec even2 = 1 / n2 * (u[3] + u[4]), odd2 = p2 / n2 * (u[3] - u[4]);
    g[0] = fma(splat(1 / n0), u[0], even1 + even2);
    g[1] = odd1 + odd2;
    g[2] = fma(splat(square1), even1, fma(splat(square2), even2, u[5]));
  }
};

// A one-dimensional Transform of In to Out elements, applied to the columns of In x In vectors and
// then to the rows: from(i, j) reads, to(i, j, v) takes the Out x Out results.
template <int In, int Out, auto Transform, class From, class To>
ETUDE_INLINE void transform_2d(From&& from, To&& to) {
  Vec half[Out][In];
#pragma GCC unroll 8
  for (int j = 0; j < In; ++j) {
    Vec column[In], result[Out];
#pragma GCC unroll 8
    for (int i = 0; i < In; ++i) column[i] = from(i, j);
    Transform(column, result);
#pragma GCC unroll 8
    for (int i = 0; i < Out; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < Out; ++i) {
    Vec result[Out];
    Transform(half[i], result);
#pragma GCC unroll 8
    for (int j = 0; j < Out; ++j) to(i, j, result[j]);
  }
}

}  // namespace etude::ETUDE_BACKEND
