// FFTW in float32, where it was found at build time (Debian: libfftw3-dev). Planned for the batch
// with PATIENT, as its users do for speed; planning takes seconds and is not timed.
#include "bench/runner.h"

#if !ETUDE_HAVE_FFTW
namespace etude::bench {
void add_fftw(std::vector<Provider>&, std::vector<std::string>& skipped) {
  skipped.push_back("fftw: not in this build (libfftw3-dev)");
}
}  // namespace etude::bench
#else

#include <fftw3.h>

#include <algorithm>

namespace etude::bench {
namespace {

fftwf_complex* complex(const Tensor& t) {
  return reinterpret_cast<fftwf_complex*>(t.data<float>());
}

// The spectra begin on whole cache lines, FFTW's best case: packed as etude writes them, an odd
// number of bins leaves every other one unaligned, and FFTW takes twice as long.
std::unique_ptr<Runner> make(const Problem& problem, const Inputs& inputs, int sets) {
  const int n = static_cast<int>(problem.at("n_fft")), bins = n / 2 + 1,
            batch = static_cast<int>(problem.at("N")), distance = (bins + 7) / 8 * 8;
  const Tensor x({problem.inputs[0].size()}), y({Index{2} * batch * distance});
  fftwf_plan_with_nthreads(num_threads());
  const std::shared_ptr<fftwf_plan_s> plan(
      fftwf_plan_many_dft_r2c(1, &n, batch, x.data<float>(), nullptr, 1, n, complex(y), nullptr, 1,
                              distance, FFTW_PATIENT | FFTW_PRESERVE_INPUT),
      fftwf_destroy_plan);
  check(plan != nullptr, "fftw: no plan for {}", problem.settings());
  Kernel kernel;
  kernel.note = "PATIENT, aligned rows";
  kernel.extra = {{y.shape(), DType::f32}};
  kernel.run = [plan](const std::vector<Tensor>& t) {
    fftwf_execute_dft_r2c(plan.get(), t[0].data<float>(), complex(t[2]));
  };
  kernel.finish = [=](const std::vector<Tensor>& t) {
    for (Index row = 0; row < batch; ++row)
      std::copy_n(t[2].data<float>() + 2 * row * distance, 2 * bins,
                  t[1].data<float>() + 2 * row * bins);
  };
  return make_runner(problem, inputs, sets, cpu_device, std::move(kernel));
}

}  // namespace

void add_fftw(std::vector<Provider>& list, std::vector<std::string>& skipped) {
  if (!fftwf_init_threads()) {
    skipped.emplace_back("fftw: its threads cannot be started");
    return;
  }
  list.push_back(
      {"fftw", fftwf_version, false, [](const Problem& p) { return p.kernel == "rfft"; }, make});
}

}  // namespace etude::bench
#endif
