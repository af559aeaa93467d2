// A launch from its checks to its findings.
#include <algorithm>
#include <condition_variable>
#include <map>
#include <set>
#include <thread>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/device.h"
#include "kernels/simt/runtime/fault.h"
#include "kernels/simt/runtime/launch.h"
#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

namespace {

using namespace cuda;

// ---- host threads
// --------------------------------------------------------------------------------

// The calling thread and as many helpers as the options ask for. Helpers sleep between launches;
// one that wakes after the last block was taken is not waited for.
class Pool {
 public:
  static Pool& get() {
    static auto* const pool = new Pool;  // leaked: helpers may outlive static objects
    return *pool;
  }

  void run(Launch& launch, unsigned host_threads) {
    if (host_threads > 1) {
      {
        const std::lock_guard lock(mutex_);
        for (; helpers_ + 1 < host_threads; ++helpers_)
          std::thread([this, index = helpers_] { serve(index); }).detach();
        launch_ = &launch;
        wanted_ = host_threads - 1;
        ++generation_;
      }
      wake_.notify_all();
    }
    Worker::mine().run(launch);
    std::unique_lock lock(mutex_);
    launch_ = nullptr;
    done_.wait(lock, [&] { return busy_ == 0; });
  }

 private:
  void serve(unsigned index) {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      Launch* const launch = launch_;
      if (!launch || index >= wanted_) continue;
      ++busy_;
      lock.unlock();
      Worker::mine().run(*launch);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Launch* launch_ = nullptr;  // while it has blocks to give
  unsigned helpers_ = 0, wanted_ = 0, busy_ = 0;
  std::uint64_t generation_ = 0;
};

unsigned host_threads_for(const Launch& launch) {
  unsigned count = launch.options.host_threads > 0
                       ? static_cast<unsigned>(launch.options.host_threads)
                       : std::max(1u, std::thread::hardware_concurrency());
  // Waking a helper costs about as much as running a few hundred short threads.
  constexpr std::uint64_t kWorthwhile = 256;
  const std::uint64_t work = launch.blocks * launch.threads / kWorthwhile;
  count = static_cast<unsigned>(std::min({std::uint64_t{count}, launch.blocks, work}));
  return std::max(1u, count);
}

// ---- what is known of a kernel
// -------------------------------------------------------------------

struct Kernel {
  std::string name;
  std::string_view symbol;
  const Module* module = nullptr;
  std::vector<const SharedArray*> own;
  // As of when so many kernels were known.
  mutable std::vector<const SharedArray*> poisoned;
  mutable std::size_t kernels_known = 0;
};

struct Kernels {
  std::mutex mutex;
  std::map<const void*, Kernel> all;
  std::set<std::string_view> owners;  // of arrays: the mangled names of kernels, without _Z
};
Kernels& kernels() {
  static auto* const instance = new Kernels;
  return *instance;
}

// References stay valid: a std::map does not move its nodes.
const Kernel& kernel_at(const void* function) {
  Kernels& known = kernels();
  const std::lock_guard lock(known.mutex);
  const auto [it, is_new] = known.all.try_emplace(function);
  Kernel& kernel = it->second;
  if (!is_new) return kernel;
  kernel.module = module_of(function);
  const auto* entry = kernel.module
                          ? kernel.module->function_at(reinterpret_cast<std::uintptr_t>(function))
                          : nullptr;
  if (!entry) {
    char text[32];
    std::snprintf(text, sizeof text, "kernel %p", function);
    kernel.name = text;
    return kernel;
  }
  kernel.symbol = entry->symbol;
  kernel.name = short_name(kernel.symbol);
  if (!kernel.symbol.starts_with("_Z")) return kernel;
  const std::string_view owner = kernel.symbol.substr(2);
  known.owners.insert(owner);
  for (const SharedArray& array : kernel.module->arrays)
    if (array.owner == owner) kernel.own.push_back(&array);
  return kernel;
}

// Poisoned before each block: the kernel's own arrays, and those of functions that it may call.
// Symbols do not tell who calls whom: any function that is not known as a kernel may be called,
// if its arrays are small (a block reduction's scratch, not a tile).
std::vector<const SharedArray*> arrays_to_poison(const Kernel& kernel) {
  Kernels& known = kernels();
  const std::lock_guard lock(known.mutex);
  if (kernel.kernels_known == known.owners.size()) return kernel.poisoned;
  kernel.kernels_known = known.owners.size();
  kernel.poisoned = kernel.own;
  if (!kernel.module) return kernel.poisoned;
  constexpr std::size_t kSmall = 4096, kMost = 64 * 1024;
  std::size_t total = 0;
  for (const SharedArray& array : kernel.module->arrays) {
    if (known.owners.contains(array.owner)) continue;
    if (array.bytes > kSmall || total + array.bytes > kMost) continue;
    total += array.bytes;
    kernel.poisoned.push_back(&array);
  }
  return kernel.poisoned;
}

std::size_t own_bytes(const Kernel& kernel) {
  std::size_t bytes = 0;
  for (const SharedArray* array : kernel.own) bytes += (array->bytes + 15) / 16 * 16;
  return bytes;
}

cudaError_t check(const cudaLaunchConfig_t& config, const void* function, const Kernel& kernel) {
  const dim3 g = config.gridDim, b = config.blockDim;
  const unsigned grid[3] = {g.x, g.y, g.z}, block[3] = {b.x, b.y, b.z};
  for (int i = 0; i < 3; ++i)
    if (grid[i] == 0 || grid[i] > kMaxGrid[i] || block[i] == 0 || block[i] > kMaxBlock[i])
      return cudaErrorInvalidConfiguration;
  if (std::uint64_t{b.x} * b.y * b.z > kMaxThreads) return cudaErrorInvalidConfiguration;
  const std::size_t fixed = own_bytes(kernel), dynamic = config.dynamicSmemBytes;
  const std::size_t allowed = DeviceState::get().allowed_dynamic(function);
  // Without the attribute, static and dynamic memory share 48 KB.
  const bool fits = allowed ? dynamic <= allowed && fixed + dynamic <= kSharedPerBlockOptin
                            : fixed + dynamic <= kSharedPerBlock;
  if (!fits) return cudaErrorInvalidValue;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttributeID id = config.attrs[i].id;
    if (id == cudaLaunchAttributeCooperative || id == cudaLaunchAttributeClusterDimension)
      return cudaErrorNotSupported;
  }
  return cudaSuccess;
}

bool runs_here([[maybe_unused]] HostFeatures features) {
#if defined(__x86_64__)
  return (!features.avx2 || __builtin_cpu_supports("avx2")) &&
         (!features.fma || __builtin_cpu_supports("fma")) &&
         (!features.avx512 || __builtin_cpu_supports("avx512f"));
#else
  return true;
#endif
}

}  // namespace

std::size_t static_shared_bytes(const void* function) { return own_bytes(kernel_at(function)); }

cudaError_t launch(const cudaLaunchConfig_t& config, const void* function,
                   void (*run_thread)(const void*), const void* arguments,
                   std::size_t argument_bytes, HostFeatures features) {
  DeviceState& device = DeviceState::get();
  if (device.failure() != cudaSuccess) return device.failure();
  if (!function) return device.fail(cudaErrorInvalidDeviceFunction);
  if (!runs_here(features)) return device.fail(cudaErrorNoKernelImageForDevice);
  const Kernel& kernel = kernel_at(function);
  if (const cudaError_t error = check(config, function, kernel); error != cudaSuccess)
    return device.fail(error);

  // One kernel at a time, as if all streams were one.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const DeviceAccess access;
  Launch launch;
  launch.kernel = function;
  launch.run_thread = run_thread;
  launch.arguments = arguments;
  launch.argument_bytes = argument_bytes;
  launch.name = kernel.name;
  launch.symbol = kernel.symbol;
  launch.module = kernel.module;
  launch.grid = config.gridDim;
  launch.block = config.blockDim;
  launch.threads = config.blockDim.x * config.blockDim.y * config.blockDim.z;
  launch.blocks = std::uint64_t{config.gridDim.x} * config.gridDim.y * config.gridDim.z;
  launch.dynamic_bytes = config.dynamicSmemBytes;
  launch.options = options();
  launch.counting = features.counting;
  launch.arrays = arrays_to_poison(kernel);
  {
    const FaultHandler handler;
    Pool::get().run(launch, host_threads_for(launch));
  }
  if (launch.counting && launch_finished) launch_finished(launch);

  std::vector<Finding> findings = launch.take_findings();
  if (const std::string red_zone = Arena::get().check_red_zones(); !red_zone.empty()) {
    Finding finding;
    finding.report.defect = Defect::GlobalBounds;
    finding.report.kernel = launch.name;
    finding.report.message = "some thread wrote " + red_zone +
                             " (found after the launch; the counting build names the thread)";
    findings.push_back(std::move(finding));
  }
  if (!findings.empty()) {
    deliver(findings);
    device.set_failure(error_of(findings.front().report.defect));
  }
  return cudaSuccess;
}

}  // namespace simt::detail
