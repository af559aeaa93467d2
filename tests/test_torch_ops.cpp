// Every op against PyTorch: results and gradients (fixtures/make_torch.py made the numbers).
#include "torch_fixture.h"

using namespace etude;
using namespace etude::testing;

namespace {

const Fixture& fixture() {
  static const Fixture instance("torch_ops");
  return instance;
}

// Rounding of a reduction of at most a few hundred terms, as a fraction of the largest value.
constexpr double tolerance = 2e-6;

// Backward from y with the gradient that the fixture used.
void run_backward(const Tensor& y, const std::string& name, const Place& place) {
  const Tensor& dy = fixture()[name + ".dy"];
  if (y.size() == 1 && y.rank() == 0)
    backward(y);
  else
    backward(sum(mul(y, y.rank() == 4 ? put_nchw(dy, place) : put(dy, place))));
}

Conv2dOptions conv_options(const std::string& name) {
  const auto o = fixture().integers(name + ".options");
  return {o[0], o[1], o[2], o[3], o[4], o[5]};
}

Pool2dOptions pool_options(const std::string& name) {
  const auto o = fixture().integers(name + ".options");
  return {o[0], o[1], o[2], o[3], o[4], o[5]};
}

}  // namespace

TEST_SUITE("torch.ops") {
  TEST_CASE("conv2d") {
    for (const std::string name : {"conv2d_same", "conv2d_stride", "conv2d_mixed", "conv2d_dilated",
                                   "conv2d_1x1", "conv2d_pixel", "conv2d_stem"}) {
      for_each_place([&](const Place& place) {
        const Fixture& f = fixture();
        const bool has_bias = f.has(name + ".b");
        Tensor x = put_nchw(f[name + ".x"], place), w = put_nchw(f[name + ".w"], place);
        Tensor b = has_bias ? put(f[name + ".b"], place) : Tensor{};
        x.set_requires_grad();
        w.set_requires_grad();
        if (has_bias) b.set_requires_grad();
        const Tensor y = conv2d(x, w, b, conv_options(name));
        check_close(name + " y", to_nchw(y), f[name + ".y"], place, tolerance);
        run_backward(y, name, place);
        check_close(name + " dx", to_nchw(x.grad()), f[name + ".dx"], place, tolerance);
        check_close(name + " dw", to_nchw(w.grad()), f[name + ".dw"], place, tolerance);
        if (has_bias) check_close(name + " db", b.grad(), f[name + ".db"], place, tolerance);

        // The fused ReLU is the ReLU of the same numbers, forward and backward.
        x.zero_grad();
        w.zero_grad();
        Conv2dOptions fused = conv_options(name);
        fused.relu = true;
        const Tensor z = conv2d(x, w, b, fused);
        check_close(name + " relu", z, relu(y.detach()).to(cpu_device), place, 0);
        run_backward(z, name, place);
        const Tensor dx_fused = x.grad(), dw_fused = w.grad();
        x.zero_grad();
        w.zero_grad();
        run_backward(relu(conv2d(x, w, b, conv_options(name))), name, place);
        check_close(name + " relu dx", dx_fused, x.grad(), place, 0);
        check_close(name + " relu dw", dw_fused, w.grad(), place, 0);
      });
    }
  }

  TEST_CASE("a linear layer after a flatten of several channels and pixels") {
    const std::string name = "linear_flatten";
    for_each_place([&](const Place& place) {
      const Fixture& f = fixture();
      const Layout layout{Layout::columns, 3, 5, 4};
      Tensor x = put_nchw(f[name + ".x"], place);
      Tensor w = put(from_torch_layout(f[name + ".w"], layout), place);
      Tensor b = put(f[name + ".b"], place);
      for (Tensor* t : {&x, &w, &b}) t->set_requires_grad();
      const Tensor y = linear(flatten(x), w, b);
      check_close(name + " y", y, f[name + ".y"], place, tolerance);
      run_backward(y, name, place);
      check_close(name + " dx", to_nchw(x.grad()), f[name + ".dx"], place, tolerance);
      check_close(name + " dw", to_torch_layout(w.grad().to(cpu_device), layout), f[name + ".dw"],
                  place, tolerance);
      check_close(name + " db", b.grad(), f[name + ".db"], place, tolerance);
    });
  }

  TEST_CASE("batch norm, alone and with residual and ReLU") {
    for (const std::string kind : {"batch_norm", "batch_norm_add_relu"}) {
      for (const std::string mode : {"train", "eval"}) {
        const std::string name = kind + "_" + mode;
        for_each_place([&](const Place& place) {
          const Fixture& f = fixture();
          const bool fused = kind != "batch_norm";
          Tensor x = put_nchw(f[name + ".x"], place);
          Tensor w = put(f[name + ".w"], place), b = put(f[name + ".b"], place);
          Tensor residual = fused ? put_nchw(f[name + ".residual"], place) : Tensor{};
          // Copies: the op updates them, and on the CPU `put` does not copy.
          const Tensor running_mean = put(f[name + ".mean_before"], place).clone();
          const Tensor running_var = put(f[name + ".var_before"], place).clone();
          for (Tensor* t : {&x, &w, &b}) t->set_requires_grad();
          if (fused) residual.set_requires_grad();
          BatchNormOptions options;
          options.training = mode == "train";
          options.relu = fused;
          const Tensor y = batch_norm(x, w, b, running_mean, running_var, options, residual);
          check_close(name + " y", to_nchw(y), f[name + ".y"], place, tolerance);
          check_close(name + " mean", running_mean, f[name + ".mean_after"], place, tolerance);
          check_close(name + " var", running_var, f[name + ".var_after"], place, tolerance);
          run_backward(y, name, place);
          check_close(name + " dx", to_nchw(x.grad()), f[name + ".dx"], place, tolerance);
          check_close(name + " dw", w.grad(), f[name + ".dw"], place, tolerance);
          check_close(name + " db", b.grad(), f[name + ".db"], place, tolerance);
          if (fused)
            check_close(name + " dresidual", to_nchw(residual.grad()), f[name + ".dresidual"],
                        place, tolerance);
        });
      }
    }
  }

  TEST_CASE("pooling") {
    for (const std::string name :
         {"max_pool2d_2", "max_pool2d_odd", "max_pool2d_stem", "avg_pool2d_2", "avg_pool2d_pad",
          "adaptive_avg_pool2d_1", "adaptive_avg_pool2d_3"}) {
      for_each_place([&](const Place& place) {
        const Fixture& f = fixture();
        Tensor x = put_nchw(f[name + ".x"], place);
        x.set_requires_grad();
        Tensor y;
        if (name.starts_with("max")) {
          y = max_pool2d(x, pool_options(name));
        } else if (name.starts_with("avg")) {
          y = avg_pool2d(x, pool_options(name));
        } else {
          const auto size = f.integers(name + ".options");
          y = adaptive_avg_pool2d(x, size[0], size[1]);
        }
        check_close(name + " y", to_nchw(y), f[name + ".y"], place, tolerance);
        run_backward(y, name, place);
        check_close(name + " dx", to_nchw(x.grad()), f[name + ".dx"], place, tolerance);
      });
    }
  }

  TEST_CASE("losses") {
    for (const std::string name : {"cross_entropy", "cross_entropy_smooth", "cross_entropy_weights",
                                   "cross_entropy_both", "mse_loss"}) {
      for_each_place([&](const Place& place) {
        const Fixture& f = fixture();
        Tensor x = put(f[name + ".x"], place);
        x.set_requires_grad();
        Tensor loss;
        if (name == "mse_loss") {
          loss = mse_loss(x, put(f[name + ".target"], place));
        } else {
          CrossEntropyOptions options;
          options.label_smoothing = f[name + ".smoothing"].item();
          if (name.ends_with("weights") || name.ends_with("both"))
            options.class_weights = put(f[name + ".weights"], place);
          loss = cross_entropy(x, put(f[name + ".labels"], place), options);
        }
        check_close(name + " loss", loss, f[name + ".y"], place, tolerance);
        run_backward(loss, name, place);
        check_close(name + " dx", x.grad(), f[name + ".dx"], place, tolerance);
      });
    }
  }

}  // TEST_SUITE
