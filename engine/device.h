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

// Parses what to_string prints, and "auto" (the best device present, never simt). Asking for a
// device that is not there is an Error that says why; there is no fallback.
Device parse_device(std::string_view text);

// The devices of this build that can run, best first.
std::vector<Device> available_devices();

// What the device is ("NVIDIA A100-SXM4-80GB, sm_80, 80 GiB"); Error where it cannot be used.
std::string describe(Device device);
// Why it cannot be used: not in the build, no driver, no such device, no code for it; "": it can.
std::string device_problem(Device device);

// Kernels read memory that the host may touch as well: nothing need be copied to it.
constexpr bool shares_host_memory(Device device) {
  return device.kind == DeviceKind::cpu || device.kind == DeviceKind::reference;
}

// The table of a device, which is then the calling thread's current one. T is float, or double on
// the reference device; else Error, as for a device that cannot be used.
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
// Another build of the CPU's kernels, after those of available_isas() and never the default; for
// tests.
void add_isa(const char* name, const Kernels<float>& (*table)());
// The device simt runs these kernels, another build of the same, for tests and benchmarks: to be
// called before the device is first used.
void use_simt_table(const Kernels<float>& table);

// The stream that ops on this device run on (one per device).
Stream current_stream(Device device);
// Another one, for copies that run beside the ops (transfer.h).
Stream copy_stream(Device device);
// Waits until all work on the device's current stream is done.
void synchronize(Device device);

// Names the work that a thread gives to the device while this lives, for a profiler (NVTX ranges on
// CUDA; elsewhere nothing happens).
class Range {
 public:
  Range(Device device, const char* name)
      : kernels_(device.kind == DeviceKind::cuda ? &kernels_for<float>(device) : nullptr) {
    if (kernels_) kernels_->range_push(name);
  }
  ~Range() {
    if (kernels_) kernels_->range_pop();
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  const Kernels<float>* kernels_;
};

// The number of threads of the CPU kernels. Results do not depend on it.
void set_num_threads(int n);
int num_threads();

}  // namespace etude
