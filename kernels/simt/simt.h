// The emulator's own interface: how kernels are run, what was found wrong with them, and (in the
// counting build) what they cost. Includes no CUDA header, real or emulated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace simt {

// ---- how kernels run ----

enum class Order { Forward, Reverse, Random };

struct Options {
  // The order in which blocks are started, and the threads of a block between two barriers. A
  // right kernel gives the same result in each.
  Order order = Order::Forward;
  std::uint64_t seed = 0;  // of Order::Random
  // cp.async copies at once rather than when it is waited for.
  bool eager_copies = false;
  // Host threads that blocks are spread over; 0: as many as the machine has. A kernel whose result
  // depends on the order of its blocks (float atomics) repeats bit for bit with 1 only.
  int host_threads = 0;
  // Fill shared and newly allocated device memory with a pattern that is NaN in every float type.
  bool poison = true;
  // The counting build's checks of every access.
  bool checks = true;
  // Device memory is out of the host's reach but while kernels and copies run, as on a GPU of its
  // own: a host that touches it ends with a message. Costs a few system calls for each allocation
  // that a launch or copy touches.
  bool guard_host = false;
  // Bytes of stack for each thread that waits at a barrier.
  std::size_t stack_bytes = 256 * 1024;
};

// From SIMT_ORDER=forward|reverse|random:SEED, SIMT_CP_ASYNC=deferred|eager, SIMT_THREADS=N,
// SIMT_POISON=0|1, SIMT_CHECKS=0|1, SIMT_GUARD_HOST=0|1, SIMT_STACK=BYTES. Throws
// std::invalid_argument on anything else.
Options options_from_environment();

Options options();  // at first those from the environment
void set_options(const Options&);

// ---- what was found wrong ----

enum class Defect {
  BarrierDivergence,  // threads of a block wait at different barriers
  EarlyExit,          // a thread ended while others wait for it at a barrier
  WarpDivergence,     // lanes named by the mask of a shuffle, vote or __syncwarp do not come to it
  BadMask,            // the calling lane is not in its own mask
  GlobalBounds,       // an access outside every allocation, or to a freed one
  SharedBounds,       // an access outside every shared array
  Misaligned,         // an access at an address that is no multiple of its size
  Uninitialised,      // a read of shared memory that this block has not written
  SharedRace,         // two accesses to shared memory, at least one a write, unordered
  PendingCopy,  // shared memory touched, or its thread ended, before a cp.async was waited for
  StackOverflow,
  Trap,
};
const char* to_string(Defect);

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
  bool operator==(const Index3&) const = default;
};

struct Report {
  Defect defect{};
  std::string kernel;  // "ns::transpose<32>"
  Index3 block, thread;
  std::string file;  // of the access or call; empty where unknown (no -g)
  int line = 0;
  std::string message;  // the finding, without what is above
  int error = 0;        // the cudaError_t that the launch ends with
};

// "simt: shared race in reduce, block (3,0,0), thread (5,0,0), reduce.cu:42: ..."
std::string to_string(const Report&);

// Called once for each finding at the end of a launch, in block order; the default prints
// to_string() to stderr. Returns the one before.
using ReportHandler = std::function<void(const Report&)>;
ReportHandler set_report_handler(ReportHandler);

// ---- what kernels cost: kernels compiled with load and store callbacks ----

enum class Space { Global, Shared };
enum class Access { Load, Store, Atomic };

// What one source line did, summed over its warps. A request is one instruction of one warp.
struct LineCounts {
  std::string file;
  int line = 0;
  Space space{};
  Access access{};
  std::uint64_t requests = 0;
  std::uint64_t lanes = 0;             // active ones, summed
  std::uint64_t bytes = 0;             // asked for, summed over lanes
  std::uint64_t sectors = 0;           // global: distinct 32-byte sectors of each request, summed
  std::uint64_t unique_sectors = 0;    // global: distinct sectors over the launch
  std::uint64_t wavefronts = 0;        // shared: passes over the 32 banks
  std::uint64_t ideal_wavefronts = 0;  // shared: without bank conflicts
};

// Where lanes of a warp took different ways.
struct BranchCounts {
  std::string file;
  int line = 0;
  std::uint64_t executions = 0;  // of the basic block before the branch, by a warp
  std::uint64_t lanes = 0;       // active ones, summed
  std::uint64_t divergent = 0;   // executions after which the active lanes parted
};

struct KernelProfile {
  std::string kernel;
  std::uint64_t launches = 0, blocks = 0, threads = 0;
  std::vector<LineCounts> lines;       // by file, line, space, access
  std::vector<BranchCounts> branches;  // those with divergent > 0
  // Distinct 32-byte sectors read and written, each launch for itself, summed over launches: times
  // 32, the least that has to come from and go to DRAM.
  std::uint64_t unique_load_sectors = 0, unique_store_sectors = 0;
  std::uint64_t block_executions = 0, block_lanes = 0;  // all basic blocks: lanes / executions

  LineCounts total(Space, Access) const;
};

// Between the two calls, launches are counted. Without kernels of the counting build the result is
// empty.
void profile_start();
std::vector<KernelProfile> profile_stop();

// A table for people.
std::string to_string(const KernelProfile&);

}  // namespace simt
