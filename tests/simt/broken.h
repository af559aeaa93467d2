// Kernels with one mistake each.
#pragma once

#include <cuda_runtime.h>

#include <span>

namespace broken {

struct Kernel {
  const char* name;
  // Allocates what it needs, launches and synchronises; the error is the launch's.
  cudaError_t (*run)();
};
std::span<const Kernel> kernels();

}  // namespace broken
