// Shared by the files of libetude-vendor.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

#include "kernels/vendor/vendor.h"

// What a library needs to know to do one thing again and again.
struct EtudeVendorPlan {
  explicit EtudeVendorPlan(int device_index) : device(device_index) {}
  virtual ~EtudeVendorPlan() = default;
  virtual void run(const float* a, const float* b, float* y) = 0;

  int device;
  std::string text;           // for describe()
  std::size_t workspace = 0;  // bytes
};

namespace etude_vendor {

// Within the library errors are exceptions; the table's functions turn them into texts.
[[noreturn]] inline void fail(const std::string& what) { throw std::runtime_error(what); }

inline void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) fail(std::string(call) + ": " + cudaGetErrorString(error));
}
#define ETUDE_VENDOR_CHECK(call) ::etude_vendor::check((call), #call)

// Device memory for the length of a scope.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) {
    if (bytes) ETUDE_VENDOR_CHECK(cudaMalloc(&data_, bytes));
  }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

std::string cudnn_name();
std::string cublas_name();
std::string cufft_name();

EtudeVendorPlan* conv2d_plan(const EtudeVendorConv2d& shape, int pass, int device,
                             cudaStream_t stream);
EtudeVendorPlan* rfft_plan(int64_t n, int64_t batch, int device, cudaStream_t stream);
void sgemm(int device, cudaStream_t stream, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
           const float* a, const float* b, float beta, float* c);

// An int that a library takes.
int to_int(int64_t value, const char* what);

}  // namespace etude_vendor
