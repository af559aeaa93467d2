// The limits of the emulated device, and the state that API calls share.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

#include "simt_shim/runtime_types.h"

namespace simt::detail {

// Features of sm_80; shared memory as large as any architecture has it (sm_90).
inline constexpr int kArch = 800;
inline constexpr std::size_t kSharedPerBlock = 48 * 1024;
inline constexpr std::size_t kSharedPerBlockOptin = 227 * 1024;
inline constexpr std::size_t kSharedPerSm = 228 * 1024;
inline constexpr std::size_t kSharedReserved = 1024;  // of each block, by the system
inline constexpr unsigned kMaxBlock[3] = {1024, 1024, 64};
inline constexpr unsigned kMaxGrid[3] = {2147483647, 65535, 65535};
inline constexpr int kThreadsPerSm = 2048;
inline constexpr int kBlocksPerSm = 32;

class DeviceState {
 public:
  static DeviceState& get();

  // Errors of calls are told once, a kernel's failure by every call until the device is reset.
  cuda::cudaError_t fail(cuda::cudaError_t error);
  cuda::cudaError_t failure();  // of a kernel
  void set_failure(cuda::cudaError_t error);
  cuda::cudaError_t take_last();  // cudaGetLastError
  cuda::cudaError_t peek_last();
  void reset();

  void allow_dynamic(const void* kernel, std::size_t bytes);
  std::size_t allowed_dynamic(const void* kernel);

 private:
  std::mutex mutex_;
  cuda::cudaError_t failure_ = cuda::cudaSuccess;
  std::map<const void*, std::size_t> allowed_;
};

// Bytes of __shared__ arrays that the kernel itself declares; 0 where symbols were stripped.
std::size_t static_shared_bytes(const void* kernel);

}  // namespace simt::detail
