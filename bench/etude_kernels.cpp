// The provider etude: the kernels of one device's table, without the ops around them.
#include "bench/etude_kernels.h"

#include "data/mel.h"

namespace etude::bench {
namespace {

Kernel conv2d(const Problem& problem, const Back& b) {
  const Conv2dShape p = conv2d_shape(problem);
  Kernel kernel;
  switch (conv2d_pass(problem)) {
    case Pass::forward: {
      const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_forward_workspace(p));
      kernel.run = [=](const Set& t) {
        b.k.conv2d_forward(b.stream, p, f(t[0]), f(t[1]), nullptr, false, f(t[2]), u8(work));
      };
      break;
    }
    case Pass::backward_data: {
      const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_backward_data_workspace(p));
      kernel.run = [=](const Set& t) {
        b.k.conv2d_backward_data(b.stream, p, f(t[0]), f(t[1]), f(t[2]), u8(work));
      };
      break;
    }
    case Pass::backward_filter: {
      const Tensor work = b.scratch(kernel.workspace = b.k.conv2d_backward_filter_workspace(p));
      kernel.run = [=](const Set& t) {
        b.k.conv2d_backward_filter(b.stream, p, f(t[0]), f(t[1]), f(t[2]), nullptr, u8(work));
      };
    }
  }
  return kernel;
}

// With ReLU.
Kernel batch_norm(const Problem& problem, const Back& b) {
  const BatchNormShape p = batch_norm_shape(problem);
  const Index C = p.channels;
  Kernel kernel;
  const Tensor work = b.scratch(kernel.workspace = b.k.batch_norm_workspace(p));
  const auto forward = [=](const Tensor& x, const Tensor& gamma, const Tensor& beta,
                           const Tensor& y, float* statistics) {
    b.k.batch_norm_forward(b.stream, p, f(x), f(gamma), f(beta), nullptr, nullptr, nullptr, f(y),
                           statistics, statistics + C, u8(work));
  };
  if (problem.kernel == "batch_norm_forward") {
    kernel.extra = {{Shape{2, C}, DType::f32}};
    kernel.run = [=](const Set& t) { forward(t[0], t[1], t[2], t[3], f(t[4])); };
  } else if (problem.kernel == "batch_norm_inference") {
    const Tensor mean = Tensor::full({C}, 0.1, DType::f32, b.device),
                 variance = Tensor::full({C}, 0.9, DType::f32, b.device);
    kernel.run = [=](const Set& t) {
      b.k.batch_norm_inference(b.stream, p, f(t[0]), f(t[1]), f(t[2]), nullptr, f(mean),
                               f(variance), f(t[3]));
    };
  } else {
    kernel.extra = {{Shape{p.rows, C}, DType::f32}, {Shape{4, C}, DType::f32}};  // y; statistics
    kernel.prepare = [=](const Set& t) { forward(t[0], t[2], t[3], t[5], f(t[6])); };
    kernel.run = [=](const Set& t) {
      float* const v = f(t[6]);
      b.k.batch_norm_backward(b.stream, p, f(t[0]), f(t[5]), f(t[1]), f(t[2]), v, v + C, f(t[4]),
                              v + 2 * C, v + 3 * C, nullptr, u8(work));
    };
  }
  return kernel;
}

Kernel max_pool2d(const Problem& problem, const Back& b) {
  const Pool2dShape p = pool2d_shape(problem);
  const Shape y{p.n, p.p(), p.q(), p.c};
  Kernel kernel;
  if (problem.kernel == "max_pool2d_forward") {
    kernel.extra = {{y, DType::u8}};
    kernel.run = [=](const Set& t) {
      b.k.max_pool2d_forward(b.stream, p, f(t[0]), f(t[1]), u8(t[2]));
    };
  } else {
    kernel.extra = {{y, DType::u8}};
    kernel.prepare = [=](const Set& t) {
      const Tensor unused(y, DType::f32, b.device);
      b.k.max_pool2d_forward(b.stream, p, f(t[0]), f(unused), u8(t[3]));
      synchronize(b.device);
    };
    kernel.run = [=](const Set& t) {
      b.k.max_pool2d_backward(b.stream, p, f(t[1]), u8(t[3]), f(t[2]));
    };
  }
  return kernel;
}

Kernel elementwise(const Problem& problem, const Back& b) {
  const Index n = problem.at("size");
  Kernel kernel;
  if (problem.kernel == "add")
    kernel.run = [=](const Set& t) { b.k.add_forward(b.stream, n, f(t[0]), f(t[1]), f(t[2])); };
  else if (problem.kernel == "relu_forward")
    kernel.run = [=](const Set& t) { b.k.relu_forward(b.stream, n, f(t[0]), f(t[1])); };
  else
    // Every call reads and writes all that a step does, but with factors so small that w stays as
    // it is and the momentum becomes the gradient: calls repeat, and can be compared.
    kernel.run = [=](const Set& t) {
      float *value = f(t[0]), *momentum = f(t[2]);
      const float* gradient = f(t[1]);
      const TensorList<float> list{1, &n, &value, &gradient, &momentum, nullptr, nullptr};
      b.k.sgd_step(b.stream, list, {.lr = 1e-30, .momentum = 1e-30});
    };
  return kernel;
}

Kernel transform(const Problem& problem, const Back& b) {
  const StftShape p = stft_shape(problem);
  Kernel kernel;
  data::MelSettings settings = data::mel_preset("librosa");
  settings.n_fft = p.n_fft;
  if (problem.kernel == "mel_spectrogram") {
    settings.n_mels = problem.at("n_mels");
    const Tensor window = data::make_window(settings, b.device);
    const MelFilterBank bank = data::make_mel_filters(settings, b.device);
    const Tensor work =
        b.scratch(kernel.workspace = b.k.mel_spectrogram_workspace(p, settings.n_mels));
    kernel.run = [=](const Set& t) {
      const auto* indices = static_cast<const std::int32_t*>(bank.indices.raw());
      const Index m = bank.n_mels;
      const MelFilters filters{m, indices, indices + m, indices + 2 * m, f(bank.weights)};
      b.k.mel_spectrogram(b.stream, p, filters, LogScale::none, 0, f(t[0]), f(window), f(t[1]),
                          u8(work));
    };
    return kernel;
  }
  const Tensor window = problem.kernel == "rfft" ? Tensor::full({p.n_fft}, 1, DType::f32, b.device)
                                                 : data::make_window(settings, b.device);
  const Tensor work = b.scratch(kernel.workspace = b.k.stft_workspace(p));
  kernel.run = [=](const Set& t) { b.k.stft(b.stream, p, f(t[0]), f(window), f(t[1]), u8(work)); };
  return kernel;
}

}  // namespace

std::unique_ptr<Runner> make_etude_runner(const Problem& problem, const Inputs& inputs, int sets,
                                          Device device) {
  const Back b{device};
  Kernel kernel;
  if (problem.is("conv2d") || problem.is("linear"))
    kernel = conv2d(problem, b);
  else if (problem.is("conv2d_pool"))
    kernel = conv2d_pool(problem, b);
  else if (problem.is("conv2d_block"))
    kernel = conv2d_block(problem, b);
  else if (problem.is("conv2d_norm"))
    kernel = conv2d_norm(problem, b);
  else if (problem.is("batch_norm"))
    kernel = batch_norm(problem, b);
  else if (problem.is("max_pool2d"))
    kernel = max_pool2d(problem, b);
  else if (problem.kernel == "softmax")
    kernel.run = [b, n = problem.at("N"), c = problem.at("C")](const Set& t) {
      b.k.softmax(b.stream, n, c, f(t[0]), f(t[1]));
    };
  else if (problem.kernel == "rfft" || problem.kernel == "stft" ||
           problem.kernel == "mel_spectrogram")
    kernel = transform(problem, b);
  else
    kernel = elementwise(problem, b);
  return make_runner(problem, inputs, sets, device, std::move(kernel));
}

}  // namespace etude::bench
