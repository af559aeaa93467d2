// Accesses that the processor stops: turned from a signal into a finding.
#pragma once

#include <signal.h>

#include <cstddef>

namespace simt::detail {

// While it lives, SIGSEGV and SIGBUS come here first; those that are not a kernel's go on to
// whoever handled them before. One at a time.
class FaultHandler {
 public:
  FaultHandler();
  ~FaultHandler();
  FaultHandler(const FaultHandler&) = delete;
  FaultHandler& operator=(const FaultHandler&) = delete;
};

// From now on, a host thread that touches device memory ends the program with a message (and the
// handler that was there before). Called while no FaultHandler lives; costs little when called again.
void watch_host();

// While it lives, the calling host thread takes its signals on `memory`: a fibre's own stack may be
// what overflowed.
class SignalStack {
 public:
  static constexpr std::size_t kBytes = 64 * 1024;
  explicit SignalStack(char* memory);
  ~SignalStack();
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  stack_t before_{};
};

}  // namespace simt::detail
