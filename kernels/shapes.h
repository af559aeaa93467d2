// The problem descriptions every kernel takes: plain structs, no methods that allocate or throw.
//
// They are shared by all back ends, by the ops and by the benchmarks, so that "the shape" of a
// problem is one thing everywhere. Letters follow the implicit-GEMM literature:
//   x [N,H,W,C]  filter w [K,R,S,C]  y [N,P,Q,K]
// Only plain data and constexpr arithmetic may live here: this header is compiled once per
// instruction set, and an inline function that differs between two of them would break the
// one-definition rule.
#pragma once

#include <cstddef>
#include <cstdint>

namespace etude {

using Index = std::int64_t;

// An in-order queue of work on a device. Null on back ends that run at once (reference, cpu).
struct Stream {
  void* handle = nullptr;
};

struct Event {
  void* handle = nullptr;
};

enum class CopyKind { host_to_device, device_to_host, device_to_device };

// 2-D convolution (cross-correlation) of NHWC activations with KRSC filters, zero padding.
struct Conv2dShape {
  Index n, h, w, c;
  Index k, r, s;
  Index stride_h = 1, stride_w = 1;
  Index pad_h = 0, pad_w = 0;
  Index dilation_h = 1, dilation_w = 1;

  constexpr Index p() const { return (h + 2 * pad_h - dilation_h * (r - 1) - 1) / stride_h + 1; }
  constexpr Index q() const { return (w + 2 * pad_w - dilation_w * (s - 1) - 1) / stride_w + 1; }
  constexpr Index x_size() const { return n * h * w * c; }
  constexpr Index w_size() const { return k * r * s * c; }
  constexpr Index y_size() const { return n * p() * q() * k; }
  // Multiply-adds of one pass (forward, data gradient or filter gradient), padding counted.
  constexpr Index macs() const { return y_size() * r * s * c; }
};

// 2-D pooling windows over NHWC activations; r x s is the window, at most 255 taps.
struct Pool2dShape {
  Index n, h, w, c;
  Index r, s;
  Index stride_h, stride_w;
  Index pad_h = 0, pad_w = 0;

  constexpr Index p() const { return (h + 2 * pad_h - r) / stride_h + 1; }
  constexpr Index q() const { return (w + 2 * pad_w - s) / stride_w + 1; }
  constexpr Index x_size() const { return n * h * w * c; }
  constexpr Index y_size() const { return n * p() * q() * c; }
};

// Adaptive average pooling to p x q; the window of output i covers
// [floor(i h / p), ceil((i + 1) h / p)), as PyTorch has it. p = q = 1 is global average pooling.
struct AdaptivePool2dShape {
  Index n, h, w, c;
  Index p, q;
  constexpr Index x_size() const { return n * h * w * c; }
  constexpr Index y_size() const { return n * p * q * c; }
};

// Batch norm over the rows of a [rows, channels] view of NHWC activations (rows = N H W).
struct BatchNormShape {
  Index rows, channels;
  double eps = 1e-5;
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch
  bool relu = false;      // y = max(0, .) after the optional residual
  constexpr Index size() const { return rows * channels; }
};

struct CrossEntropyShape {
  Index rows, classes;
  double label_smoothing = 0;
};

// Mean and deviation over the last but one axis: x [outer, length, inner] -> y [outer, 2, inner].
struct MeanStdShape {
  Index outer, length, inner;
};

// ---- front end ---------------------------------------------------------------------------------

enum class PadMode { zero, reflect };
enum class LogScale {
  none,       // the mel energies themselves
  db,         // 10 log10(max(x, floor))
  db_offset,  // 10 log10(x + floor)
};

// Short-time Fourier transform of `clips` signals of equal length.
// Frame f covers samples [f hop - n_fft/2, f hop + n_fft/2) when centred (the signal is padded by
// n_fft/2 on both sides as `pad_mode` says), else [f hop, f hop + n_fft).
struct StftShape {
  Index clips, samples;
  Index n_fft, hop;
  bool centred = true;
  PadMode pad_mode = PadMode::zero;

  constexpr Index bins() const { return n_fft / 2 + 1; }
  constexpr Index frames() const {
    return centred ? 1 + samples / hop : (samples < n_fft ? 0 : 1 + (samples - n_fft) / hop);
  }
};

// Sparse triangular mel filters: filter m weighs bins [first[m], first[m] + count[m]) with
// weights[offset[m] ...]. All arrays live on the device of the kernel.
struct MelFilters {
  Index n_mels;
  const std::int32_t* first;
  const std::int32_t* count;
  const std::int32_t* offset;
  const float* weights;
};

// Standardisation of log-mel features x [clips, bands, frames]: (x - mean) / deviation.
// frames_valid[i] (or all frames when null) enter the statistics; padding frames are set to zero,
// which is the mean after standardisation.
struct StandardizeShape {
  Index clips, bands, frames;
  double eps = 1e-5;  // added to the deviation
};

// ---- random numbers ----------------------------------------------------------------------------

// A position in a Philox4x32-10 stream: element i of an op draws from counter `offset + i / 4`,
// lane `i % 4`. The same state gives the same numbers on every back end.
struct PhiloxState {
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;
};

// ---- augmentation ------------------------------------------------------------------------------

// Spectrograms x [n, bands, source_frames] -> y [n, bands, frames].
struct AugmentShape {
  Index n, bands, source_frames, frames;
  double pad = 0;  // the frames that come from nowhere
};

// What is done to one of them; as it stands, nothing.
struct AugmentSample {
  struct Span {
    std::int32_t begin = 0, end = 0;
  };
  PhiloxState noise_stream;
  float noise = 0;            // deviation
  float gain = 0, tilt = 0;   // what is added to all bands; and from -tilt to tilt over the bands
  float mix = 1;              // y = mix own + (1 - mix) partner
  std::int32_t partner = -1;  // a sample of the same batch; -1: none
  Span bands[2], frames[2];   // set to 0
};

// ---- optimisers --------------------------------------------------------------------------------

// A list of tensors worked on by one multi-tensor kernel. The arrays are host memory, the pointers
// in them device memory. Unused columns are null.
template <class T>
struct TensorList {
  Index count = 0;
  const Index* sizes = nullptr;
  T* const* value = nullptr;       // parameters
  const T* const* grad = nullptr;  // their gradients
  T* const* state1 = nullptr;      // momentum buffer / first moment / moving average
  T* const* state2 = nullptr;      // second moment
  const double* decay = nullptr;   // weight decay of each tensor
};

struct SgdStep {
  double lr = 0, momentum = 0, dampening = 0;
  bool nesterov = false;
  bool first = false;  // the momentum buffer is set to the gradient rather than blended
};

struct AdamwStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  Index step = 1;  // 1-based, for the bias corrections
};

}  // namespace etude
