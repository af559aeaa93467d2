// Convolution, forward and data gradient, as an implicit matrix product: every shape.
//
//   y[m][k] = sum over columns j of gathered[m][j] filters[j][k]     (gather.h says what a row is)
//
// The filters are packed once a call into panels [K / width][columns][width], in `work`. A task is
// a block of rows times a group of panels: it gathers the block, kBlockColumns columns at a time,
// into a buffer on its stack that stays in the second-level cache, and multiplies it with each
// panel in register tiles (product.h). Sums over more than kBlockColumns columns go through y.
//
// FLOPs: 2 rows K columns. Memory: the image and y once for each group of panels, the filters once
// for each block of rows. Deterministic: every output is one sum in the order of the columns, cut
// at fixed places, whoever computes it.
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/gather.h"
#include "kernels/cpu/output_statistics.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/transpose.h"

namespace etude::ETUDE_BACKEND {
namespace {

// Element (column (t, u, c), output k) of the filter matrix of a gather:
//   forward   w[k][tap][c]       lies at  k outer + tap channels + c inner
//   backward  w[c][tap][k]       (c: a channel of dy)
struct FilterLayout {
  const float* w;
  Index width;  // S
  Index output_stride, tap_stride, channel_stride;
};

Index packed_size(Index columns, Index outputs) { return columns * round_up(outputs, kLanes); }

// packed[c][k] = from[k row_stride + c] for k < live, 0 for k < width, through transposed squares.
void pack_transposed(const float* from, Index row_stride, Index channels, Index live, Index width,
                     float* packed) {
  for (Index c = 0; c < channels; c += kLanes) {
    const Index count = min_of(kLanes, channels - c);
    for (Index k = 0; k < width; k += kLanes) {
      Vec square[kLanes];
      for (Index i = 0; i < kLanes; ++i)
        square[i] = k + i < live ? load_n(from + (k + i) * row_stride + c, count) : Vec{};
      transpose(square);
      for (Index i = 0; i < count; ++i) store(packed + (c + i) * width + k, square[i]);
    }
  }
}

// Panel `first / kPanelWidth`: packed[column][0 .. width) = filters[column][first ...],
// zero-padded.
void pack_panel(const Gather& g, const FilterLayout& f, Index first, Index outputs, float* packed) {
  const Index live = min_of(outputs - first, kPanelWidth);
  const Index width = round_up(live, kLanes);
  for (Index t = 0; t < g.h.taps; ++t) {
    for (Index u = 0; u < g.w.taps; ++u, packed += g.channels * width) {
      const float* const from =
          f.w + g.filter_tap(t, u, f.width) * f.tap_stride + first * f.output_stride;
      if (f.channel_stride == 1) {
        pack_transposed(from, f.output_stride, g.channels, live, width, packed);
      } else {
        for (Index c = 0; c < g.channels; ++c)
          for (Index k = 0; k < width; k += kLanes)
            store(packed + c * width + k,
                  load_n(from + c * f.channel_stride + k, max_of(0, min_of(kLanes, live - k))));
      }
    }
  }
}

struct Output {
  float* y;
  Epilogue then;
};

// offset[r] = where row first_row + r of the product lies in y: a pixel of `to`.
void row_offsets(const Gather& g, const Scatter& to, Index first_row, Index rows, Index* offset) {
  const Index Q = g.w.outputs, P = g.h.outputs;
  Index q = first_row % Q, p = first_row / Q % P, n = first_row / Q / P;
  for (Index r = 0; r < rows; ++r) {
    const Index h = to.first_h + p * to.step_h, w = to.first_w + q * to.step_w;
    offset[r] = ((n * to.height + h) * to.width + w) * to.channels;
    if (++q < Q) continue;
    q = 0;
    if (++p < P) continue;
    p = 0;
    ++n;
  }
}

// How a product is cut: blocks of rows, and, where they are few, groups of panels, so that there is
// work for every thread. A thread that goes through a group's blocks keeps its filters in cache.
struct Tasks {
  Index panels, block_rows, blocks, groups;
  Tasks(Index rows, Index outputs) : panels(ceil_div(outputs, kPanelWidth)) {
    constexpr Index enough_tasks = 16;
    const Index least = max_of(1, ceil_div(rows, kBlockRows));
    block_rows = min_of(kBlockRows, round_up(ceil_div(rows, least), kTileRows));
    groups = min_of(panels, ceil_div(enough_tasks, least));
    blocks = rows == 0 ? 0 : ceil_div(rows, block_rows);
  }
};

// One task: rows [first_row, first_row + rows) times the panels [first_panel, last_panel).
void multiply_block(const Gather& g, const Scatter& to, const float* packed, Index first_row,
                    Index rows, Index first_panel, Index last_panel, const Output& out) {
  alignas(64) float block[kBlockRows * kBlockStride];
  Index offset[kBlockRows];
  row_offsets(g, to, first_row, rows, offset);
  const Index columns = g.columns();
  const Index cuts = max_of(1, ceil_div(columns, kBlockColumns));
  const Index depth = ceil_div(columns, cuts);
  for (Index cut = 0; cut < cuts; ++cut) {  // one even without columns: y is 0, or the bias
    const Index from = cut * depth, count = min_of(depth, columns - from);
    const bool last = from + count == columns;
    gather_block(g, first_row, rows, from, count, block);
    for (Index panel = first_panel; panel < last_panel; ++panel) {
      const Index k = panel * kPanelWidth;
      const Index live = min_of(to.channels - k, kPanelWidth);
      const float* const b = packed + k * columns + from * round_up(live, kLanes);
      const auto at_k = [&](const float* p) { return last && p ? p + k : nullptr; };
      for (Index r = 0; r < rows; r += kTileRows)
        panel_product(min_of(rows - r, kTileRows),
                      {count, block + r * kBlockStride, b, out.y + k, offset + r, live, from > 0,
                       at_k(out.then.bias), last && out.then.relu, at_k(out.then.scale),
                       at_k(out.then.residual)});
    }
  }
}

void gather_product(const Gather& g, const FilterLayout& filters, const Scatter& to,
                    const Output& out, float* packed) {
  const Tasks tasks(g.rows(), to.channels);
  const Index columns = g.columns();
  parallel_for(tasks.panels, packed_size(columns, to.channels), [&](Index panel) {
    const Index k = panel * kPanelWidth;
    pack_panel(g, filters, k, to.channels, packed + k * columns);
  });
  const Index work = g.rows() * max_of(1, columns) * to.channels;
  parallel_for(tasks.blocks * tasks.groups, work, [&](Index task) {
    const Index block = task % tasks.blocks, group = task / tasks.blocks;
    const Index first_row = block * tasks.block_rows;
    const Index rows = min_of(tasks.block_rows, g.rows() - first_row);
    const Index first_panel = tasks.panels * group / tasks.groups;
    const Index last_panel = tasks.panels * (group + 1) / tasks.groups;
    multiply_block(g, to, packed, first_row, rows, first_panel, last_panel, out);
    if (out.then.statistics) {
      const Index k = first_panel * kPanelWidth;
      write_statistics(StatisticsPart(out.then.statistics, to.channels, block), k,
                       min_of(last_panel * kPanelWidth, to.channels) - k, to.channels,
                       [&](auto&& run) { run(out.y + first_row * to.channels + k, rows); });
    }
  });
}

}  // namespace

std::size_t gather_forward_workspace(const Conv2dShape& p) {
  return static_cast<std::size_t>(packed_size(p.r * p.s * p.c, p.k)) * sizeof(float);
}

Index gather_statistics_parts(const Conv2dShape& p) {
  return Tasks(p.n * p.p() * p.q(), p.k).blocks;
}

void gather_forward(const Conv2dShape& p, const float* x, const float* w, const Epilogue& epilogue,
                    float* y, void* work) {
  const Gather g = forward_gather(p, x);
  const FilterLayout filters{w, p.s, p.r * p.s * p.c, p.c, 1};
  const Scatter to{g.h.outputs, g.w.outputs, p.k};
  gather_product(g, filters, to, {y, epilogue}, static_cast<float*>(work));
}

std::size_t gather_backward_data_workspace(const Conv2dShape& p) {
  return static_cast<std::size_t>(packed_size(p.r * p.s * p.k, p.c)) * sizeof(float);
}

void gather_backward_data(const Conv2dShape& p, const float* dy, const float* w, float* dx,
                          void* work) {
  const FilterLayout filters{w, p.s, 1, p.c, p.r * p.s * p.c};
  for (Index h = 0; h < min_of(p.stride_h, p.h); ++h) {
    for (Index v = 0; v < min_of(p.stride_w, p.w); ++v) {
      const Gather g = backward_gather(p, dy, h, v);
      Scatter to{p.h, p.w, p.c, h, v, p.stride_h, p.stride_w};
      if (p.stride_h == 1 && p.stride_w == 1) to = {g.h.outputs, g.w.outputs, p.c};
      gather_product(g, filters, to, {dx, {}}, static_cast<float*>(work));
    }
  }
}

}  // namespace etude::ETUDE_BACKEND
