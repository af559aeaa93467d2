// OpenBLAS's matrix product, where it was found at build time (Debian: libopenblas-dev): linear
// layers, and 1x1 convolutions of stride 1 without padding, which are the same.
#include "bench/runner.h"

#if !ETUDE_HAVE_OPENBLAS
namespace etude::bench {
void add_openblas(std::vector<Provider>&, std::vector<std::string>& skipped) {
  skipped.push_back("openblas: not in this build (libopenblas-dev)");
}
}  // namespace etude::bench
#else

#include <cblas.h>

namespace etude::bench {
namespace {

bool has(const Problem& problem) {
  if (!problem.is("conv2d") && !problem.is("linear")) return false;
  const Conv2dShape p = conv2d_shape(problem);
  return p.r == 1 && p.s == 1 && p.stride_h == 1 && p.stride_w == 1 && p.pad_h == 0 && p.pad_w == 0;
}

std::unique_ptr<Runner> make(const Problem& problem, const Inputs& inputs, int sets) {
  const Conv2dShape p = conv2d_shape(problem);
  const int rows = static_cast<int>(p.n * p.h * p.w), c = static_cast<int>(p.c),
            k = static_cast<int>(p.k);
  const Pass pass = conv2d_pass(problem);
  Kernel kernel;
  kernel.run = [=](const std::vector<Tensor>& t) {
    const float *a = t[0].data<float>(), *b = t[1].data<float>();
    float* const y = t[2].data<float>();
    if (pass == Pass::forward)  // y [rows, k] = x [rows, c] w^T, w [k, c]
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, k, c, 1, a, c, b, c, 0, y, k);
    else if (pass == Pass::backward_data)  // dx [rows, c] = dy [rows, k] w
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, c, k, 1, a, k, b, c, 0, y, c);
    else  // dw [k, c] = dy^T x
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, c, rows, 1, b, k, a, c, 0, y, c);
  };
  openblas_set_num_threads(num_threads());
  return make_runner(problem, inputs, sets, cpu_device, std::move(kernel));
}

}  // namespace

void add_openblas(std::vector<Provider>& list, std::vector<std::string>&) {
  list.push_back({"openblas", openblas_get_config(), false, has, make});
}

}  // namespace etude::bench
#endif
