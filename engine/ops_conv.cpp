// Convolution and the linear layer.
#include "engine/dispatch.h"
#include "engine/linear_provider.h"
#include "engine/op_shapes.h"
#include "engine/trace.h"

namespace etude {
namespace {

Conv2dShape conv2d_shape(const char* op, const Shape& x, const Tensor& w, const Tensor& bias,
                         const Conv2dOptions& o) {
  check(x.rank() == 4, "{}: expected x [N,H,W,C], got {}", op, to_string(x));
  check(w.rank() == 4, "{}: expected a filter [K,R,S,C], got {}", op, to_string(w.shape()));
  check(w.dim(3) == x[3], "{}: filter expects C = {}, input has {}", op, w.dim(3), x[3]);
  check(o.stride_h > 0 && o.stride_w > 0 && o.dilation_h > 0 && o.dilation_w > 0 && o.pad_h >= 0 &&
            o.pad_w >= 0,
        "{}: stride and dilation must be positive, padding not negative", op);
  if (bias.defined()) {
    check_same_place(op, w, bias);
    check(bias.size() == w.dim(0), "{}: expected a bias [{}], got {}", op, w.dim(0),
          to_string(bias.shape()));
  }
  const Conv2dShape p{x[0],       x[1],       x[2],    x[3],    w.dim(0),     w.dim(1),    w.dim(2),
                      o.stride_h, o.stride_w, o.pad_h, o.pad_w, o.dilation_h, o.dilation_w};
  check(p.h + 2 * p.pad_h >= p.dilation_h * (p.r - 1) + 1 &&
            p.w + 2 * p.pad_w >= p.dilation_w * (p.s - 1) + 1,
        "{}: input {} is smaller than the filter {} (padding {}x{}, dilation {}x{})", op,
        to_string(x), to_string(w.shape()), p.pad_h, p.pad_w, p.dilation_h, p.dilation_w);
  return p;
}

Conv2dShape conv2d_shape(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias,
                         const Conv2dOptions& o) {
  check_same_place(op, x, w);
  return conv2d_shape(op, x.shape(), w, bias, o);
}

// Records y = conv2d of x, or the linear layer.
Tensor record_conv2d(const char* op, const Tensor& y, const Tensor& x, const Tensor& w,
                     const Tensor& bias, const Conv2dShape& p, bool relu) {
  const Device device = x.device();
  const bool need_dx = x.requires_grad(), need_dw = w.requires_grad();
  const bool need_dbias = bias.requires_grad();
  const Shape x_shape = x.shape(), w_shape = w.shape();
  // The filter gradient reads x, the data gradient w, the ReLU mask y: keep no more than that.
  return record(
      op, y, {x, w, bias},
      [=, x = need_dw || need_dbias ? x.detach() : Tensor{}, w = need_dx ? w.detach() : Tensor{},
       y = relu ? y : Tensor{}](Tensor dy) {
        Gradients grads(3);
        dispatch(dy, [&]<class T>(const Kernels<T>& k) {
          const Stream stream = current_stream(device);
          if (relu) {
            const Tensor masked = dy.unique() ? dy.detach() : empty_like(dy);
            k.relu_backward(stream, dy.size(), y.data<T>(), dy.data<T>(), masked.data<T>());
            dy = masked;
          }
          if (need_dw || need_dbias) {
            grads[1] = empty_like(dy, w_shape);
            if (need_dbias) grads[2] = empty_like(dy, {p.k});
            const Workspace work(device, k.conv2d_backward_filter_workspace(p));
            k.conv2d_backward_filter(stream, p, data_or_null<T>(x), dy.data<T>(),
                                     grads[1].data<T>(), data_or_null<T>(grads[2]), work.data());
          }
          if (need_dx) {
            grads[0] = empty_like(dy, x_shape);
            const Workspace work(device, k.conv2d_backward_data_workspace(p));
            k.conv2d_backward_data(stream, p, dy.data<T>(), w.data<T>(), grads[0].data<T>(),
                                   work.data());
          }
        });
        return grads;
      },
      {.shape = p, .relu = relu});
}

// conv2d on [N,H,W,C]; `linear` is the case H = W = R = S = 1.
Tensor convolve(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias,
                const Conv2dShape& p, bool relu, Shape y_shape) {
  const Device device = x.device();
  const Tensor y = empty_like(x, y_shape);
  dispatch(op, x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(device, k.conv2d_forward_workspace(p));
    k.conv2d_forward(current_stream(device), p, x.data<T>(), w.data<T>(), data_or_null<T>(bias),
                     relu, y.data<T>(), work.data());
  });
  if (!grad_enabled() && !tracing()) return y;
  return record_conv2d(op, y, x, w, bias, p, relu);
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  const Conv2dShape p = conv2d_shape("conv2d", x, w, bias, options);
  return convolve("conv2d", x, w, bias, p, options.relu, {p.n, p.p(), p.q(), p.k});
}

Tensor conv2d_relu_max_pool2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                              const Conv2dOptions& options) {
  if (tracing()) {  // exported as what it consists of
    Conv2dOptions with_relu = options;
    with_relu.relu = true;
    return max_pool2d(conv2d(x, w, bias, with_relu), {});
  }
  constexpr const char* op = "conv2d_relu_max_pool2d";
  const Conv2dShape p = conv2d_shape(op, x, w, bias, options);
  check(p.p() >= 2 && p.q() >= 2,
        "{}: the convolution's output {}x{} is smaller than the window 2x2", op, p.p(), p.q());
  const Device device = x.device();
  const Shape y_shape{p.n, p.p() / 2, p.q() / 2, p.k};
  const Tensor y = empty_like(x, y_shape);
  const Tensor winners(y_shape, DType::u8, device);
  dispatch(op, x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(device, k.conv2d_pool_forward_workspace(p));
    k.conv2d_pool_forward(current_stream(device), p, x.data<T>(), w.data<T>(),
                          data_or_null<T>(bias), y.data<T>(), winners.data<std::uint8_t>(),
                          work.data());
  });
  const bool need_dx = x.requires_grad(), need_dbias = bias.requires_grad();
  const bool need_dw = w.requires_grad() || need_dbias;
  return record(op, y, {x, w, bias},
                [=, x = x.detach(), w = w.detach(), y = y.detach()](Tensor dy) -> Gradients {
                  Gradients grads(3);
                  if (need_dx) grads[0] = empty_like(dy, x.shape());
                  if (need_dw) grads[1] = empty_like(dy, w.shape());
                  if (need_dbias) grads[2] = empty_like(dy, {p.k});
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    const Workspace work(device, k.conv2d_pool_backward_workspace(p));
                    k.conv2d_pool_backward(current_stream(device), p, x.data<T>(), w.data<T>(),
                                           y.data<T>(), winners.data<std::uint8_t>(), dy.data<T>(),
                                           data_or_null<T>(grads[0]), data_or_null<T>(grads[1]),
                                           data_or_null<T>(grads[2]), work.data());
                  });
                  return grads;
                });
}

Tensor vgg_block(const Tensor& x, const Tensor& w1, const Tensor& bias1, const Tensor& w2,
                 const Tensor& bias2, const Conv2dOptions& options) {
  constexpr const char* op = "vgg_block";
  if (tracing()) {  // exported as what it consists of
    Conv2dOptions with_relu = options;
    with_relu.relu = true;
    return conv2d_relu_max_pool2d(conv2d(x, w1, bias1, with_relu), w2, bias2, options);
  }
  check(!x.requires_grad(), "{}: computes no gradient of x", op);
  const Conv2dShape first = conv2d_shape(op, x, w1, bias1, options);
  check_same_place(op, x, w2);
  const Conv2dShape second =
      conv2d_shape(op, {first.n, first.p(), first.q(), first.k}, w2, bias2, options);
  check(second.p() >= 2 && second.q() >= 2,
        "{}: the second convolution's output {}x{} is smaller than the window 2x2", op, second.p(),
        second.q());
  const Device device = x.device();
  const Shape y_shape{second.n, second.p() / 2, second.q() / 2, second.k};
  const Tensor y = empty_like(x, y_shape);
  const Tensor winners(y_shape, DType::u8, device);
  dispatch(op, x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(device, k.conv2d_block_forward_workspace(first, second));
    k.conv2d_block_forward(current_stream(device), first, second, x.data<T>(), w1.data<T>(),
                           data_or_null<T>(bias1), w2.data<T>(), data_or_null<T>(bias2),
                           y.data<T>(), winners.data<std::uint8_t>(), work.data());
  });
  const bool has_bias1 = bias1.defined(), has_bias2 = bias2.defined();
  return record(op, y, {w1, bias1, w2, bias2},
                [=, x = x.detach(), w1 = w1.detach(), w2 = w2.detach(), y = y.detach(),
                 bias1 = has_bias1 ? bias1.detach() : Tensor{}](Tensor dy) -> Gradients {
                  Gradients grads(4);
                  grads[0] = empty_like(dy, w1.shape());
                  if (has_bias1) grads[1] = empty_like(dy, {first.k});
                  grads[2] = empty_like(dy, w2.shape());
                  if (has_bias2) grads[3] = empty_like(dy, {second.k});
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    const Workspace work(device, k.conv2d_block_backward_workspace(first, second));
                    k.conv2d_block_backward(current_stream(device), first, second, x.data<T>(),
                                            w1.data<T>(), data_or_null<T>(bias1), w2.data<T>(),
                                            y.data<T>(), winners.data<std::uint8_t>(), dy.data<T>(),
                                            grads[0].data<T>(), data_or_null<T>(grads[1]),
                                            grads[2].data<T>(), data_or_null<T>(grads[3]),
                                            work.data());
                  });
                  return grads;
                });
}

namespace {

// Training: the statistics are made by the convolution (conv2d_norm_forward).
Tensor conv2d_norm_training(const Tensor& x, const Tensor& w, const Tensor& bias,
                            const Conv2dShape& p, const Tensor& gamma, const Tensor& beta,
                            const Tensor& running_mean, const Tensor& running_var,
                            const BatchNormShape& norm, const Tensor& residual) {
  const Tensor z = empty_like(x, {p.n, p.p(), p.q(), p.k}), y = empty_like(z);
  const Tensor mean = empty_like(gamma), inv_std = empty_like(gamma);
  dispatch("conv2d_batch_norm", x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(x.device(), k.conv2d_norm_forward_workspace(p, norm));
    k.conv2d_norm_forward(current_stream(x.device()), p, norm, x.data<T>(), w.data<T>(),
                          data_or_null<T>(bias), gamma.data<T>(), beta.data<T>(),
                          data_or_null<T>(residual), running_mean.data<T>(), running_var.data<T>(),
                          z.data<T>(), y.data<T>(), mean.data<T>(), inv_std.data<T>(), work.data());
  });
  if (!grad_enabled()) return y;
  const Tensor convolved = record_conv2d("conv2d", z, x, w, bias, p, false);
  return record_batch_norm(y, convolved, gamma, beta, residual, running_mean, running_var, norm,
                           true, mean, inv_std);
}

}  // namespace

Tensor conv2d_batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias,
                         const Conv2dOptions& conv, const Tensor& gamma, const Tensor& beta,
                         const Tensor& running_mean, const Tensor& running_var,
                         const BatchNormOptions& norm, const Tensor& residual) {
  constexpr const char* op = "conv2d_batch_norm";
  check(!conv.relu, "{}: a ReLU between the two", op);
  if (tracing() || (!norm.training && grad_enabled()))
    return batch_norm(conv2d(x, w, bias, conv), gamma, beta, running_mean, running_var, norm,
                      residual);
  const Conv2dShape p = conv2d_shape(op, x, w, bias, conv);
  const Shape y_shape{p.n, p.p(), p.q(), p.k};
  const BatchNormShape shape =
      batch_norm_shape(op, y_shape, gamma, beta, running_mean, running_var, norm);
  check_batch_norm_operands(op, x, y_shape, gamma, beta, running_mean, running_var, residual);
  if (norm.training)
    return conv2d_norm_training(x, w, bias, p, gamma, beta, running_mean, running_var, shape,
                                residual);
  const Tensor y = empty_like(x, y_shape);
  dispatch(op, x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(x.device(), k.conv2d_norm_inference_workspace(p));
    k.conv2d_norm_inference(current_stream(x.device()), p, shape, x.data<T>(), w.data<T>(),
                            data_or_null<T>(bias), gamma.data<T>(), beta.data<T>(),
                            running_mean.data<T>(), running_var.data<T>(),
                            data_or_null<T>(residual), y.data<T>(), work.data());
  });
  return y;
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check(x.rank() == 2, "linear: expected x [N,C], got {}", to_string(x.shape()));
  check(w.rank() == 2, "linear: expected a weight [K,C], got {}", to_string(w.shape()));
  check(w.dim(1) == x.dim(1), "linear: weight expects C = {}, input has {}", w.dim(1), x.dim(1));
  check_same_place("linear", x, w);
  if (bias.defined()) {
    check_same_place("linear", x, bias);
    check(bias.size() == w.dim(0), "linear: expected a bias [{}], got {}", w.dim(0),
          to_string(bias.shape()));
  }
  if (x.dtype() == DType::f32 && linear_provider(x.device()) == LinearProvider::cublas)
    return vendor_linear(x, w, bias);
  const Conv2dShape p{x.dim(0), 1, 1, x.dim(1), w.dim(0), 1, 1};
  return convolve("linear", x, w, bias, p, false, {p.n, p.k});
}

}  // namespace etude
