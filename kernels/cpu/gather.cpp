#include "kernels/cpu/gather.h"

#include <cstring>

namespace etude::ETUDE_BACKEND {
namespace {

bool reachable(const GatherAxis& a, Index tap) {
  const Index at = a.offset + tap * a.step;
  for (Index i = 0; i < a.outputs; ++i)
    if (i * a.stride + at >= 0 && i * a.stride + at < a.source) return true;
  return false;
}

void trim(GatherAxis& a) {
  while (a.taps > 0 && !reachable(a, 0)) {
    a.offset += a.step;
    a.filter += a.filter_step;
    --a.taps;
  }
  while (a.taps > 0 && !reachable(a, a.taps - 1)) --a.taps;
}

// A product of whole pixels: the image is one long row.
void flatten_if_pointwise(Gather& g) {
  const auto pointwise = [](const GatherAxis& a) {
    return a.taps == 1 && a.stride == 1 && a.offset == 0 && a.outputs == a.source;
  };
  if (!pointwise(g.h) || !pointwise(g.w)) return;
  g.w.outputs = g.w.source = g.rows();
  g.h.outputs = g.h.source = 1;
  g.n = 1;
}

// Input position first + i stride meets tap r where  first + i stride + pad = o stride + r
// dilation: o = i + (first + pad - r dilation) / stride. The taps that divide recur with the period
// stride / gcd(stride, dilation); falling r gives rising offsets.
GatherAxis backward_axis(Index outputs, Index source, Index first, Index taps, Index stride,
                         Index pad, Index dilation) {
  GatherAxis a;
  a.outputs = outputs;
  a.source = source;
  Index low = -1, high = -1, period = 1;
  for (Index r = 0; r < taps; ++r) {
    if ((first + pad - r * dilation) % stride != 0) continue;
    if (low < 0) low = r;
    if (high >= 0) period = r - high;
    high = r;
  }
  if (low < 0) return a;
  a.taps = (high - low) / period + 1;
  a.offset = (first + pad - high * dilation) / stride;
  a.step = period * dilation / stride;
  a.filter = high;
  a.filter_step = -period;
  return a;
}

// The part of a source row that one run of columns of one output pixel covers, clipped to the row.
void copy_clipped(float* dst, const float* row, Index at, Index count, Index row_size) {
  const Index begin = min_of(max_of(-at, 0), count);
  const Index end = max_of(begin, min_of(count, row_size - at));
  for (Index i = 0; i < begin; ++i) dst[i] = 0;
  if (end > begin)
    std::memcpy(dst + begin, row + at + begin,
                static_cast<std::size_t>(end - begin) * sizeof(float));
  for (Index i = end; i < count; ++i) dst[i] = 0;
}

// Copies `count` floats for each of `pixels` pixels, in whole vectors or, for runs as short as a
// single channel's, in one or two fours, which cross fewer cache lines. Writes and reads up to
// kLanes - 1 floats too many: the next run, or nobody, fills those columns.
void copy_runs(float* dst, const float* src, Index src_step, Index pixels, Index count) {
  const auto each_pixel = [&](auto&& copy) {
    for (Index j = 0; j < pixels; ++j) copy(dst + j * kBlockStride, src + j * src_step);
  };
  const auto copy_vectors = [](float* to, const float* from, Index vectors) {
    for (Index v = 0; v < vectors; ++v) store(to + v * kLanes, load(from + v * kLanes));
  };
  if (count <= 4)
    each_pixel([](float* to, const float* from) { store4(to, load4(from)); });
  else if (count <= 8)
    each_pixel([](float* to, const float* from) {
      store4(to, load4(from));
      store4(to + 4, load4(from + 4));
    });
  else if (count <= 2 * kLanes && count > kLanes)
    each_pixel([&](float* to, const float* from) { copy_vectors(to, from, 2); });
  else
    each_pixel(
        [&](float* to, const float* from) { copy_vectors(to, from, ceil_div(count, kLanes)); });
}

void zero_runs(float* dst, Index pixels, Index count) {
  for (Index j = 0; j < pixels; ++j, dst += kBlockStride)
    for (Index v = 0; v < count; v += kLanes) store(dst + v, Vec{});
}

}  // namespace

Gather forward_gather(const Conv2dShape& p, const float* x) {
  Gather g{x, p.n, p.c, {}, {}};
  g.h = {p.p(), p.h, p.stride_h, p.r, -p.pad_h, p.dilation_h, 0, 1};
  g.w = {p.q(), p.w, p.stride_w, p.s, -p.pad_w, p.dilation_w, 0, 1};
  trim(g.h);
  trim(g.w);
  flatten_if_pointwise(g);
  return g;
}

Gather backward_gather(const Conv2dShape& p, const float* dy, Index first_h, Index first_w) {
  Gather g{dy, p.n, p.k, {}, {}};
  g.h = backward_axis(ceil_div(p.h - first_h, p.stride_h), p.p(), first_h, p.r, p.stride_h, p.pad_h,
                      p.dilation_h);
  g.w = backward_axis(ceil_div(p.w - first_w, p.stride_w), p.q(), first_w, p.s, p.stride_w, p.pad_w,
                      p.dilation_w);
  trim(g.h);
  trim(g.w);
  if (p.stride_h == 1 && p.stride_w == 1) flatten_if_pointwise(g);
  return g;
}

void gather_block(const Gather& g, Index first_row, Index rows, Index first_column, Index columns,
                  float* block) {
  if (columns == 0) return;
  const Index C = g.channels, Q = g.w.outputs, P = g.h.outputs;
  // Neighbouring taps of a row are neighbours in memory unless dilated: one run copies them all.
  const bool joined = g.w.step == 1;
  const Index run_size = joined ? g.w.taps * C : C;
  const Index runs_in_row = joined ? 1 : g.w.taps;
  const Index first_run = first_column / run_size;
  const Index last_run = (first_column + columns - 1) / run_size;
  const Index row_size = g.w.source * C;
  const float* const image_end = g.image + g.n * g.h.source * row_size;
  const Index src_step = g.w.stride * C;

  for (Index m = first_row; m < first_row + rows;) {
    const Index q = m % Q, p = m / Q % P, n = m / Q / P;
    const Index pixels = min_of(Q - q, first_row + rows - m);
    float* const block_row = block + (m - first_row) * kBlockStride;
    for (Index run = first_run; run <= last_run; ++run) {
      const Index begin = max_of(run * run_size, first_column);
      const Index count = min_of((run + 1) * run_size, first_column + columns) - begin;
      float* const dst = block_row + begin - first_column;
      const Index h = p * g.h.stride + g.h.offset + run / runs_in_row * g.h.step;
      if (h < 0 || h >= g.h.source) {
        zero_runs(dst, pixels, count);
        continue;
      }
      // Pixel j of the segment starts at float at + j src_step of the source row.
      const float* const row = g.image + (n * g.h.source + h) * row_size;
      const Index at = (q * g.w.stride + g.w.offset + run % runs_in_row * g.w.step) * C +
                       (begin - run * run_size);
      Index inside = min_of(pixels, at >= 0 ? 0 : ceil_div(-at, src_step));
      Index inside_end = row_size - count < at ? inside : (row_size - count - at) / src_step + 1;
      inside_end = max_of(inside, min_of(inside_end, pixels));
      // Whole vectors must not be read past the end of the image.
      const Index readable = image_end - row - round_up(count, kLanes) - at;
      const Index safe_end = readable < 0 ? inside : min_of(inside_end, readable / src_step + 1);
      const Index fast_end = max_of(inside, safe_end);
      for (Index j = 0; j < inside; ++j)
        copy_clipped(dst + j * kBlockStride, row, at + j * src_step, count, row_size);
      copy_runs(dst + inside * kBlockStride, row + at + inside * src_step, src_step,
                fast_end - inside, count);
      for (Index j = fast_end; j < pixels; ++j)
        copy_clipped(dst + j * kBlockStride, row, at + j * src_step, count, row_size);
    }
    m += pixels;
  }
}

}  // namespace etude::ETUDE_BACKEND
