// Matrix products by cuBLAS.
#include <cublas_v2.h>

#include <map>

#include "kernels/vendor/plugin.h"

namespace etude_vendor {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail(std::string("cuBLAS: ") + call + ": " + cublasGetStatusString(status));
}
#define CHECK_CUBLAS(call) check((call), #call)

// One a thread and device: a handle is made in milliseconds and belongs to one thread at a time.
// Never destroyed: at exit the driver may be gone before it.
cublasHandle_t handle_for(int device) {
  thread_local auto& handles = *new std::map<int, cublasHandle_t>;
  cublasHandle_t& handle = handles[device];
  if (!handle) {
    CHECK_CUBLAS(cublasCreate(&handle));
    // float32 as it is: no TF32, no reduced precision within.
    CHECK_CUBLAS(cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH));
  }
  return handle;
}

}  // namespace

std::string cublas_name() {
  int major = 0, minor = 0, patch = 0;
  CHECK_CUBLAS(cublasGetProperty(MAJOR_VERSION, &major));
  CHECK_CUBLAS(cublasGetProperty(MINOR_VERSION, &minor));
  CHECK_CUBLAS(cublasGetProperty(PATCH_LEVEL, &patch));
  return "cuBLAS " + std::to_string(major) + "." + std::to_string(minor) + "." +
         std::to_string(patch);
}

// cuBLAS is column-major: a row-major c = op(a) op(b) is c^T = op(b)^T op(a)^T to it, and a row-major
// matrix is its transpose. So the factors change places and each keeps its own flag.
void sgemm(int device, cudaStream_t stream, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
           const float* a, const float* b, float beta, float* c) {
  if (m == 0 || n == 0) return;
  const cublasHandle_t handle = handle_for(device);
  CHECK_CUBLAS(cublasSetStream(handle, stream));
  const float alpha = 1;
  const int lda = to_int(ta ? m : k, "columns of a"), ldb = to_int(tb ? k : n, "columns of b");
  CHECK_CUBLAS(cublasSgemm(handle, tb ? CUBLAS_OP_T : CUBLAS_OP_N, ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                           to_int(n, "n"), to_int(m, "m"), to_int(k, "k"), &alpha, b,
                           ldb > 0 ? ldb : 1, a, lda > 0 ? lda : 1, &beta, c, to_int(n, "n")));
}

}  // namespace etude_vendor
