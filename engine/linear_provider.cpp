#include "engine/linear_provider.h"

#include "engine/autograd.h"
#include "engine/dispatch.h"
#include "kernels/vendor/loader.h"

namespace etude {
namespace {

struct Choice {
  LinearProvider provider = LinearProvider::own;
  Device device;
};
Choice& choice() {
  static Choice current;
  return current;
}

constexpr int cublas_library = 1;  // of EtudeVendor's libraries

// c [m, n] = op(a) op(b) + beta c
void product(bool ta, bool tb, Index m, Index n, Index k, const Tensor& a, const Tensor& b,
             float beta, const Tensor& c) {
  const Device device = c.device();
  const char* problem = vendor().table->sgemm(device.index, current_stream(device).handle, ta, tb,
                                              m, n, k, a.data<float>(), b.data<float>(), beta,
                                              c.data<float>());
  if (problem) fail("linear: {}", problem);
}

}  // namespace

LinearProvider parse_linear_provider(std::string_view name) {
  if (name == "own") return LinearProvider::own;
  if (name == "cublas") return LinearProvider::cublas;
  fail("linear provider '{}' is unknown; expected own or cublas", name);
}

std::string to_string(LinearProvider provider) {
  return provider == LinearProvider::own ? "own" : "cublas";
}

void use_linear_provider(LinearProvider provider, Device device) {
  if (provider == LinearProvider::cublas) {
    const Vendor& library = vendor();
    check(library.table != nullptr, "linear provider cublas: libetude-vendor: {}",
          library.problem);
    Device kind = device;
    kind.index = 0;
    check(to_string(kind) == library.table->device,
          "linear provider cublas: works on {} devices, not on {}", library.table->device,
          to_string(device));
    const char* problem = library.table->library_problem(cublas_library);
    check(!problem, "linear provider cublas: {}", problem ? problem : "");
  }
  choice() = {provider, device};
}

LinearProvider linear_provider(Device device) {
  return choice().device == device ? choice().provider : LinearProvider::own;
}

// y [N,K] = x [N,C] w [K,C]^T + 1 bias^T. The library adds no bias: it is one more product, with a
// column of ones, and so is its gradient.
Tensor vendor_linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const Index n = x.dim(0), c = x.dim(1), k = w.dim(0);
  const Tensor y = empty_like(x, {n, k});
  const auto ones = [n, device = x.device()] {
    return Tensor::full({n}, 1, DType::f32, device);
  };
  {
    const Range range(x.device(), "linear (cublas)");
    if (bias.defined()) product(false, false, n, k, 1, ones(), bias, 0, y);
    product(false, true, n, k, c, x, w, bias.defined() ? 1.0f : 0.0f, y);
  }
  if (!grad_enabled()) return y;
  const bool need_dx = x.requires_grad(), need_dw = w.requires_grad();
  const bool need_dbias = bias.requires_grad();
  return record("linear", y, {x, w, bias},
                [=, x = need_dw ? x.detach() : Tensor{}, w = need_dx ? w.detach() : Tensor{}](
                    Tensor dy) {
                  Gradients grads(3);
                  if (need_dx) {
                    grads[0] = empty_like(dy, {n, c});
                    product(false, false, n, c, k, dy, w, 0, grads[0]);
                  }
                  if (need_dw) {
                    grads[1] = empty_like(dy, {k, c});
                    product(true, false, k, c, n, dy, x, 0, grads[1]);
                  }
                  if (need_dbias) {
                    grads[2] = empty_like(dy, {k});
                    product(false, false, 1, k, n, ones(), dy, 0, grads[2]);
                  }
                  return grads;
                });
}

}  // namespace etude
