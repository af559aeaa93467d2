// Losses: each computes its value and its gradient in one kernel; backward only scales.
#include "engine/dispatch.h"
#include "engine/ops.h"

namespace etude {
namespace {

// d loss / d x for a loss whose unit gradient is known: dy (a scalar on the device) times it.
Backward scaled_gradient(Tensor gradient) {
  return [gradient](Tensor dy) -> Gradients {
    dispatch(dy, [&]<class T>(const Kernels<T>& k) {
      k.scale_by(current_stream(dy.device()), gradient.size(), dy.data<T>(), gradient.data<T>(),
                 gradient.data<T>());
    });
    Gradients grads(1);
    grads[0] = gradient;
    return grads;
  };
}

}  // namespace

Tensor softmax(const Tensor& logits) {
  check(logits.rank() == 2, "softmax: expected [N, classes], got {}", to_string(logits.shape()));
  const Tensor y = empty_like(logits);
  dispatch("softmax", logits, [&]<class T>(const Kernels<T>& k) {
    k.softmax(current_stream(y.device()), y.dim(0), y.dim(1), logits.data<T>(), y.data<T>());
  });
  return y;
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels,
                     const CrossEntropyOptions& options) {
  check(logits.rank() == 2 && logits.size() > 0,
        "cross_entropy: expected logits [N, classes], got {}", to_string(logits.shape()));
  check(labels.dtype() == DType::i64 && labels.size() == logits.dim(0),
        "cross_entropy: expected int64 labels [{}], got {} {}", logits.dim(0),
        to_string(labels.dtype()), to_string(labels.shape()));
  check(labels.device() == logits.device(), "cross_entropy: logits on {}, labels on {}",
        to_string(logits.device()), to_string(labels.device()));
  check(options.label_smoothing >= 0 && options.label_smoothing < 1,
        "cross_entropy: expected a label smoothing in [0, 1), got {}", options.label_smoothing);
  if (options.class_weights.defined()) {
    check_same_place("cross_entropy", logits, options.class_weights);
    check(options.class_weights.size() == logits.dim(1),
          "cross_entropy: {} class weights for {} classes", options.class_weights.size(),
          logits.dim(1));
  }
  // Checking the labels of a device tensor would wait for it; the loader has checked them there.
  if (logits.device().kind == DeviceKind::cpu || logits.device().kind == DeviceKind::reference) {
    const std::int64_t* label = labels.data<std::int64_t>();
    for (Index i = 0; i < labels.size(); ++i) {
      check(label[i] >= 0 && label[i] < logits.dim(1),
            "cross_entropy: label {} of sample {} is not in 0..{}", label[i], i, logits.dim(1) - 1);
    }
  }
  const CrossEntropyShape p{logits.dim(0), logits.dim(1), options.label_smoothing};
  const Tensor loss = empty_like(logits, {});
  const Tensor dlogits = empty_like(logits);
  dispatch("cross_entropy", logits, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(logits.device(), k.softmax_cross_entropy_workspace(p));
    k.softmax_cross_entropy(current_stream(logits.device()), p, logits.data<T>(),
                            labels.data<std::int64_t>(), data_or_null<T>(options.class_weights),
                            loss.data<T>(), dlogits.data<T>(), work.data());
  });
  return record("cross_entropy", loss, {logits}, scaled_gradient(dlogits));
}

Tensor mse_loss(const Tensor& x, const Tensor& target) {
  check_same_place("mse_loss", x, target);
  check(x.shape() == target.shape() && x.size() > 0,
        "mse_loss: shapes {} and {} differ or are empty", to_string(x.shape()),
        to_string(target.shape()));
  const Tensor loss = empty_like(x, {});
  const Tensor dx = empty_like(x);
  dispatch("mse_loss", x, [&]<class T>(const Kernels<T>& k) {
    const Workspace work(x.device(), k.mean_squared_error_workspace(x.size()));
    k.mean_squared_error(current_stream(x.device()), x.size(), x.data<T>(), target.data<T>(),
                         loss.data<T>(), dx.data<T>(), work.data());
  });
  return record("mse_loss", loss, {x}, scaled_gradient(dx));
}

}  // namespace etude
