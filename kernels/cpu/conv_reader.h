// The output of a convolution with one input channel as rows of planes, computed where it is needed
// instead of written and read: for the first two convolutions of a block (conv2d_block.cpp).
//
// Winograd's F(2,3) along the row: two outputs of a three-tap filter by four products,
//
//   y0 = m0 + m1 + m2,  y1 = m1 - m2 - m3,   m_i = sum over r of u_i[r] v_i[row + r]
//   u = g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2    v = d0 - d2, d1 + d2, d2 - d1, d1 - d3
//
// which errs no more than the plain sum. Ten outputs cost 60 multiply-adds a pixel, or 90 for all
// six pixels that a tile of F(4,3) meets: 6 cycles with AVX-512, where memory would need 40 bytes.
#pragma once

#include "kernels/cpu/planar.h"

namespace etude::ETUDE_BACKEND {

inline constexpr int kPairProducts = 4;

// The rows of an image of one channel as planes: pixels 4 t + shift + j of each tile t, and their
// transforms. The last few rows are kept.
template <int Pairs>  // of outputs
class PixelLines {
 public:
  static constexpr int kColumns = 8;  // 2 Pairs + 2 or more
  struct Line {
    alignas(64) float pixels[kColumns][kLanes];
    alignas(64) float v[Pairs * kPairProducts][kLanes];
  };
  PixelLines(const float* x, const PlanarImage& image, Index tiles, Index shift)
      : x_(x), image_(image), tiles_(tiles), shift_(shift) {}
  void place(Index first_lane);
  // Zeros outside the image; valid until a row kKept above or below is asked for.
  const Line& line(Index h);

 private:
  static constexpr Index kKept = 8;
  const float* x_;
  PlanarImage image_;
  Index tiles_, shift_;
  Index offset_[kLanes];           // of a tile's first pixel in the first row
  int from_[kLanes], to_[kLanes];  // its columns that are inside
  unsigned edges_;                 // a bit for each lane that has a column outside
  void edge(const float* row, int lane, Line& line) const;
  Index row_[kKept];
  Line lines_[kKept];
};

// Filters [outputs, 3, 3, 1] and biases.
class FirstConv {
 public:
  FirstConv(const float* w, const float* bias, Index outputs);
  Index outputs() const { return outputs_; }
  // body(k, y) with the pixels y[2 Pairs] of output k, from three rows of x.
  template <int Pairs, class Body>
  ETUDE_INLINE void row(const typename PixelLines<Pairs>::Line* const (&lines)[kTaps],
                        Body&& body) const {
    constexpr int together = kLanes == 16 ? 2 : 1;  // 4 Pairs sums each
    Index k = 0;
    for (; k + together <= outputs_; k += together) row<Pairs, together>(lines, k, body);
    for (; k < outputs_; ++k) row<Pairs, 1>(lines, k, body);
  }

 private:
  template <int Pairs, int Outputs, class Body>
  ETUDE_INLINE void row(const typename PixelLines<Pairs>::Line* const (&lines)[kTaps], Index k,
                        Body&& body) const {
    constexpr int products = Pairs * kPairProducts;
    Vec m[Outputs][products];
#pragma GCC unroll 3
    for (int r = 0; r < kTaps; ++r) {
#pragma GCC unroll 4
      for (int i = 0; i < kPairProducts; ++i) {
        Vec u[Outputs];
        for (int o = 0; o < Outputs; ++o) u[o] = splat(u_[k + o][r][i]);
#pragma GCC unroll 3
        for (int p = i; p < products; p += kPairProducts) {
          const Vec v = load(lines[r]->v[p]);
#pragma GCC unroll 2
          for (int o = 0; o < Outputs; ++o) m[o][p] = r == 0 ? u[o] * v : fma(u[o], v, m[o][p]);
        }
      }
    }
#pragma GCC unroll 2
    for (int o = 0; o < Outputs; ++o) {
      const Vec bias = splat(bias_[k + o]);
      Vec y[2 * Pairs];
#pragma GCC unroll 3
      for (int i = 0; i < Pairs; ++i) {
        const Vec* const p = m[o] + i * kPairProducts;
        y[2 * i] = (p[0] + bias) + (p[1] + p[2]);
        y[2 * i + 1] = (p[1] - p[2]) - (p[3] - bias);
      }
      body(k + o, y);
    }
  }

  Index outputs_;
  float u_[kPlanarChannels][kTaps][kPairProducts];
  float bias_[kPlanarChannels];
};

// Rows of the convolution's output, after the ReLU, as planes: what PlanarReader is to an image.
class ConvReader {
 public:
  ConvReader(const Conv2dShape& p, const float* x, const float* w, const float* bias, Index tiles,
             Index shift)
      : lines_(x, {p.n, p.h, p.w, 1}, tiles, shift - p.pad_w),
        conv_(w, bias, p.k),
        image_(p.n, p.p(), p.q(), p.k),
        tiles_(tiles),
        shift_(shift),
        pad_h_(p.pad_h) {}

  void place(Index first_lane);
  Index channels() const { return image_.channels; }
  bool has(Index h) const { return h >= 0 && h < image_.height; }
  // Of row h, v[(i channels + k) lines] = component i of the input transform of channel k.
  void transform(Index h, Index lines, float* v);
  ETUDE_INLINE void prefetch(Index, Index, Index) const {}  // `lines_` does

 private:
  static constexpr int kPairs = kTileComponents / 2;
  PixelLines<kPairs> lines_;
  FirstConv conv_;
  PlanarImage image_;
  Index tiles_, shift_, pad_h_;
  template <bool AllInside>
  void transform(const PixelLines<kPairs>::Line* const (&lines)[kTaps], Index stride, float* v);
  bool all_inside_;
  IntVec inside_[kTileComponents];
};

// As for a PlanarReader (planar_transform.h).
void transform_input(ConvReader& x, Index first, Index rows, Index lines, Index first_line,
                     float* v, const PlanarReader* next = nullptr, Index next_first = 0);

}  // namespace etude::ETUDE_BACKEND
