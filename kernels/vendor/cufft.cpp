// Batches of real FFTs by cuFFT.
#include <cufft.h>

#include "kernels/vendor/plugin.h"

namespace etude_vendor {
namespace {

void check(cufftResult result, const char* call) {
  if (result != CUFFT_SUCCESS)
    fail(std::string("cuFFT: ") + call + ": error " + std::to_string(static_cast<int>(result)));
}
#define CHECK_CUFFT(call) check((call), #call)

struct RfftPlan : EtudeVendorPlan {
  RfftPlan(int64_t n, int64_t batch, int device_index, cudaStream_t stream)
      : EtudeVendorPlan(device_index) {
    CHECK_CUFFT(cufftCreate(&plan));
    int length = to_int(n, "n");
    try {
      CHECK_CUFFT(cufftMakePlanMany(plan, 1, &length, nullptr, 1, 0, nullptr, 1, 0, CUFFT_R2C,
                                    to_int(batch, "batch"), &workspace));
      CHECK_CUFFT(cufftSetStream(plan, stream));
    } catch (...) {
      cufftDestroy(plan);
      throw;
    }
    text = "R2C";
  }
  ~RfftPlan() override { cufftDestroy(plan); }

  // Out of place cuFFT leaves the input as it is.
  void run(const float* a, const float*, float* y) override {
    CHECK_CUFFT(cufftExecR2C(plan, const_cast<float*>(a), reinterpret_cast<cufftComplex*>(y)));
  }

  cufftHandle plan = 0;
};

}  // namespace

std::string cufft_name() {
  int major = 0, minor = 0, patch = 0;
  CHECK_CUFFT(cufftGetProperty(MAJOR_VERSION, &major));
  CHECK_CUFFT(cufftGetProperty(MINOR_VERSION, &minor));
  CHECK_CUFFT(cufftGetProperty(PATCH_LEVEL, &patch));
  return "cuFFT " + std::to_string(major) + "." + std::to_string(minor) + "." +
         std::to_string(patch);
}

EtudeVendorPlan* rfft_plan(int64_t n, int64_t batch, int device, cudaStream_t stream) {
  return new RfftPlan(n, batch, device, stream);
}

}  // namespace etude_vendor
