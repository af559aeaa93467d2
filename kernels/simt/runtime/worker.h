// One host thread's work: the threads of one block at a time, as lazy fibres.
//
// A block's threads run one after the other, each to its end, in a loop on one stack. A thread that
// has to wait leaves its stack where it is, and the loop goes on with the next thread on another
// one. So a kernel without barriers never switches stacks, and one with barriers switches once a
// thread and barrier. Threads that may go on come before threads that have not begun.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/runtime/context.h"
#include "kernels/simt/runtime/copies.h"
#include "kernels/simt/runtime/launch.h"
#include "kernels/simt/runtime/observer.h"
#include "kernels/simt/runtime/stacks.h"
#include "simt_shim/detail.h"

namespace simt::detail {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kMaxThreads = 1024;

enum class Waits { No, Barrier, Lanes, ActiveMask };

struct Thread {
  Context context;  // where it waits
  void* asan = nullptr;
  Stack* stack = nullptr;
  cuda::uint3 index{};
  bool ended = false;
  Waits waits = Waits::No;
  std::uint32_t mask = 0;  // of Waits::Lanes
  const char* what = "";   // the call that it waits in
  Site site{};
  std::uint32_t result = 0;  // of Waits::ActiveMask
  CopyQueue copies;
};

// Copies of one call (the compiler may make several) are the same place in the source.
bool same_place(Site a, Site b);
std::string to_string(Site site);

// Lanes on their way to one shuffle, vote or __syncwarp.
struct Group {
  std::uint32_t mask, arrived;
  Combine combine;
  const char* what;
  Site site;
  void* payload[kWarp];
};

struct Warp {
  std::uint32_t exists = 0;
  std::uint32_t ended = 0;
  std::vector<Group> groups;
};

// Dynamic shared memory: its end touches an inaccessible page.
class DynamicShared {
 public:
  DynamicShared();
  ~DynamicShared();
  void resize(std::size_t bytes);
  char* begin() const { return begin_; }
  std::size_t bytes() const { return bytes_; }
  bool guards(const void* address) const;
  void poison(bool on);
  bool intact() const;  // the bytes around it hold what poison() put there
  // All of the mapping, for classifying addresses.
  const char* low() const { return mapping_; }
  const char* high() const { return mapping_ + mapped_; }

 private:
  char *mapping_, *end_;  // end_: of the accessible part
  std::size_t mapped_;
  char* begin_ = nullptr;
  std::size_t bytes_ = 0;
};

class Worker {
 public:
  Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // This host thread's worker, made when first asked for.
  static Worker& mine();
  // The same if it is running a block, else null.
  static Worker* running();
  // The same for device functions, which the host has no business to call: else aborts.
  static Worker& in_kernel();

  // Runs blocks of the launch until there are none left.
  void run(Launch& launch);

  // ---- called on behalf of the running thread ----
  void barrier(const char* what, Site site);
  int barrier_reduce(Reduce reduce, int predicate, Site site);
  void meet(std::uint32_t mask, void* payload, Combine combine, const char* what, Site site);
  std::uint32_t active_mask(Site site);
  // Lets the other threads go on first.
  void yield();

  // Something is wrong: notes it and goes on, or gives the block up.
  void note(unsigned thread, Defect defect, const Site* site, const void* pc, std::string message);
  [[noreturn]] void fail(Defect defect, const Site* site, const void* pc, std::string message);

  const Launch& launch() const { return *launch_; }
  unsigned thread() const { return running_; }  // linear index in the block
  unsigned warp() const { return running_ / kWarp; }
  unsigned lane() const { return running_ % kWarp; }
  // Whether all 32 lanes of the running thread's warp are there and have not ended.
  bool whole_warp() const { return warps_[warp()].exists == ~0u && warps_[warp()].ended == 0; }
  Thread& current() { return threads_[running_]; }
  Thread& thread(unsigned i) { return threads_[i]; }
  std::uint64_t position() const { return position_; }
  const DynamicShared& dynamic() const { return dynamic_; }
  const StackPool& stacks() const { return *stacks_; }
  Observer* observer() const { return observer_; }
  std::string thread_text(unsigned thread) const;
  std::string whereabouts() const;  // kernel, block, thread
  // Whether the bytes lie in shared memory of the running block.
  bool is_shared(const void* address, std::size_t bytes) const;

  // Set by the signal handler, told by fail() from a sane place.
  struct Fault {
    const void *address, *pc;
    bool write, misaligned;
  };
  Fault fault{};
  static constexpr std::size_t kFaultStack = 64 * 1024;
  char* fault_stack() { return fault_stack_.get(); }  // where report_fault() runs
  [[noreturn]] void report_fault();

 private:
  void set_up(Launch& launch);
  void run_block(std::uint64_t position);
  void loop();
  static void enter_loop(void* worker);
  void run_next_thread(Stack* stack);
  void thread_ended(unsigned thread);
  void suspend();
  void resume(unsigned thread);
  void go_to_fresh_stack(Context& from, void** save);
  void arrive(const char* what, Site site);
  void complete(Warp& warp, unsigned warp_index, std::size_t group);
  void complete_if_all_arrived(unsigned warp_index);
  void resolve_active_masks(unsigned warp_index, bool only_if_all);
  void resolve_stall();
  [[noreturn]] void report_deadlock();
  [[noreturn]] void leave_block();

  void push_ready(unsigned thread) {
    ready_[ready_end_++ % kMaxThreads] = static_cast<std::uint16_t>(thread);
  }
  bool any_ready() const { return ready_begin_ != ready_end_; }
  unsigned pop_ready() { return ready_[ready_begin_++ % kMaxThreads]; }

  Launch* launch_ = nullptr;
  std::uint64_t position_ = 0;
  cuda::dim3 shape_;  // that threads_ are indexed for
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::uint16_t> order_;
  unsigned count_ = 0, started_ = 0, ended_ = 0, running_ = 0;
  std::uint16_t ready_[kMaxThreads];
  unsigned ready_begin_ = 0, ready_end_ = 0;

  unsigned arrived_ = 0;  // at the block's barrier
  const char* barrier_what_ = "";
  Site barrier_site_{};
  unsigned barrier_first_ = 0;
  int sum_ = 0, all_ = 1, any_ = 0, last_sum_ = 0, last_all_ = 0, last_any_ = 0;

  std::unique_ptr<StackPool> stacks_;
  Stack* fresh_ = nullptr;  // for the loop that is about to begin on it
  DynamicShared dynamic_;
  const char* tls_ = nullptr;                          // of the kernel's module
  mutable const SharedArray* last_array_ = nullptr;    // that is_shared() found
  std::vector<std::pair<char*, std::size_t>> arrays_;  // this host thread's, to be poisoned
  Context host_;
  void* host_asan_ = nullptr;
  const void* host_low_ = nullptr;
  std::size_t host_bytes_ = 0;
  bool in_block_ = false;
  std::unique_ptr<char[]> signal_stack_;  // where the signal handler runs
  std::unique_ptr<char[]> fault_stack_;
  std::unique_ptr<Observer> own_observer_;
  Observer* observer_ = nullptr;  // of a kernel that calls back
};

}  // namespace simt::detail
