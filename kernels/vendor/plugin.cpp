// The table of libetude-vendor, and the way from exceptions to its error texts.
#include "kernels/vendor/plugin.h"

#include <climits>
#include <exception>

namespace etude_vendor {

int to_int(int64_t value, const char* what) {
  if (value < 0 || value > INT_MAX)
    fail(std::string(what) + " = " + std::to_string(value) + " is beyond what the library takes");
  return static_cast<int>(value);
}

namespace {

thread_local std::string message;

const char* keep(std::string text) {
  message = std::move(text);
  return message.c_str();
}

// f() on the device; null, or what it threw.
template <class F>
const char* guarded(int device, F f) {
  try {
    ETUDE_VENDOR_CHECK(cudaSetDevice(device));
    f();
    return nullptr;
  } catch (const std::exception& e) {
    cudaGetLastError();  // told here, not again by the next call
    return keep(e.what());
  }
}

constexpr int libraries = 3;

const char* library_name(int which) {
  try {
    return keep(which == 0 ? cudnn_name() : which == 1 ? cublas_name() : cufft_name());
  } catch (const std::exception& e) {
    return keep(e.what());
  }
}

const char* library_problem(int) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return nullptr;
  cudaGetLastError();
  return error == cudaSuccess
             ? keep("no GPU")
             : keep(std::string("no GPU (") + cudaGetErrorString(error) + ")");
}

const char* table_conv2d_plan(const EtudeVendorConv2d* shape, int pass, int device, void* stream,
                              EtudeVendorPlan** plan) {
  return guarded(device, [&] {
    *plan = conv2d_plan(*shape, pass, device, static_cast<cudaStream_t>(stream));
  });
}

const char* table_rfft_plan(int64_t n, int64_t batch, int device, void* stream,
                            EtudeVendorPlan** plan) {
  return guarded(
      device, [&] { *plan = rfft_plan(n, batch, device, static_cast<cudaStream_t>(stream)); });
}

const char* run(EtudeVendorPlan* plan, const float* a, const float* b, float* y) {
  return guarded(plan->device, [&] { plan->run(a, b, y); });
}

const char* describe(const EtudeVendorPlan* plan) { return plan->text.c_str(); }
size_t workspace(const EtudeVendorPlan* plan) { return plan->workspace; }
void destroy(EtudeVendorPlan* plan) {
  if (plan) guarded(plan->device, [&] { delete plan; });
}

const char* table_sgemm(int device, void* stream, int ta, int tb, int64_t m, int64_t n, int64_t k,
                        const float* a, const float* b, float beta, float* c) {
  return guarded(device, [&] {
    sgemm(device, static_cast<cudaStream_t>(stream), ta != 0, tb != 0, m, n, k, a, b, beta, c);
  });
}

constexpr EtudeVendor table = {
    .version = ETUDE_VENDOR_VERSION,
    .device = "cuda",
    .libraries = libraries,
    .library_name = library_name,
    .library_problem = library_problem,
    .conv2d_plan = table_conv2d_plan,
    .rfft_plan = table_rfft_plan,
    .run = run,
    .describe = describe,
    .workspace = workspace,
    .destroy = destroy,
    .sgemm = table_sgemm,
};

}  // namespace
}  // namespace etude_vendor

extern "C" __attribute__((visibility("default"))) const EtudeVendor* etude_vendor_table() {
  return &etude_vendor::table;
}
