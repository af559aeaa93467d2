// For the files of the provider etude: a device's table, and the kernels of several ops.
#pragma once

#include "bench/runner.h"
#include "kernels/kernels.h"

namespace etude::bench {

using Set = std::vector<Tensor>;

inline float* f(const Tensor& t) { return t.data<float>(); }
inline std::uint8_t* u8(const Tensor& t) { return t.data<std::uint8_t>(); }

struct Back {
  Device device;
  const Kernels<float>& k = kernels_for<float>(device);
  Stream stream = current_stream(device);
  Tensor scratch(std::size_t bytes) const {
    return Tensor({static_cast<Index>(bytes)}, DType::u8, device);
  }
};

Kernel conv2d_pool(const Problem& problem, const Back& b);
Kernel conv2d_block(const Problem& problem, const Back& b);
Kernel conv2d_norm(const Problem& problem, const Back& b);

}  // namespace etude::bench
