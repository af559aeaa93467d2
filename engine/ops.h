// The operations on tensors. Each checks its shapes (an Error names the op and both shapes), runs
// one kernel of the inputs' device, and records how to go backward.
//
// x, y are NHWC activations; filters are KRSC. All inputs of an op live on one device and have one
// real dtype. Formulas: the kernel headers; semantics: PyTorch's, where it has the op.
#pragma once

#include "engine/autograd.h"
#include "engine/random.h"
#include "engine/tensor.h"

namespace etude {

// ---- convolution and linear ---------------------------------------------------------------------

struct Conv2dOptions {
  Index stride_h = 1, stride_w = 1;
  Index pad_h = 0, pad_w = 0;
  Index dilation_h = 1, dilation_w = 1;
  bool relu = false;  // fused: y = max(0, conv + bias)

  static Conv2dOptions square(Index stride, Index pad, Index dilation = 1) {
    return {stride, stride, pad, pad, dilation, dilation};
  }
};

// x [N,H,W,C], w [K,R,S,C], bias [K] or undefined -> [N,P,Q,K],
// P = (H + 2 pad - dilation (R - 1) - 1) / stride + 1.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias = {},
              const Conv2dOptions& options = {});

// x [N,C], w [K,C], bias [K] or undefined -> [N,K] = x w^T + bias.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});

// ---- normalisation ------------------------------------------------------------------------------

struct BatchNormOptions {
  bool training = true;   // batch statistics (and update of the running ones), else running ones
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch
  double eps = 1e-5;
  bool relu = false;  // fused: y = max(0, bn(x) + residual)
};

// x [..., C]; gamma, beta, running_mean, running_var [C]; residual like x or undefined.
// The running variance is the unbiased one. Training needs more than one value a channel.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor& running_mean, const Tensor& running_var,
                  const BatchNormOptions& options = {}, const Tensor& residual = {});

// batch_norm(conv2d(x, w, bias, conv), ..., norm, residual), in one kernel where the back end
// has it: in training the convolution makes the statistics; in evaluation, with nothing recorded,
// the norm is part of it.
// `conv` must be without ReLU.
Tensor conv2d_batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias,
                         const Conv2dOptions& conv, const Tensor& gamma, const Tensor& beta,
                         const Tensor& running_mean, const Tensor& running_var,
                         const BatchNormOptions& norm, const Tensor& residual = {});

// ---- element-wise -------------------------------------------------------------------------------

Tensor relu(const Tensor& x);
Tensor add(const Tensor& a, const Tensor& b);  // same shape
Tensor mul(const Tensor& a, const Tensor& b);  // same shape
Tensor scale(const Tensor& x, double factor);
// Zeroes elements with probability p and scales the rest by 1 / (1 - p); identity if not training.
Tensor dropout(const Tensor& x, double p, bool training, Generator& generator);

// max_pool2d(relu(conv2d(x, w, bias)), 2x2) -> [N, P/2, Q/2, K], in one op: the output before
// pooling is not kept. options.relu is taken as set.
Tensor conv2d_relu_max_pool2d(const Tensor& x, const Tensor& w, const Tensor& bias = {},
                              const Conv2dOptions& options = {});
// A VGG block, max_pool2d(relu(conv2d(relu(conv2d(x, w1, bias1)), w2, bias2)), 2x2), in one op:
// neither convolution's output is kept, the first is computed again for the backward pass. x must
// not require a gradient. The same options for both convolutions; options.relu is taken as set.
// x [N,H,W,C], w1 [K1,R,S,C], w2 [K2,R,S,K1] -> [N,P/2,Q/2,K2], P x Q being the second's output.
Tensor vgg_block(const Tensor& x, const Tensor& w1, const Tensor& bias1, const Tensor& w2,
                 const Tensor& bias2, const Conv2dOptions& options = {});

// ---- pooling -----------------------------------------------------------------------------------

struct Pool2dOptions {
  Index r = 2, s = 2;
  Index stride_h = 0, stride_w = 0;  // 0: the window
  Index pad_h = 0, pad_w = 0;        // at most half the window

  static Pool2dOptions square(Index window, Index stride = 0, Index pad = 0) {
    return {window, window, stride, stride, pad, pad};
  }
};

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);  // padding counts
Tensor adaptive_avg_pool2d(const Tensor& x, Index p, Index q);     // [N,H,W,C] -> [N,p,q,C]
// max_pool2d(batch_norm(x [N,H,W,C], ...)), in one op where it trains: what is normalised is the
// maxima alone.
Tensor batch_norm_max_pool2d(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                             const Tensor& running_mean, const Tensor& running_var,
                             const BatchNormOptions& options, const Pool2dOptions& pool);
inline Tensor global_avg_pool2d(const Tensor& x) { return adaptive_avg_pool2d(x, 1, 1); }

// ---- shape and reductions -----------------------------------------------------------------------

Tensor reshape(const Tensor& x, Shape shape);  // the same storage
Tensor flatten(const Tensor& x);               // [N, ...] -> [N, rest], in memory order (H,W,C)
Tensor sum(const Tensor& x);                   // -> scalar
Tensor mean(const Tensor& x);                  // -> scalar
// x [N,H,W,C] -> [N,H,2,C]: mean and (population) standard deviation over W.
Tensor mean_std(const Tensor& x);

// ---- losses ------------------------------------------------------------------------------------

struct CrossEntropyOptions {
  double label_smoothing = 0;
  Tensor class_weights;  // [classes], optional
};

Tensor softmax(const Tensor& logits);  // [N, classes]; not recorded
// Mean softmax cross-entropy of logits [N, classes] with int64 labels [N] -> scalar. With class
// weights the mean divides by the sum of the weights, as PyTorch's.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels,
                     const CrossEntropyOptions& options = {});
// Mean of (x - target)^2 -> scalar. The target gets no gradient.
Tensor mse_loss(const Tensor& x, const Tensor& target);

// ---- front end (not recorded) ------------------------------------------------------------------

// audio [clips, samples], window [n_fft] -> [clips, frames, bins, 2].
struct StftOptions {
  Index n_fft = 2048, hop = 512;
  bool centred = true;
  PadMode pad_mode = PadMode::zero;
};
Tensor stft(const Tensor& audio, const Tensor& window, const StftOptions& options);

// Triangular filters on a device; data/mel.h computes them.
struct MelFilterBank {
  Index n_mels = 0;
  Tensor weights;                                  // [total weights]
  std::vector<std::int32_t> first, count, offset;  // [n_mels] each, host copy
  Tensor indices;                                  // the three, as bytes on the device of `weights`
};
// audio [clips, samples], window [n_fft] -> [clips, n_mels, frames] in the chosen log scale.
Tensor mel_spectrogram(const Tensor& audio, const Tensor& window, const StftOptions& options,
                       const MelFilterBank& filters, LogScale log_scale, double floor);
void top_db(const Tensor& y, double top_db);  // y = max(y, max of the clip - top_db), in place

// Standardisation of y [clips, bands, frames], in place. Only the first frames_valid[clip] frames
// (int64 [clips]; undefined: all) count; the others, padding, become 0, the mean.
// Per clip: (y - mean) / (deviation + eps) with one mean and population deviation over all bands.
void standardize_clip(const Tensor& y, const Tensor& frames_valid = {}, double eps = 1e-5);
// Per band: (y - mean[band]) inv_std[band] with given statistics.
void standardize_band(const Tensor& y, const Tensor& mean, const Tensor& inv_std,
                      const Tensor& frames_valid = {});

// What training does to a batch of spectrograms, in one pass, drawn beforehand: resampling, level,
// noise, masks, mixing (kernels/reference/augment.cpp has the formula, shapes.h the parameters).
// x [N, bands, source frames, 1] -> [N, bands, frames, 1].
struct Augmentation {
  Tensor samples;   // u8 [N, sizeof(AugmentSample)]; partners are samples of the batch
  Tensor band_at;   // f32 [N, bands]: where each band comes from, 0 to bands - 1; undefined: itself
  Tensor frame_at;  // f32 [N, frames]: the same in time, 0 to source frames - 1, or -1: padding
  double pad = 0;
};
Tensor augment(const Tensor& x, const Augmentation& augmentation);

}  // namespace etude
