// A vendor library for the CPU, as loops: what the loader and the linear provider are tested with
// where there is no GPU.
#include "kernels/vendor/vendor.h"

namespace {

const char* library_name(int which) { return which == 1 ? "Loops 1.0" : "Nothing 0.0"; }
const char* library_problem(int which) { return which == 1 ? nullptr : "not here"; }

const char* sgemm(int device, void*, int ta, int tb, int64_t m, int64_t n, int64_t k,
                  const float* a, const float* b, float beta, float* c) {
  if (device != 0) return "no such device";
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = beta == 0 ? 0 : static_cast<double>(beta) * c[i * n + j];
      for (int64_t l = 0; l < k; ++l)
        sum += static_cast<double>(a[ta ? l * m + i : i * k + l]) * b[tb ? j * k + l : l * n + j];
      c[i * n + j] = static_cast<float>(sum);
    }
  return nullptr;
}

constexpr EtudeVendor table = {
#ifdef ETUDE_FAKE_VERSION
    .version = ETUDE_FAKE_VERSION,
#else
    .version = ETUDE_VENDOR_VERSION,
#endif
    .device = "cpu",
    .libraries = 3,
    .library_name = library_name,
    .library_problem = library_problem,
    .conv2d_plan = nullptr,
    .rfft_plan = nullptr,
    .run = nullptr,
    .describe = nullptr,
    .workspace = nullptr,
    .destroy = nullptr,
    .sgemm = sgemm,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const EtudeVendor* etude_vendor_table() {
  return &table;
}
