// Who computes linear layers: the engine's own kernels, or a vendor's library (kernels/vendor).
//
// Own kernels are the default. cuBLAS may be faster, and gives other bits on another GPU or with
// another version.
#pragma once

#include <string>
#include <string_view>

#include "engine/tensor.h"

namespace etude {

enum class LinearProvider { own, cublas };

// "own" and "cublas"; Error for another name.
LinearProvider parse_linear_provider(std::string_view name);
std::string to_string(LinearProvider provider);

// From now on, linear() on this device (on all others: own). Error, with the reason, where the
// library or the device cannot be used, or the library is for another kind of device.
void use_linear_provider(LinearProvider provider, Device device);
LinearProvider linear_provider(Device device);

// For linear(), which has checked its inputs. Recorded for backward().
Tensor vendor_linear(const Tensor& x, const Tensor& w, const Tensor& bias);

}  // namespace etude
