#include "engine/device.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "engine/error.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace etude {
namespace {

struct Isa {
  const char* name;
  const Kernels<float>& (*table)();
  bool (*supported)();
};

// Best first.
std::vector<Isa> isas = {
#if defined(__x86_64__)
    {"avx512", cpu_avx512::table,
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi2");
     }},
    {"avx2", cpu_avx2::table,
     [] {
       return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi2");
     }},
#endif
    {"baseline", cpu_baseline::table, [] { return true; }},
};

const Isa& find_isa(std::string_view name) {
  std::string known;
  for (const Isa& isa : isas) {
    if (name == isa.name) {
      check(isa.supported(), "instruction set {}: this processor does not have it", name);
      return isa;
    }
    known += known.empty() ? isa.name : std::string(", ") + isa.name;
  }
  fail("instruction set '{}' is unknown; this build has {}", name, known);
}

Isa& chosen() {
  static Isa isa = [] {
    if (const char* wanted = std::getenv("ETUDE_ISA"); wanted && *wanted) return find_isa(wanted);
    return *std::find_if(isas.begin(), isas.end(), [](const Isa& i) { return i.supported(); });
  }();
  return isa;
}

const Kernels<float>* simt_table =
#if ETUDE_HAVE_SIMT
    &simt::table();
#else
    nullptr;
#endif

// Null where the build lacks the back end. The device need not be there.
const Kernels<float>* find_table(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return &chosen().table();
    case DeviceKind::reference:
      return &reference_f32::table();
    case DeviceKind::simt:
      return simt_table;
#if ETUDE_HAVE_CUDA
    case DeviceKind::cuda:
      return &cuda::table();
#endif
    default:
      return nullptr;
  }
}

// The CUDA device that is current on this thread.
thread_local int selected = -1;

void select(Device device, const Kernels<float>& table) {
  const std::string problem = table.device_problem(device.index);
  check(problem.empty(), "device {}: {}", to_string(device), problem);
  table.device_select(device.index);
  selected = device.index;
}

// Created when first asked for, and never destroyed: the runtime may be gone before static objects.
Stream stream_of(Device device, int which) {
  if (shares_host_memory(device)) return {};
  static std::mutex mutex;
  static auto& streams = *new std::map<std::array<int, 3>, Stream>;
  const Kernels<float>& table = kernels_for<float>(device);
  const std::lock_guard lock(mutex);
  const auto [slot, is_new] = streams.try_emplace({int(device.kind), device.index, which});
  if (is_new) slot->second = table.stream_create();
  return slot->second;
}

}  // namespace

std::string to_string(Device device) {
  switch (device.kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::reference:
      return "reference";
    case DeviceKind::simt:
      return "simt";
    case DeviceKind::cuda:
      return device.index == 0 ? "cuda" : fmt::format("cuda:{}", device.index);
  }
  return "?";
}

Device parse_device(std::string_view text) {
  if (text == "auto") return available_devices().front();
  Device device;
  if (text == "cpu") {
    device.kind = DeviceKind::cpu;
  } else if (text == "reference") {
    device.kind = DeviceKind::reference;
  } else if (text == "simt") {
    device.kind = DeviceKind::simt;
  } else if (text == "cuda" || text.starts_with("cuda:")) {
    device.kind = DeviceKind::cuda;
    if (text.size() > 5) {
      const std::string digits(text.substr(5));
      char* end = nullptr;
      const long index = std::strtol(digits.c_str(), &end, 10);
      check(*end == 0 && index >= 0 && index < 1024, "device '{}': expected cuda:N", text);
      device.index = static_cast<int>(index);
    }
  } else {
    fail("device '{}' is unknown; expected auto, cpu, cuda, cuda:N, simt or reference", text);
  }
  const std::string problem = device_problem(device);
  check(problem.empty(), "device {}: {}", to_string(device), problem);
  return device;
}

std::vector<Device> available_devices() {
  std::vector<Device> devices;
#if ETUDE_HAVE_CUDA
  for (int i = 0; i < cuda::table().device_count(); ++i)
    if (*cuda::table().device_problem(i) == 0) devices.push_back({DeviceKind::cuda, i});
#endif
  devices.push_back(cpu_device);
  devices.push_back(reference_device);
  if (simt_table) devices.push_back({DeviceKind::simt});
  return devices;
}

std::string describe(Device device) { return kernels_for<float>(device).device_name(device.index); }

std::string device_problem(Device device) {
  if (const Kernels<float>* table = find_table(device.kind))
    return table->device_problem(device.index);
  return device.kind == DeviceKind::cuda
             ? "this build has no CUDA kernels: nvcc was not found, or ETUDE_CUDA was off, when it "
               "was configured"
             : "this build has no emulator (ETUDE_SIMT was off when it was configured)";
}

template <>
const Kernels<float>& kernels_for<float>(Device device) {
  const Kernels<float>* table = find_table(device.kind);
  if (!table) [[unlikely]]
    fail("device {}: {}", to_string(device), device_problem(device));
  if (device.kind == DeviceKind::cuda && device.index != selected) select(device, *table);
  return *table;
}

template <>
const Kernels<double>& kernels_for<double>(Device device) {
  check(device.kind == DeviceKind::reference,
        "device {}: float64 tensors live on the reference device only", to_string(device));
  return reference_f64::table();
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas)
    if (isa.supported()) names.push_back(isa.name);
  return names;
}

std::string chosen_isa() { return chosen().name; }

void choose_isa(std::string_view name) { chosen() = find_isa(name); }

void add_isa(const char* name, const Kernels<float>& (*table)()) {
  isas.push_back({name, table, [] { return true; }});
}

void use_simt_table(const Kernels<float>& table) { simt_table = &table; }

Stream current_stream(Device device) { return stream_of(device, 0); }
Stream copy_stream(Device device) { return stream_of(device, 1); }

void synchronize(Device device) {
  kernels_for<float>(device).stream_synchronize(current_stream(device));
}

void set_num_threads(int n) {
  check(n >= 1, "threads: expected at least 1, got {}", n);
#ifdef _OPENMP
  omp_set_num_threads(n);
#endif
}

int num_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

}  // namespace etude
