#include "kernels/simt/runtime/fault.h"

#include <signal.h>
#include <ucontext.h>

#include <cstdio>
#include <mutex>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/lines.h"
#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

namespace {

struct sigaction previous_segv, previous_bus;
struct sigaction before_watching;

#if defined(__SANITIZE_ADDRESS__)
// A sanitizer's report names the line; the rest is ours to say.
void say_where() {
  if (const Worker* worker = Worker::running())
    std::fprintf(stderr, "simt: found in %s\n", worker->whereabouts().c_str());
}
#endif

[[noreturn]] void land() {
  Worker& worker = Worker::in_kernel();
  before_switch(nullptr, worker.fault_stack(), Worker::kFaultStack);
  after_switch(nullptr, nullptr, nullptr);
  worker.report_fault();
}

void chain(const struct sigaction& previous, int number, siginfo_t* info, void* raw) {
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(number, info, raw);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
    return previous.sa_handler(number);
  // The access runs again, with the default action: the program ends as it would have.
  signal(number, SIG_DFL);
}

// The program ends here anyway, and the fault is the host's own access: more than a handler may do
// otherwise is fair.
void on_host_fault(int number, siginfo_t* info, void* raw) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (Arena::get().contains(address)) {
    const char* verb = "touches";
    const void* pc = nullptr;
#if defined(__x86_64__)
    const auto& registers = static_cast<ucontext_t*>(raw)->uc_mcontext;
    verb = registers.gregs[REG_ERR] & 2 ? "writes to" : "reads";
    pc = reinterpret_cast<const void*>(registers.gregs[REG_RIP]);
#endif
    const std::string what = Arena::get().describe(address);
    std::fprintf(stderr, "simt: the host %s device memory, %s; a copy would be right", verb,
                 what.c_str());
    const void* const after[] = {static_cast<const char*>(pc) + 1};
    if (pc)
      for (const Line& line : lines_of(after))
        if (!line.file.empty()) std::fprintf(stderr, " (%s:%d)", line.file.c_str(), line.line);
    std::fputc('\n', stderr);
  }
  chain(before_watching, number, info, raw);
}

// A handler may do next to nothing. It notes the address and returns into land(), on a stack of
// its own: from there on, this is ordinary code.
void on_fault(int number, siginfo_t* info, void* raw) {
  Worker* const worker = Worker::running();
  const struct sigaction& previous = number == SIGSEGV ? previous_segv : previous_bus;
  if (!worker) return chain(previous, number, info, raw);
  // A kernel's first access to memory that was kept from the host: it runs again.
  if (Arena::get().open(reinterpret_cast<std::uintptr_t>(info->si_addr))) return;
  auto& registers = static_cast<ucontext_t*>(raw)->uc_mcontext;
  Worker::Fault& fault = worker->fault;
  fault.address = info->si_addr;
  const auto top = reinterpret_cast<std::uintptr_t>(worker->fault_stack() + Worker::kFaultStack) &
                   ~std::uintptr_t{63};
#if defined(__x86_64__)
  fault.pc = reinterpret_cast<const char*>(registers.gregs[REG_RIP]) + 1;
  fault.write = (registers.gregs[REG_ERR] & 2) != 0;
  // Not a page fault: an instruction that wants an aligned address did not get one.
  fault.misaligned = info->si_code == SI_KERNEL;
  registers.gregs[REG_RSP] = static_cast<greg_t>(top - 8);  // as after a call
  registers.gregs[REG_RIP] = reinterpret_cast<greg_t>(&land);
#elif defined(__aarch64__)
  fault.pc = reinterpret_cast<const char*>(registers.pc) + 1;
  fault.write = false;
  fault.misaligned = number == SIGBUS;
  registers.sp = top;
  registers.pc = reinterpret_cast<std::uintptr_t>(&land);
#else
  (void)registers;
  (void)top;
  chain(previous, number, info, raw);
#endif
}

}  // namespace

FaultHandler::FaultHandler() {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &previous_segv);
  sigaction(SIGBUS, &action, &previous_bus);
#if defined(__SANITIZE_ADDRESS__)
  static std::once_flag once;
  std::call_once(once, [] { __sanitizer_set_death_callback(say_where); });
#endif
}

FaultHandler::~FaultHandler() {
  sigaction(SIGSEGV, &previous_segv, nullptr);
  sigaction(SIGBUS, &previous_bus, nullptr);
}

// Whoever handles the signal in between (a test framework, for one test) takes the place again.
void watch_host() {
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_host_fault) return;
  struct sigaction action {};
  action.sa_sigaction = on_host_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &before_watching);
}

SignalStack::SignalStack(char* memory) {
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = kBytes;
  sigaltstack(&stack, &before_);
}

SignalStack::~SignalStack() { sigaltstack(&before_, nullptr); }

void Worker::report_fault() {
  const auto address = reinterpret_cast<std::uintptr_t>(fault.address);
  const std::string verb = fault.write ? "write to " : "read from ";
  if (fault.misaligned)
    fail(Defect::Misaligned, nullptr, fault.pc,
         "an access to a vector at an address that is no multiple of its size");
  if (Arena::get().contains(address))
    fail(Defect::GlobalBounds, nullptr, fault.pc, verb + Arena::get().describe(address));
  if (dynamic_.guards(fault.address))
    fail(Defect::SharedBounds, nullptr, fault.pc,
         verb + "an address outside the block's " + std::to_string(dynamic_.bytes()) +
             " bytes of dynamic shared memory");
  if (stacks_->guarded(fault.address))
    fail(Defect::StackOverflow, nullptr, fault.pc,
         "the thread needs more than " + std::to_string(stacks_->bytes()) +
             " bytes of stack (set SIMT_STACK)");
  char text[32];
  std::snprintf(text, sizeof text, "%p", fault.address);
  fail(Defect::GlobalBounds, nullptr, fault.pc, verb + "address " + text + ", which is no memory");
}

}  // namespace simt::detail

#if defined(__SANITIZE_ADDRESS__)
// Called by the undefined-behaviour sanitizer's runtime, which has a life of its own.
extern "C" void __ubsan_on_report();
extern "C" void __ubsan_on_report() { simt::detail::say_where(); }
#endif
