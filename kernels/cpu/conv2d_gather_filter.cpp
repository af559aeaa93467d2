// Convolution, filter gradient, as an implicit matrix product: every shape.
//
//   dw[k][j] = sum over output pixels m of dy[m][k] gathered[m][j],    dbias[k] = sum of dy[m][k]
//
// A task is a slice of the pixels times a range of the columns j; both depend on the problem only.
// It walks its slice in blocks of rows: gathers the block and adds its product with the same rows
// of dy (packed into [K / rows][m][rows] where they are long) to its partial dw, each register tile
// summing a block of pixels from zero. Then the slices are added in order. Where one slice is
// enough, it writes dw itself.
//
// FLOPs: 2 pixels K columns. Memory: x once (each column range gathers its own part), dy once for
// each column range, `work` = slices x (dw + dbias). Deterministic: fixed slices, fixed order.
#include "kernels/cpu/bias_gradient.h"
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/gather.h"
#include "kernels/cpu/product.h"

namespace etude::ETUDE_BACKEND {
namespace {

inline constexpr Index kRangeColumns = kBlockColumns / 2;
static_assert(kRangeColumns % kPanelWidth == 0);
// A register tile reads a few neighbours of every row of dy. Rows longer than this are packed
// first: on Zen 5 packing costs 5 % at 512 outputs, and saves 25 % at 1024 and more with AVX2,
// where each of the 96 rows is in a page of its own.
inline constexpr Index kShortRow = 512;
inline constexpr Index kPackedOutputs = 504;  // at a time, which bounds the buffer
static_assert(kPackedOutputs % kTileRows == 0);

struct Plan {
  Index columns, ranges, slices, slice_rows;
  bool direct;  // one slice, all taps alive: dw is written in place

  explicit Plan(const Conv2dShape& p, const Gather& g) {
    constexpr Index tasks = 32, least_rows = 2 * kBlockRows;
    columns = g.columns();
    ranges = max_of(1, ceil_div(columns, kRangeColumns));
    slices = max_of(1, min_of(ceil_div(tasks, ranges), g.rows() / least_rows));
    slice_rows = max_of(kBlockRows, round_up(ceil_div(g.rows(), slices), kTileRows));
    slices = max_of(1, ceil_div(g.rows(), slice_rows));
    direct = slices == 1 && columns == p.r * p.s * p.c;
  }
  Index range_begin(Index range) const {
    return min_of(columns, round_up(columns * range / ranges, kPanelWidth));
  }
};

// packed[k / kTileRows][m][k % kTileRows] = dy[m][first + k]
void pack_gradient(const float* dy, Index rows, Index K, Index first, Index count, float* packed) {
  const float* const from = dy + first;
  Index k = 0;
  for (; k + kTileRows <= count; k += kTileRows)
    for (Index m = 0; m < rows; ++m, packed += kTileRows)
      for (Index i = 0; i < kTileRows; ++i) packed[i] = from[m * K + k + i];
  if (k == count) return;
  for (Index m = 0; m < rows; ++m, packed += kTileRows)
    for (Index i = k; i < count; ++i) packed[i - k] = from[m * K + i];
}

// One task: columns [begin, end), rows [first, last), into partial dw[k][dw_stride] and dbias.
void multiply_slice(const Gather& g, const float* dy, Index K, Index begin, Index end, Index first,
                    Index last, float* dw, Index dw_stride, float* dbias) {
  alignas(64) float block[kBlockRows * kBlockStride];
  alignas(64) float packed[kBlockRows * kPackedOutputs];
  for (Index m = first; m < last; m += kBlockRows) {
    const Index rows = min_of(kBlockRows, last - m);
    if (end > begin) gather_block(g, m, rows, begin, end - begin, block);
    // Outputs [k0, k0 + count), of which row m of tile k is at a + k a_tile + m a_step.
    const auto add = [&](Index k0, Index count, const float* a, Index a_tile, Index a_step) {
      for (Index j = begin; j < end; j += kPanelWidth)
        for (Index k = 0; k < count; k += kTileRows)
          outer_product(
              min_of(kTileRows, count - k),
              {rows, a + k * a_tile, a_step, block + j - begin, dw + (k0 + k) * dw_stride + j,
               dw_stride, min_of(kPanelWidth, end - j), m > first});
    };
    if (K <= kShortRow) {
      add(0, K, dy + m * K, 1, K);
    } else {
      for (Index k0 = 0; k0 < K; k0 += kPackedOutputs) {
        const Index count = min_of(kPackedOutputs, K - k0);
        pack_gradient(dy + m * K, rows, K, k0, count, packed);
        add(k0, count, packed, rows, kTileRows);
      }
    }
    if (dbias) sum_rows(dy + m * K, rows, K, m > first, dbias);
  }
}

// dw[k] = sum of the slices' rows k; taps that no pixel reaches are zero.
void merge_row(const Gather& g, const Conv2dShape& p, const Plan& plan, const float* partial,
               Index k, float* dw) {
  const Index size = p.r * p.s * p.c;
  if (plan.columns < size)
    for (Index i = 0; i < size; ++i) dw[i] = 0;
  const Index run = plan.columns == size ? size : p.c;
  for (Index j = 0; j < plan.columns; j += run) {
    const Index tap = j / p.c;
    float* const to =
        run == size ? dw : dw + g.filter_tap(tap / g.w.taps, tap % g.w.taps, p.s) * p.c;
    for_each_vector(run, [&](Index i, auto access) {
      Vec total{};
      for (Index slice = 0; slice < plan.slices; ++slice)
        total += access.load(partial + (slice * p.k + k) * plan.columns + j + i);
      access.store(to + i, total);
    });
  }
}

}  // namespace

std::size_t gather_backward_filter_workspace(const Conv2dShape& p) {
  const Plan plan(p, forward_gather(p, nullptr));
  const Index dw = plan.direct ? 0 : p.k * plan.columns;
  return static_cast<std::size_t>(plan.slices * (dw + p.k)) * sizeof(float);
}

void gather_backward_filter(const Conv2dShape& p, const float* x, const float* dy, float* dw,
                            float* dbias, void* work) {
  const Gather g = forward_gather(p, x);
  const Plan plan(p, g);
  float* const bias_partial = static_cast<float*>(work);
  float* const partial = plan.direct ? dw : bias_partial + plan.slices * p.k;
  const Index rows = g.rows();
  if (rows == 0) {
    for (Index i = 0; i < p.w_size(); ++i) dw[i] = 0;
    for (Index k = 0; dbias && k < p.k; ++k) dbias[k] = 0;
    return;
  }
  parallel_for(plan.ranges * plan.slices, rows * plan.columns * p.k, [&](Index task) {
    const Index slice = task / plan.ranges, range = task % plan.ranges;
    float* const bias = dbias && range == 0 ? bias_partial + slice * p.k : nullptr;
    multiply_slice(g, dy, p.k, plan.range_begin(range), plan.range_begin(range + 1),
                   slice * plan.slice_rows, min_of(rows, (slice + 1) * plan.slice_rows),
                   partial + slice * p.k * plan.columns, plan.columns, bias);
  });
  if (!plan.direct)
    parallel_for(ceil_div(p.k, 8), plan.slices * p.k * plan.columns, [&](Index part) {
      for (Index k = part * 8; k < min_of(p.k, part * 8 + 8); ++k)
        merge_row(g, p, plan, partial, k, dw + k * p.r * p.s * p.c);
    });
  if (dbias) sum_slices(bias_partial, plan.slices, p.k, dbias);
}

}  // namespace etude::ETUDE_BACKEND
