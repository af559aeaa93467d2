// Pooling.
#include "engine/dispatch.h"
#include "engine/op_shapes.h"

namespace etude {

Pool2dShape pool2d_shape(const char* op, const Tensor& x, const Pool2dOptions& o) {
  check(x.rank() == 4, "{}: expected x [N,H,W,C], got {}", op, to_string(x.shape()));
  const Pool2dShape p{x.dim(0),
                      x.dim(1),
                      x.dim(2),
                      x.dim(3),
                      o.r,
                      o.s,
                      o.stride_h ? o.stride_h : o.r,
                      o.stride_w ? o.stride_w : o.s,
                      o.pad_h,
                      o.pad_w};
  check(o.r > 0 && o.s > 0 && o.r * o.s <= 255 && p.stride_h > 0 && p.stride_w > 0,
        "{}: expected a window of 1 to 255 taps and positive strides, got {}x{} / {}x{}", op, o.r,
        o.s, p.stride_h, p.stride_w);
  check(o.pad_h >= 0 && o.pad_w >= 0 && 2 * o.pad_h <= o.r && 2 * o.pad_w <= o.s,
        "{}: padding {}x{} is more than half of the window {}x{}", op, o.pad_h, o.pad_w, o.r, o.s);
  check(p.h + 2 * p.pad_h >= p.r && p.w + 2 * p.pad_w >= p.s,
        "{}: input {} is smaller than the window {}x{}", op, to_string(x.shape()), p.r, p.s);
  return p;
}

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options) {
  const Pool2dShape p = pool2d_shape("max_pool2d", x, options);
  const Shape y_shape{p.n, p.p(), p.q(), p.c};
  const Tensor y = empty_like(x, y_shape);
  const Tensor argmax(y_shape, DType::u8, x.device());
  dispatch("max_pool2d", x, [&]<class T>(const Kernels<T>& k) {
    k.max_pool2d_forward(current_stream(x.device()), p, x.data<T>(), y.data<T>(),
                         argmax.data<std::uint8_t>());
  });
  return record("max_pool2d", y, {x},
                [p, argmax, x_shape = x.shape()](Tensor dy) -> Gradients {
                  const Tensor dx = empty_like(dy, x_shape);
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    k.max_pool2d_backward(current_stream(dy.device()), p, dy.data<T>(),
                                          argmax.data<std::uint8_t>(), dx.data<T>());
                  });
                  return {dx};
                },
                {.shape = p});
}

Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options) {
  const Pool2dShape p = pool2d_shape("avg_pool2d", x, options);
  const Tensor y = empty_like(x, {p.n, p.p(), p.q(), p.c});
  dispatch("avg_pool2d", x, [&]<class T>(const Kernels<T>& k) {
    k.avg_pool2d_forward(current_stream(x.device()), p, x.data<T>(), y.data<T>());
  });
  return record("avg_pool2d", y, {x},
                [p, x_shape = x.shape()](Tensor dy) -> Gradients {
                  const Tensor dx = empty_like(dy, x_shape);
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    k.avg_pool2d_backward(current_stream(dy.device()), p, dy.data<T>(),
                                          dx.data<T>());
                  });
                  return {dx};
                },
                {.shape = p});
}

Tensor adaptive_avg_pool2d(const Tensor& x, Index out_h, Index out_w) {
  check(x.rank() == 4, "adaptive_avg_pool2d: expected x [N,H,W,C], got {}", to_string(x.shape()));
  check(out_h > 0 && out_w > 0 && x.dim(1) > 0 && x.dim(2) > 0,
        "adaptive_avg_pool2d: cannot pool {} to {}x{}", to_string(x.shape()), out_h, out_w);
  const AdaptivePool2dShape p{x.dim(0), x.dim(1), x.dim(2), x.dim(3), out_h, out_w};
  const Tensor y = empty_like(x, {p.n, p.p, p.q, p.c});
  dispatch("adaptive_avg_pool2d", x, [&]<class T>(const Kernels<T>& k) {
    k.adaptive_avg_pool2d_forward(current_stream(x.device()), p, x.data<T>(), y.data<T>());
  });
  return record("adaptive_avg_pool2d", y, {x},
                [p, x_shape = x.shape()](Tensor dy) -> Gradients {
                  const Tensor dx = empty_like(dy, x_shape);
                  dispatch(dy, [&]<class T>(const Kernels<T>& k) {
                    k.adaptive_avg_pool2d_backward(current_stream(dy.device()), p, dy.data<T>(),
                                                   dx.data<T>());
                  });
                  return {dx};
                },
                {.shape = p});
}

}  // namespace etude
