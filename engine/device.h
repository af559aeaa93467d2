// Devices, and the kernel table that serves each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"

namespace etude {

enum class DeviceKind { cpu, reference, cuda, simt };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  friend bool operator==(Device, Device) = default;
};

inline constexpr Device cpu_device{};
inline constexpr Device reference_device{DeviceKind::reference};

// "cpu", "reference", "cuda", "cuda:1", "simt".
std::string to_string(Device device);

// Parses what to_string prints, and "auto" (the best device present). Asking for a device that is
// not there is an Error that says why; there is no fallback.
Device parse_device(std::string_view text);

// The devices of this build that can run, best first.
std::vector<Device> available_devices();

// The table of a device. T is float, or double on the reference device; else Error.
// The CPU's table is chosen once, for the best instruction set of the processor; the environment
// variable ETUDE_ISA=baseline|avx2|avx512 overrides the choice (an Error if the processor lacks
// it).
template <class T>
const Kernels<T>& kernels_for(Device device);
template <>
const Kernels<float>& kernels_for<float>(Device device);
template <>
const Kernels<double>& kernels_for<double>(Device device);

// The instruction sets this processor can run, best first: "avx512", "avx2", "baseline".
std::vector<std::string> available_isas();
std::string chosen_isa();
// Switches the CPU table, for tests and benchmarks.
void choose_isa(std::string_view name);

// The stream that ops on this device run on (one per device).
Stream current_stream(Device device);
// Waits until all work on the device is done.
void synchronize(Device device);

// The number of threads of the CPU kernels. Results do not depend on it.
void set_num_threads(int n);
int num_threads();

}  // namespace etude
