// Accesses that the processor stops: turned from a signal into a finding.
#pragma once

#include <cstddef>

namespace simt::detail {

// Once a program: SIGSEGV and SIGBUS come here first; those that are not a kernel's go on to
// whoever handled them before.
void install_fault_handler();

// The calling host thread's stack for signals: a fibre's own may be what overflowed.
void use_signal_stack(void* low, std::size_t bytes);

}  // namespace simt::detail
