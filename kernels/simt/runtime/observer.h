// What a build with load and store callbacks wants to know of a block as it runs. The plain build
// has no observer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/simt/simt.h"

namespace simt::detail {

class Worker;
struct Copy;
struct Launch;

class Observer {
 public:
  virtual ~Observer() = default;

  virtual void begin_launch(const Launch& launch) = 0;
  virtual void begin_block() = 0;
  virtual void end_block() = 0;
  // All threads of the block have met.
  virtual void block_barrier() = 0;
  // Lanes of a warp have met; `orders_memory` if that makes their writes visible to each other.
  virtual void lanes_met(unsigned warp, std::uint32_t lanes, bool orders_memory) = 0;
  virtual void thread_ended(unsigned thread) = 0;
  // The running thread is about to touch memory.
  virtual void access(const void* address, std::size_t bytes, Access access, const void* pc) = 0;
  virtual void copy_issued(const Copy& copy, const void* pc) = 0;
  virtual void copy_done(const Copy& copy) = 0;
  // Adds what this observer counted to the profile being taken, at the end of a launch.
  virtual void end_launch() = 0;
};

// Set by the counting build's runtime when the program has kernels that call it back.
using MakeObserver = std::unique_ptr<Observer> (*)(Worker&);
extern MakeObserver make_observer;
using LaunchFinished = void (*)(const Launch&);
extern LaunchFinished launch_finished;

}  // namespace simt::detail
