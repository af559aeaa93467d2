// Optimiser steps over a list of tensors: one launch for all of a model's parameters, however small
// each. The formulas are those of torch.optim.SGD and AdamW, and of torch.nn.utils.clip_grad_norm_.
//
// Mapping: every tensor is cut into pieces, a block of 256 threads makes one piece, and the blocks
// of all tensors are numbered through. Pointers, sizes and the number of each tensor's first block
// travel by value as a kernel parameter, in constant memory: no copy to the device comes before. A
// block finds its tensor by binary search, eight reads that are the same for all its threads. Lists
// of more than 168 tensors (ResNet-50 has 161) take several launches.
//
// Steps and clipping: a piece is 1024 elements, a float4 of every column a thread, two to four of
// them on their way at once; element-wise, so independent of the cut. The norm: a piece is 4096
// elements, 4 float4 a thread, their squares summed as in block_sum.h: the pieces' sums go to the
// workspace and one more block adds them.
//
// Bound by memory, with bytes an element: sgd 12, with momentum 20 (first step 16), adamw 28, ema
// 12, norm 4, clip 8 (none where the norm is small enough). AdamW on the 25.6 M parameters of
// ResNet-50 is 0.72 GB, 0.21 ms at 3350 GB/s; it has some 30 operations an element, a root and a
// division, 0.8 GFLOP, far below any ridge. All arithmetic is float32; what is common to a tensor
// is made on the host in double and rounded once.
#include <cmath>

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;

// ---- the list of tensors, as a kernel parameter ------------------------------------------------

constexpr int kMostTensors = 168;

// Columns that a kernel does not use are not set.
struct TensorBlocks {
  int count;
  int first_block[kMostTensors + 1];  // of each tensor; then the number of all blocks
  Index size[kMostTensors];
  float* value[kMostTensors];
  const float* grad[kMostTensors];
  float* state1[kMostTensors];
  float* state2[kMostTensors];
  float decay[kMostTensors];
};

// The piece of a tensor that a block works on.
struct Piece {
  int tensor;
  Index first;
  int count;  // of elements
};

template <int kPiece>
__device__ Piece piece_of_block(const TensorBlocks& list) {
  const int block = static_cast<int>(blockIdx.x);
  int low = 0, high = list.count - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (block < list.first_block[middle + 1])
      high = middle;
    else
      low = middle + 1;
  }
  const Index first = Index{block - list.first_block[low]} * kPiece;
  return {low, first, static_cast<int>(min_of(list.size[low] - first, Index{kPiece}))};
}

// ---- steps -------------------------------------------------------------------------------------

constexpr int kStepPiece = kThreads * 4;

// This thread's quad: where it is, and how many elements the tensor has from there on.
struct QuadPlace {
  int tensor;
  Index at;
  int left;
};

__device__ QuadPlace quad_of_thread(const TensorBlocks& list) {
  const Piece piece = piece_of_block<kStepPiece>(list);
  const int at = static_cast<int>(threadIdx.x) * 4;
  return {piece.tensor, piece.first + at, piece.count - at};
}

// Calls step(access) for the thread's quad, if there is any of it.
template <class Step>
__device__ void with_access(const QuadPlace& q, Step step) {
  if (q.left >= 4)
    step(WholeQuad{});
  else if (q.left > 0)
    step(PartQuad{0, q.left});
}

struct SgdFactors {
  float lr, momentum, keep;  // keep = 1 - dampening
  bool nesterov, first;
};

// g = grad + decay value;  momentum: buffer = momentum buffer + (1 - dampening) g (first: = g),
// g = buffer, or with Nesterov g + momentum buffer;  value -= lr g.
template <bool kMomentum>
__global__ void sgd_step_tensors(const __grid_constant__ TensorBlocks list, SgdFactors step) {
  const QuadPlace q = quad_of_thread(list);
  float* const value = list.value[q.tensor] + q.at;
  const float* const grad = list.grad[q.tensor] + q.at;
  float* const buffer = kMomentum ? list.state1[q.tensor] + q.at : nullptr;
  const float decay = list.decay[q.tensor];
  with_access(q, [&](auto quad) {
    Quad w = quad.load(value), g = quad.load(grad), b = {};
    if (kMomentum && !step.first) b = quad.load(buffer);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float d = fmaf(decay, w.e[i], g.e[i]);
      if (kMomentum) {
        b.e[i] = step.first ? d : fmaf(step.momentum, b.e[i], step.keep * d);
        d = step.nesterov ? fmaf(step.momentum, b.e[i], d) : b.e[i];
      }
      w.e[i] = fmaf(-step.lr, d, w.e[i]);
    }
    if (kMomentum) quad.store(buffer, b);
    quad.store(value, w);
  });
}

struct AdamwFactors {
  float lr;
  float beta1, keep1;  // keep = 1 - beta
  float beta2, keep2;
  float rate;        // lr / (1 - beta1^step)
  float root_scale;  // 1 / sqrt(1 - beta2^step)
  float eps;
};

// value *= 1 - lr decay;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
// value -= lr m_hat / (sqrt(v_hat) + eps) with m_hat = m / (1 - beta1^step), v_hat likewise.
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. `decay` of the list
// holds 1 - lr decay.
__global__ void adamw_step_tensors(const __grid_constant__ TensorBlocks list, AdamwFactors step) {
  const QuadPlace q = quad_of_thread(list);
  float* const value = list.value[q.tensor] + q.at;
  const float* const grad = list.grad[q.tensor] + q.at;
  float* const first = list.state1[q.tensor] + q.at;
  float* const second = list.state2[q.tensor] + q.at;
  const float shrink = list.decay[q.tensor];
  with_access(q, [&](auto quad) {
    const Quad g = quad.load(grad);
    Quad m = quad.load(first), v = quad.load(second), w = quad.load(value);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      m.e[i] = fmaf(step.beta1, m.e[i], step.keep1 * g.e[i]);
      v.e[i] = fmaf(step.beta2, v.e[i], step.keep2 * g.e[i] * g.e[i]);
      const float update = m.e[i] / fmaf(sqrtf(v.e[i]), step.root_scale, step.eps);
      w.e[i] = fmaf(-step.rate, update, shrink * w.e[i]);
    }
    quad.store(first, m);
    quad.store(second, v);
    quad.store(value, w);
  });
}

// state1 = decay state1 + (1 - decay) value.
__global__ void ema_step_tensors(const __grid_constant__ TensorBlocks list, float old,
                                 float fresh) {
  const QuadPlace q = quad_of_thread(list);
  const float* const value = list.value[q.tensor] + q.at;
  float* const average = list.state1[q.tensor] + q.at;
  with_access(q, [&](auto quad) {
    const Quad w = quad.load(value);
    Quad a = quad.load(average);
#pragma unroll
    for (int i = 0; i < 4; ++i) a.e[i] = fmaf(old, a.e[i], fresh * w.e[i]);
    quad.store(average, a);
  });
}

// value *= min(1, most / (norm + 1e-6)); `value` of the list holds the gradients. A NaN norm makes
// every gradient NaN: the comparison is false, so the factor stays NaN. A factor of 1 changes
// nothing, and nothing is moved.
__global__ void clip_tensors(const __grid_constant__ TensorBlocks list, const float* norm,
                             float most) {
  const float factor = most / (*norm + 1e-6f);
  if (factor >= 1) return;
  const QuadPlace q = quad_of_thread(list);
  float* const grad = list.value[q.tensor] + q.at;
  with_access(q, [&](auto quad) {
    Quad g = quad.load(grad);
#pragma unroll
    for (int i = 0; i < 4; ++i) g.e[i] *= factor;
    quad.store(grad, g);
  });
}

// ---- norm --------------------------------------------------------------------------------------

constexpr int kNormQuads = 4;  // a thread
constexpr int kNormPiece = kThreads * kNormQuads * 4;

// The sum of the squares of this thread's quads of a piece.
template <class Access>
__device__ float squares_of_quads(Access access, const float* x) {
  float part[kNormQuads];
#pragma unroll
  for (int v = 0; v < kNormQuads; ++v) {
    const int at = (v * kThreads + static_cast<int>(threadIdx.x)) * 4;
    const Quad q = access(at).load(x + at);
    part[v] = fmaf(q.e[0], q.e[0], q.e[1] * q.e[1]) + fmaf(q.e[2], q.e[2], q.e[3] * q.e[3]);
  }
  return (part[0] + part[1]) + (part[2] + part[3]);
}

// partial[b] = the sum of the squares of the b-th piece.
__global__ void squares_of_tensors(const __grid_constant__ TensorBlocks list, double* partial) {
  const Piece piece = piece_of_block<kNormPiece>(list);
  const float* const grad = list.grad[piece.tensor] + piece.first;
  const float mine = piece.count == kNormPiece ? squares_of_quads(WholeRange{}, grad)
                                               : squares_of_quads(PartRange{0, piece.count}, grad);
  const double total = block_sum<kThreads>(static_cast<double>(mine));
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void root_of_partials(Index count, const double* partial, float* norm) {
  const double squares = block_sum_of<kThreads>(partial, count);
  if (threadIdx.x == 0) *norm = static_cast<float>(sqrt(squares));
}

// ---- launches ----------------------------------------------------------------------------------

Index pieces(const TensorList<float>& list, int piece) {
  Index total = 0;
  for (Index t = 0; t < list.count; ++t) total += ceil_div(list.sizes[t], Index{piece});
  return total;
}

// Cuts the list into groups that fit a kernel's parameter and calls run(group, shape) for each.
// `decay_of` is what stands in `decay` for a tensor's weight decay.
template <class DecayOf, class Run>
void for_each_group(Stream s, const TensorList<float>& list, int piece, DecayOf decay_of, Run run) {
  TensorBlocks group;
  Index t = 0;
  while (t < list.count) {
    group.count = 0;
    Index blocks = 0;
    for (; t < list.count && group.count < kMostTensors; ++t) {
      if (list.sizes[t] == 0) continue;
      const int g = group.count++;
      group.first_block[g] = static_cast<int>(blocks);
      group.size[g] = list.sizes[t];
      if (list.value) group.value[g] = list.value[t];
      if (list.grad) group.grad[g] = list.grad[t];
      if (list.state1) group.state1[g] = list.state1[t];
      if (list.state2) group.state2[g] = list.state2[t];
      group.decay[g] = static_cast<float>(decay_of(list.decay ? list.decay[t] : 0));
      blocks += ceil_div(list.sizes[t], Index{piece});
    }
    const unsigned grid = grid_for(blocks, 1);
    group.first_block[group.count] = static_cast<int>(grid);
    run(group, LaunchShape{.grid = grid, .block = kThreads, .stream = stream_of(s)});
  }
}

double as_it_is(double decay) { return decay; }

}  // namespace

void sgd_step(Stream s, const TensorList<T>& list, const SgdStep& step) {
  const SgdFactors factors{static_cast<float>(step.lr), static_cast<float>(step.momentum),
                           static_cast<float>(1 - step.dampening), step.nesterov, step.first};
  const auto kernel = step.momentum != 0 ? sgd_step_tensors<true> : sgd_step_tensors<false>;
  for_each_group(s, list, kStepPiece, as_it_is,
                 [&](const TensorBlocks& group, const LaunchShape& shape) {
                   ETUDE_CUDA(launch(shape, kernel, group, factors));
                 });
}

void adamw_step(Stream s, const TensorList<T>& list, const AdamwStep& step) {
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  const AdamwFactors factors{static_cast<float>(step.lr),
                             static_cast<float>(step.beta1),
                             static_cast<float>(1 - step.beta1),
                             static_cast<float>(step.beta2),
                             static_cast<float>(1 - step.beta2),
                             static_cast<float>(step.lr / correction1),
                             static_cast<float>(1 / std::sqrt(correction2)),
                             static_cast<float>(step.eps)};
  for_each_group(
      s, list, kStepPiece, [&](double decay) { return 1 - step.lr * decay; },
      [&](const TensorBlocks& group, const LaunchShape& shape) {
        ETUDE_CUDA(launch(shape, adamw_step_tensors, group, factors));
      });
}

void ema_step(Stream s, const TensorList<T>& list, double decay) {
  for_each_group(s, list, kStepPiece, as_it_is,
                 [&](const TensorBlocks& group, const LaunchShape& shape) {
                   ETUDE_CUDA(launch(shape, ema_step_tensors, group, static_cast<float>(decay),
                                     static_cast<float>(1 - decay)));
                 });
}

// A double for each piece.
std::size_t gradient_norm_workspace(const TensorList<T>& list) {
  return static_cast<std::size_t>(pieces(list, kNormPiece)) * sizeof(double);
}

// norm = sqrt(sum of the squares of all gradients).
void gradient_norm(Stream s, const TensorList<T>& list, T* norm, void* work) {
  auto* const partial = static_cast<double*>(work);
  Index count = 0;
  for_each_group(s, list, kNormPiece, as_it_is,
                 [&](const TensorBlocks& group, const LaunchShape& shape) {
                   ETUDE_CUDA(launch(shape, squares_of_tensors, group, partial + count));
                   count += shape.grid.x;
                 });
  ETUDE_CUDA(launch({.grid = 1, .block = kThreads, .stream = stream_of(s)}, root_of_partials, count,
                    partial, norm));
}

void gradient_clip(Stream s, const TensorList<T>& list, T* const* grads, const T* norm,
                   double max_norm) {
  TensorList<T> gradients = list;
  gradients.value = grads;
  for_each_group(
      s, gradients, kStepPiece, as_it_is, [&](const TensorBlocks& group, const LaunchShape& shape) {
        ETUDE_CUDA(launch(shape, clip_tensors, group, norm, static_cast<float>(max_norm)));
      });
}

}  // namespace etude::ETUDE_BACKEND
