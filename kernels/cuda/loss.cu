// Softmax and the losses.
//
// softmax: y[j] = exp(x[j] - max) / sum over j of exp(x[j] - max), row by row. The maximum is taken
// out so that exp cannot overflow; a NaN reaches the sum through exp.
//
// softmax_cross_entropy: with log p = log softmax(x), label t of row i, weights w (1 where not
// given), smoothing e over C classes, and W = sum over rows of w[t]:
//
//   loss = sum over rows of ((1 - e) w[t] (-log p[t]) + e / C sum over j of w[j] (-log p[j])) / W
//   dlogits[j] = ((1 - e) w[t] (p[j] - [j = t]) + e / C (p[j] sum of w - w[j])) / W
//
// A label outside [0, C) makes the loss and the gradient NaN rather than reading past the row.
//
// Mapping of both: a warp makes a row, a block of 256 threads eight rows. Lane l holds the logits
// l, l + 32, ... in registers: 1, 8 or 32 of them, whichever covers the row, so that all are on
// their way at once and each is read once. Rows of more than 1024 classes pass through the same
// registers in pieces, three times, from L2. Both are bound by memory, 8 bytes a logit and two exp
// or so (0.01 ms for 4096 x 1000 at 3350 GB/s), and for small batches by the launch.
//
// Loss and gradient come from one kernel. Every row needs W, a sum over all labels: each block adds
// them up for itself, at most 1024 numbers from L2, which takes less time than another launch. With
// more rows a kernel before it adds them in pieces of 1024, and each block adds the pieces. The
// blocks' losses meet in a last small kernel, unless there is only one block. So there are one
// launch for up to 8 rows, two for up to 1024, three beyond.
//
// Accuracy where it is thin, at a row that is predicted well: with the target's exp left out of
// the sum, 1 - p[t] = others / (others + exp(x[t] - max)) and, where x[t] is the maximum,
// -log p[t] = log1p(others) have no cancellation; what is left in float is good to a few ulp.
//
// mean_squared_error: loss = sum (x - target)^2 / n, dx = 2 (x - target) / n. A block of 256
// threads makes tiles of 2048 elements, two float4 of each tensor a thread, up to 1024 blocks with
// the same number of tiles; their sums meet in a second launch. Bound by memory: 12 bytes an
// element.
//
// Sums over rows, blocks and tiles are double, in an order that the shape fixes (block_sum.h).
#include <cmath>

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsPerBlock = kThreads / kWarp;

// ---- a row in the registers of a warp ----------------------------------------------------------

__device__ int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ Index warp_row() {
  return Index{blockIdx.x} * kRowsPerBlock + static_cast<int>(threadIdx.x) / kWarp;
}
// The class that element k of this lane has in the piece of the row from `from` on.
__device__ int class_of(int from, int k) { return from + k * kWarp + lane(); }

// Beyond the row stand numbers whose exp is 0.
template <int kHeld>
__device__ void load_row(const float* x, int from, int classes, float (&v)[kHeld]) {
#pragma unroll
  for (int k = 0; k < kHeld; ++k) {
    const int j = class_of(from, k);
    v[k] = j < classes ? x[j] : -INFINITY;
  }
}

// The maximum of the row in every lane; a NaN does not enter. Rows of one piece stay in v.
template <int kHeld>
__device__ float load_and_max(const float* x, int classes, float (&v)[kHeld]) {
  float most = -INFINITY;
  for (int from = 0; from < classes; from += kWarp * kHeld) {
    load_row(x, from, classes, v);
#pragma unroll
    for (int k = 0; k < kHeld; ++k) most = v[k] > most ? v[k] : most;
  }
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, most, offset);
    most = other > most ? other : most;
  }
  return most;
}

// ---- softmax -----------------------------------------------------------------------------------

template <int kHeld>
__global__ void __launch_bounds__(kThreads, 2)
    softmax_rows(Index rows, int classes, const float* x, float* y) {
  const Index row = warp_row();
  if (row >= rows) return;
  x += row * classes;
  y += row * classes;
  const bool in_pieces = classes > kWarp * kHeld;
  float v[kHeld];
  const float most = load_and_max(x, classes, v);
  float total = 0;
  for (int from = 0; from < classes; from += kWarp * kHeld) {
    if (in_pieces) load_row(x, from, classes, v);
    float part = 0;
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      v[k] = expf(v[k] - most);
      part += v[k];
    }
    total += part;
  }
  const float scale = 1 / warp_sum(total);
  for (int from = 0; from < classes; from += kWarp * kHeld) {
    if (in_pieces) load_row(x, from, classes, v);
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      const int j = class_of(from, k);
      if (j < classes) y[j] = (in_pieces ? expf(v[k] - most) : v[k]) * scale;
    }
  }
}

// ---- cross-entropy -----------------------------------------------------------------------------

constexpr Index kLabelsPerBlock = 1024;

struct CrossEntropyProblem {
  Index rows;
  int classes;
  float keep;    // 1 - e
  float smooth;  // e / C
  const std::int64_t* labels;
  const float* weights;  // may be null
};

__device__ float class_weight(const CrossEntropyProblem& p, std::int64_t j) {
  return p.weights ? p.weights[j] : 1;
}
__device__ bool is_class(const CrossEntropyProblem& p, std::int64_t label) {
  return label >= 0 && label < p.classes;
}

// Over this block: the sum of the weights of labels [first, last).
__device__ double label_weights(const CrossEntropyProblem& p, Index first, Index last) {
  double total = 0;
#pragma unroll 4
  for (Index i = first + threadIdx.x; i < last; i += kThreads) {
    const std::int64_t t = p.labels[i];
    total += static_cast<double>(is_class(p, t) ? class_weight(p, t) : NAN);
  }
  return block_sum<kThreads>(total);
}

// total[b] = the weight of the b-th 1024 labels.
__global__ void sum_label_weights(CrossEntropyProblem p, double* total) {
  const Index first = Index{blockIdx.x} * kLabelsPerBlock;
  const double sum = label_weights(p, first, min_of(p.rows, first + kLabelsPerBlock));
  if (threadIdx.x == 0) total[blockIdx.x] = sum;
}

// One row: its loss before the division by W, in every lane, and dlogits.
template <int kHeld>
__device__ float cross_entropy_row(const CrossEntropyProblem& p, std::int64_t label,
                                   float total_weight, const float* x, float* dx) {
  const bool in_pieces = p.classes > kWarp * kHeld;
  const bool valid = is_class(p, label);
  const int target = valid ? static_cast<int>(label) : -1;
  float v[kHeld];
  const float most = load_and_max(x, p.classes, v);
  // Of exp(x - max) without the target; of the weights; of weight (max - x).
  float others = 0, all_weights = 0, distance = 0;
  for (int from = 0; from < p.classes; from += kWarp * kHeld) {
    if (in_pieces) load_row(x, from, p.classes, v);
    float part = 0;
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      const int j = class_of(from, k);
      if (p.smooth != 0 && j < p.classes) {
        const float w = class_weight(p, j);
        all_weights += w;
        distance = fmaf(w, most - v[k], distance);
      }
      v[k] = expf(v[k] - most);
      if (j != target) part += v[k];
    }
    others += part;
  }
  others = warp_sum(others);
  const float x_target = valid ? x[target] : NAN;
  const float e_target = expf(x_target - most);
  const float total = others + e_target;
  const float log_total = x_target == most ? log1pf(others) : logf(total);
  const float w_target = valid ? class_weight(p, target) : NAN;
  const float weight = p.keep * w_target;
  float loss = weight * ((most - x_target) + log_total);
  float slope = weight;
  if (p.smooth != 0) {
    all_weights = warp_sum(all_weights);
    loss = fmaf(p.smooth, fmaf(all_weights, log_total, warp_sum(distance)), loss);
    slope = fmaf(p.smooth, all_weights, slope);
  }
  const float per_total = 1 / total, per_weight = 1 / total_weight;
  slope *= per_total * per_weight;
  const float smooth = p.smooth * per_weight;
  const float dx_target = fmaf(-weight * per_weight, others * per_total,
                               smooth * fmaf(e_target * per_total, all_weights, -w_target));
  for (int from = 0; from < p.classes; from += kWarp * kHeld) {
    if (in_pieces) load_row(x, from, p.classes, v);
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      const int j = class_of(from, k);
      if (j >= p.classes) continue;
      float d = (in_pieces ? expf(v[k] - most) : v[k]) * slope;
      if (p.smooth != 0) d = fmaf(-class_weight(p, j), smooth, d);
      dx[j] = j == target ? dx_target : d;
    }
  }
  return loss;
}

// weight_parts: sums of label weights, or null with count 0. block_loss[b] is the loss of block b
// before the division by W, which stands at block_loss[blocks]; null if there is one block, which
// writes *loss.
template <int kHeld>
__global__ void __launch_bounds__(kThreads, 2)
    softmax_cross_entropy_rows(CrossEntropyProblem p, const double* weight_parts, Index count,
                               const float* logits, double* block_loss, float* loss,
                               float* dlogits) {
  const double total_weight =
      weight_parts ? block_sum_of<kThreads>(weight_parts, count) : label_weights(p, 0, p.rows);
  const Index row = warp_row();
  float row_loss = 0;
  if (row < p.rows)
    row_loss = cross_entropy_row<kHeld>(p, p.labels[row], static_cast<float>(total_weight),
                                        logits + row * p.classes, dlogits + row * p.classes);
  const double total = block_sum<kThreads>(static_cast<double>(lane() == 0 ? row_loss : 0));
  if (threadIdx.x != 0) return;
  if (!block_loss) {
    *loss = static_cast<float>(total / total_weight);
  } else {
    block_loss[blockIdx.x] = total;
    if (blockIdx.x == 0) block_loss[gridDim.x] = total_weight;
  }
}

__global__ void sum_block_losses(Index blocks, const double* block_loss, float* loss) {
  const double total = block_sum_of<kThreads>(block_loss, blocks);
  if (threadIdx.x == 0) *loss = static_cast<float>(total / block_loss[blocks]);
}

Index label_blocks(Index rows) {
  return rows > kLabelsPerBlock ? ceil_div(rows, kLabelsPerBlock) : 0;
}

// Calls f with the number of elements of a row that a lane holds, as a type.
template <int n>
struct Held {
  static constexpr int value = n;
};
template <class F>
void with_held(Index classes, F f) {
  if (classes <= kWarp) return f(Held<1>{});
  if (classes <= 8 * kWarp) return f(Held<8>{});
  f(Held<32>{});
}

// ---- mean squared error ------------------------------------------------------------------------

constexpr int kVectors = 2;  // float4 a thread and tile
constexpr int kTile = kThreads * kVectors * 4;
constexpr Index kMostBlocks = 1024;

Index tiles_per_block(Index n) { return ceil_div(ceil_div(n, Index{kTile}), kMostBlocks); }
Index error_blocks(Index n) { return n == 0 ? 0 : ceil_div(n, tiles_per_block(n) * kTile); }

// For this thread's quads of a tile: dx, and the sum of the squared errors.
template <class Access>
__device__ float squared_error_quads(Access access, float scale, const float* x,
                                     const float* target, float* dx) {
  Quad d[kVectors];
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    const Quad a = access(at).load(x + at), b = access(at).load(target + at);
    d[v] = {{a.e[0] - b.e[0], a.e[1] - b.e[1], a.e[2] - b.e[2], a.e[3] - b.e[3]}};
  }
  float total = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    const float(&e)[4] = d[v].e;
    access(at).store(dx + at, {{scale * e[0], scale * e[1], scale * e[2], scale * e[3]}});
    total += fmaf(e[0], e[0], e[1] * e[1]) + fmaf(e[2], e[2], e[3] * e[3]);
  }
  return total;
}

// Block b makes tiles [b tiles, (b + 1) tiles). One of `partial` and `loss` is given.
__global__ void squared_error_tiles(Index n, Index tiles, float scale, const float* x,
                                    const float* target, double* partial, float* loss, float* dx) {
  const Index first = Index{blockIdx.x} * tiles * kTile;
  const Index last = min_of(n, first + tiles * kTile);
  double total = 0;
  Index tile = first;
  for (; tile + kTile <= last; tile += kTile)
    total += static_cast<double>(
        squared_error_quads(WholeRange{}, scale, x + tile, target + tile, dx + tile));
  if (tile < last) {
    const int count = static_cast<int>(last - tile);
    total += static_cast<double>(
        squared_error_quads(PartRange{0, count}, scale, x + tile, target + tile, dx + tile));
  }
  total = block_sum<kThreads>(total);
  if (threadIdx.x != 0) return;
  if (partial)
    partial[blockIdx.x] = total;
  else
    *loss = static_cast<float>(total / static_cast<double>(n));
}

__global__ void mean_of_partials(Index count, const double* partial, Index n, float* loss) {
  const double total = block_sum_of<kThreads>(partial, count);
  if (threadIdx.x == 0) *loss = static_cast<float>(total / static_cast<double>(n));
}

LaunchShape blocks_of(Stream s, unsigned blocks) {
  return {.grid = blocks, .block = kThreads, .stream = stream_of(s)};
}

}  // namespace

void softmax(Stream s, Index rows, Index classes, const T* x, T* y) {
  const LaunchShape shape = blocks_of(s, grid_for(rows, 1, kRowsPerBlock));
  with_held(classes, [&](auto held) {
    ETUDE_CUDA(launch(shape, softmax_rows<held.value>, rows, static_cast<int>(classes), x, y));
  });
}

// Sums of label weights, losses of the blocks, and W.
std::size_t softmax_cross_entropy_workspace(const CrossEntropyShape& p) {
  const Index blocks = ceil_div(p.rows, Index{kRowsPerBlock});
  return blocks > 1 ? static_cast<std::size_t>(label_blocks(p.rows) + blocks + 1) * sizeof(double)
                    : 0;
}

void softmax_cross_entropy(Stream s, const CrossEntropyShape& p, const T* logits,
                           const std::int64_t* labels, const T* weights, T* loss, T* dlogits,
                           void* work) {
  const CrossEntropyProblem problem{
      p.rows,
      static_cast<int>(p.classes),
      static_cast<float>(1 - p.label_smoothing),
      static_cast<float>(p.label_smoothing / static_cast<double>(p.classes)),
      labels,
      weights};
  const Index blocks = ceil_div(p.rows, Index{kRowsPerBlock}), parts = label_blocks(p.rows);
  double* const weight_parts = parts ? static_cast<double*>(work) : nullptr;
  double* const block_loss = blocks > 1 ? static_cast<double*>(work) + parts : nullptr;
  if (parts)
    ETUDE_CUDA(launch(blocks_of(s, grid_for(parts, 1)), sum_label_weights, problem, weight_parts));
  with_held(p.classes, [&](auto held) {
    ETUDE_CUDA(launch(blocks_of(s, grid_for(blocks, 1)), softmax_cross_entropy_rows<held.value>,
                      problem, weight_parts, parts, logits, block_loss, loss, dlogits));
  });
  if (block_loss) ETUDE_CUDA(launch(blocks_of(s, 1), sum_block_losses, blocks, block_loss, loss));
}

std::size_t mean_squared_error_workspace(Index n) {
  const Index blocks = error_blocks(n);
  return blocks > 1 ? static_cast<std::size_t>(blocks) * sizeof(double) : 0;
}

void mean_squared_error(Stream s, Index n, const T* x, const T* target, T* loss, T* dx,
                        void* work) {
  const Index blocks = error_blocks(n);
  double* const partial = blocks > 1 ? static_cast<double*>(work) : nullptr;
  const auto scale = static_cast<float>(2 / static_cast<double>(n));
  ETUDE_CUDA(launch(blocks_of(s, grid_for(blocks, 1)), squared_error_tiles, n, tiles_per_block(n),
                    scale, x, target, partial, loss, dx));
  if (partial) ETUDE_CUDA(launch(blocks_of(s, 1), mean_of_partials, blocks, partial, n, loss));
}

}  // namespace etude::ETUDE_BACKEND
