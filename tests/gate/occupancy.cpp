#include "tests/gate/occupancy.h"

#include <cuda_occupancy.h>

#include <stdexcept>

namespace etude::gate {
namespace {

// From the table "Technical Specifications per Compute Capability" of the CUDA programming guide.
struct Limits {
  int arch, threads, shared_kb, shared_kb_block, reserved;
};
constexpr Limits kLimits[] = {
    {75, 1024, 64, 64, 0},       {80, 2048, 164, 163, 1024},  {86, 1536, 100, 99, 1024},
    {87, 1536, 164, 163, 1024},  {89, 1536, 100, 99, 1024},   {90, 2048, 228, 227, 1024},
    {100, 2048, 228, 227, 1024}, {103, 2048, 228, 227, 1024}, {120, 1536, 100, 99, 1024},
    {121, 1536, 100, 99, 1024},
};

cudaOccDeviceProp properties(int arch) {
  for (const Limits& l : kLimits) {
    if (l.arch != arch) continue;
    cudaOccDeviceProp p;
    p.computeMajor = arch / 10;
    p.computeMinor = arch % 10;
    p.maxThreadsPerBlock = 1024;
    p.maxThreadsPerMultiprocessor = l.threads;
    p.regsPerBlock = p.regsPerMultiprocessor = 65536;
    p.warpSize = 32;
    p.sharedMemPerBlock = 48 * 1024;
    p.sharedMemPerMultiprocessor = static_cast<std::size_t>(l.shared_kb) * 1024;
    p.sharedMemPerBlockOptin = static_cast<std::size_t>(l.shared_kb_block) * 1024;
    p.reservedSharedMemPerBlock = static_cast<std::size_t>(l.reserved);
    p.numSms = 1;
    return p;
  }
  throw std::runtime_error("sm_" + std::to_string(arch) + ": limits unknown; see occupancy.cpp");
}

}  // namespace

int blocks_per_multiprocessor(const Kernel& kernel, int arch, int threads,
                              std::int64_t dynamic_shared) {
  const cudaOccDeviceProp device = properties(arch);
  cudaOccFuncAttributes function;
  function.maxThreadsPerBlock = kernel.threads > 0 ? kernel.threads : 1024;
  function.numRegs = kernel.registers;
  function.sharedSizeBytes = static_cast<std::size_t>(kernel.shared);
  function.partitionedGCConfig = PARTITIONED_GC_OFF;
  function.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  function.maxDynamicSharedSizeBytes =
      device.sharedMemPerBlockOptin - static_cast<std::size_t>(kernel.shared);
  cudaOccDeviceState state;
  state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
  cudaOccResult result;
  const cudaOccError error = cudaOccMaxActiveBlocksPerMultiprocessor(
      &result, &device, &function, &state, threads, static_cast<std::size_t>(dynamic_shared));
  if (error != CUDA_OCC_SUCCESS)
    throw std::runtime_error(kernel.name + ", sm_" + std::to_string(arch) +
                             ": cuda_occupancy.h reports error " + std::to_string(error));
  return result.activeBlocksPerMultiprocessor;
}

}  // namespace etude::gate
