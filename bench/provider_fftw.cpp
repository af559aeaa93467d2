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

namespace etude::bench {
namespace {

std::unique_ptr<Runner> make(const Problem& problem, const Inputs& inputs, int sets) {
  const int n = static_cast<int>(problem.at("n_fft")), bins = n / 2 + 1,
            batch = static_cast<int>(problem.at("N"));
  fftwf_plan_with_nthreads(num_threads());
  const Tensor x({problem.inputs[0].size()}), y({problem.output.size()});  // as aligned as any
  const std::shared_ptr<fftwf_plan_s> plan(
      fftwf_plan_many_dft_r2c(1, &n, batch, x.data<float>(), nullptr, 1, n,
                              reinterpret_cast<fftwf_complex*>(y.data<float>()), nullptr, 1, bins,
                              FFTW_PATIENT | FFTW_PRESERVE_INPUT),
      fftwf_destroy_plan);
  check(plan != nullptr, "fftw: no plan for {}", problem.settings());
  Kernel kernel;
  kernel.note = "PATIENT";
  kernel.run = [plan](const std::vector<Tensor>& t) {
    fftwf_execute_dft_r2c(plan.get(), t[0].data<float>(),
                          reinterpret_cast<fftwf_complex*>(t[1].data<float>()));
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
