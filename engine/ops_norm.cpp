// Batch normalisation, with its optional residual and ReLU, or with ReLU and max-pooling.
#include "engine/dispatch.h"
#include "engine/op_shapes.h"

namespace etude {

BatchNormShape batch_norm_shape(const char* op, const Shape& x, const Tensor& gamma,
                                const Tensor& beta, const Tensor& running_mean,
                                const Tensor& running_var, const BatchNormOptions& options) {
  check(x.rank() >= 2, "{}: expected x [..., C], got {}", op, to_string(x));
  const Index channels = x[-1];
  const BatchNormShape p{channels ? x.size() / channels : 0, channels, options.eps,
                         options.momentum, options.relu};
  for (const Tensor* t : {&gamma, &beta, &running_mean, &running_var})
    check(t->defined() && t->size() == channels,
          "{}: {} channels to normalise, but a parameter or statistic has {}", op, channels,
          t->defined() ? t->size() : 0);
  check(!options.training || p.rows > 1,
        "{}: training needs more than one value a channel to normalise, got {}; use a larger batch",
        op, to_string(x));
  return p;
}

void check_batch_norm_operands(const char* op, const Tensor& x, const Shape& y, const Tensor& gamma,
                               const Tensor& beta, const Tensor& running_mean,
                               const Tensor& running_var, const Tensor& residual) {
  for (const Tensor* t : {&gamma, &beta, &running_mean, &running_var}) check_same_place(op, x, *t);
  if (!residual.defined()) return;
  check_same_place(op, x, residual);
  check(residual.shape() == y, "{}: residual {} is not like the result {}", op,
        to_string(residual.shape()), to_string(y));
}

Tensor record_batch_norm(const Tensor& y, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                         const Tensor& residual, const Tensor& running_mean,
                         const Tensor& running_var, const BatchNormShape& p, bool training,
                         const Tensor& mean, const Tensor& spread) {
  const Device device = x.device();
  const bool need_dresidual = residual.requires_grad();
  // Only a trace has a use for the running statistics.
  return record("batch_norm", y, {x, gamma, beta, residual, running_mean, running_var},
                [=, x = x.detach(), gamma = gamma.detach(), y = p.relu ? y : Tensor{}](Tensor dy) {
                  Gradients grads = {empty_like(x), empty_like(gamma), empty_like(gamma),
                                     Tensor{},      Tensor{},          Tensor{}};
                  // Without ReLU the residual's gradient is dy itself.
                  if (need_dresidual) grads[3] = p.relu ? empty_like(x) : dy;
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    const auto kernel =
                        training ? k.batch_norm_backward : k.batch_norm_inference_backward;
                    const Workspace work(device, k.batch_norm_workspace(p));
                    kernel(current_stream(device), p, x.data<T>(), data_or_null<T>(y), dy.data<T>(),
                           gamma.data<T>(), mean.data<T>(), spread.data<T>(), grads[0].data<T>(),
                           grads[1].data<T>(), grads[2].data<T>(),
                           need_dresidual && p.relu ? grads[3].data<T>() : nullptr, work.data());
                  });
                  return grads;
                },
                {.shape = p, .training = training});
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor& running_mean, const Tensor& running_var,
                  const BatchNormOptions& options, const Tensor& residual) {
  const BatchNormShape p =
      batch_norm_shape("batch_norm", x.shape(), gamma, beta, running_mean, running_var, options);
  check_batch_norm_operands("batch_norm", x, x.shape(), gamma, beta, running_mean, running_var,
                            residual);
  const bool training = options.training;
  const Device device = x.device();
  Tensor y = empty_like(x);
  Tensor mean, inv_std;  // of the batch
  dispatch("batch_norm", x, [&]<class T>(const Kernels<T>& k) {
    const Stream stream = current_stream(device);
    if (training) {
      mean = empty_like(gamma);
      inv_std = empty_like(gamma);
      const Workspace work(device, k.batch_norm_workspace(p));
      k.batch_norm_forward(stream, p, x.data<T>(), gamma.data<T>(), beta.data<T>(),
                           data_or_null<T>(residual), running_mean.data<T>(), running_var.data<T>(),
                           y.data<T>(), mean.data<T>(), inv_std.data<T>(), work.data());
    } else {
      k.batch_norm_inference(stream, p, x.data<T>(), gamma.data<T>(), beta.data<T>(),
                             data_or_null<T>(residual), running_mean.data<T>(),
                             running_var.data<T>(), y.data<T>());
    }
  });
  if (!grad_enabled() && !tracing()) return y;
  // The running statistics change with the next batch, so evaluation keeps copies of them.
  return record_batch_norm(y, x, gamma, beta, residual, running_mean, running_var, p, training,
                           training ? mean : running_mean.clone(),
                           training ? inv_std : running_var.clone());
}

Tensor batch_norm_max_pool2d(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                             const Tensor& running_mean, const Tensor& running_var,
                             const BatchNormOptions& options, const Pool2dOptions& pool) {
  if (!options.training || tracing())  // traces are of what it consists of
    return max_pool2d(batch_norm(x, gamma, beta, running_mean, running_var, options), pool);
  constexpr const char* op = "batch_norm_max_pool2d";
  const BatchNormShape p =
      batch_norm_shape(op, x.shape(), gamma, beta, running_mean, running_var, options);
  const Pool2dShape d = pool2d_shape(op, x, pool);
  for (const Tensor* t : {&gamma, &beta, &running_mean, &running_var}) check_same_place(op, x, *t);
  const Device device = x.device();
  const Tensor y = empty_like(x, {d.n, d.p(), d.q(), d.c});
  const Tensor mean = empty_like(gamma), inv_std = empty_like(gamma);
  Tensor kept;
  dispatch(op, x, [&]<class T>(const Kernels<T>& k) {
    kept = Tensor({static_cast<Index>(k.batch_norm_pool_kept(p, d))}, DType::u8, device);
    const Workspace work(device, k.batch_norm_pool_forward_workspace(p, d));
    k.batch_norm_pool_forward(current_stream(device), p, d, x.data<T>(), gamma.data<T>(),
                              beta.data<T>(), running_mean.data<T>(), running_var.data<T>(),
                              y.data<T>(), mean.data<T>(), inv_std.data<T>(), kept.raw(),
                              work.data());
  });
  return record(op, y, {x, gamma, beta},
                [=, x = x.detach(), gamma = gamma.detach(),
                 y = p.relu ? y.detach() : Tensor{}](Tensor dy) -> Gradients {
                  const Gradients grads = {empty_like(x), empty_like(gamma), empty_like(gamma)};
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    const Workspace work(device, k.batch_norm_pool_backward_workspace(p, d));
                    k.batch_norm_pool_backward(
                        current_stream(device), p, d, x.data<T>(), data_or_null<T>(y), kept.raw(),
                        dy.data<T>(), gamma.data<T>(), mean.data<T>(), inv_std.data<T>(),
                        grads[0].data<T>(), grads[1].data<T>(), grads[2].data<T>(), work.data());
                  });
                  return grads;
                });
}

}  // namespace etude
