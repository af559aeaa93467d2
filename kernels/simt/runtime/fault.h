// Accesses that the processor stops: turned from a signal into a finding.
#pragma once

#include <signal.h>

#include <memory>

namespace simt::detail {

// Once a program: SIGSEGV and SIGBUS come here first; those that are not a kernel's go on to
// whoever handled them before.
void install_fault_handler();

// A stack for the calling host thread's signals: a fibre's own may be what overflowed. Puts back
// what was there before.
class SignalStack {
 public:
  SignalStack();
  ~SignalStack();
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  std::unique_ptr<char[]> memory_;
  stack_t before_{};
};

}  // namespace simt::detail
