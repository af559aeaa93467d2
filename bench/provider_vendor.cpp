// cuDNN, cuBLAS and cuFFT through libetude-vendor (kernels/vendor), where it and a GPU are. cuDNN
// chooses its fastest algorithm by measuring, in either layout; no TF32.
#include "bench/runner.h"
#include "kernels/vendor/loader.h"

namespace etude::bench {
namespace {

constexpr Device device{DeviceKind::cuda};

void need(const char* problem) {
  if (problem) fail("{}", problem);
}

// `operands`: how many tensors it reads.
Kernel of_plan(const EtudeVendor* table, EtudeVendorPlan* made, std::size_t operands) {
  const std::shared_ptr<EtudeVendorPlan> plan(made, table->destroy);
  Kernel kernel;
  kernel.workspace = table->workspace(made);
  kernel.note = table->describe(made);
  kernel.run = [table, plan, operands](const std::vector<Tensor>& t) {
    const float* const second = operands == 2 ? t[1].data<float>() : nullptr;
    need(table->run(plan.get(), t[0].data<float>(), second, t[operands].data<float>()));
  };
  return kernel;
}

std::unique_ptr<Runner> cudnn(const Problem& problem, const Inputs& inputs, int sets, bool nchw) {
  const Conv2dShape p = conv2d_shape(problem);
  const EtudeVendorConv2d shape{p.n,     p.h,          p.w,          p.c,        p.k,
                                p.r,     p.s,          p.stride_h,   p.stride_w, p.pad_h,
                                p.pad_w, p.dilation_h, p.dilation_w, nchw,       0};
  EtudeVendorPlan* plan = nullptr;
  const EtudeVendor* const table = vendor().table;
  need(table->conv2d_plan(&shape, static_cast<int>(conv2d_pass(problem)), device.index,
                          current_stream(device).handle, &plan));
  Kernel kernel = of_plan(table, plan, 2);
  kernel.nchw = nchw;
  kernel.note += nchw ? ", NCHW" : ", NHWC";
  return make_runner(problem, inputs, sets, device, std::move(kernel));
}

std::unique_ptr<Runner> cufft(const Problem& problem, const Inputs& inputs, int sets) {
  EtudeVendorPlan* plan = nullptr;
  const EtudeVendor* const table = vendor().table;
  need(table->rfft_plan(problem.at("n_fft"), problem.at("N"), device.index,
                        current_stream(device).handle, &plan));
  return make_runner(problem, inputs, sets, device, of_plan(table, plan, 1));
}

std::unique_ptr<Runner> cublas(const Problem& problem, const Inputs& inputs, int sets) {
  const Index n = problem.at("N"), c = problem.at("C"), k = problem.at("K");
  const Pass pass = conv2d_pass(problem);
  Kernel kernel;
  kernel.run = [=, table = vendor().table](const std::vector<Tensor>& t) {
    const float *a = t[0].data<float>(), *b = t[1].data<float>();
    float* const y = t[2].data<float>();
    void* const stream = current_stream(device).handle;
    if (pass == Pass::forward)  // x [n, c] w^T, w [k, c]
      need(table->sgemm(device.index, stream, 0, 1, n, k, c, a, b, 0, y));
    else if (pass == Pass::backward_data)  // dy [n, k] w
      need(table->sgemm(device.index, stream, 0, 0, n, c, k, a, b, 0, y));
    else  // dy^T x
      need(table->sgemm(device.index, stream, 1, 0, k, c, n, b, a, 0, y));
  };
  return make_runner(problem, inputs, sets, device, std::move(kernel));
}

}  // namespace

void add_vendor(std::vector<Provider>& list, std::vector<std::string>& skipped) {
  const Vendor& v = vendor();
  const std::string gpu = device_problem(device);
  if (!v.table || !gpu.empty()) {
    skipped.push_back("cudnn, cublas, cufft: " + (v.table ? gpu : "libetude-vendor " + v.problem));
    return;
  }
  std::string versions;
  for (int i = 0; i < v.table->libraries; ++i)
    versions += (i ? ", " : "") + std::string(v.table->library_name(i));
  for (const bool nchw : {false, true})
    list.push_back({nchw ? "cudnn:nchw" : "cudnn", versions, true,
                    [](const Problem& p) { return p.is("conv2d") || p.is("linear"); },
                    [nchw](const Problem& p, const Inputs& inputs, int sets) {
                      return cudnn(p, inputs, sets, nchw);
                    }});
  list.push_back(
      {"cublas", versions, true, [](const Problem& p) { return p.is("linear"); }, cublas});
  list.push_back(
      {"cufft", versions, true, [](const Problem& p) { return p.kernel == "rfft"; }, cufft});
}

}  // namespace etude::bench
