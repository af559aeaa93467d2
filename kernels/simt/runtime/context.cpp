#include "kernels/simt/runtime/context.h"

#include <cstdint>

#if !defined(SIMT_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define SIMT_UCONTEXT 1
#endif

#if SIMT_UCONTEXT

// Portable and some fifty times slower: swapcontext() saves the signal mask with a system call.
#include <ucontext.h>

#include <new>

namespace simt::detail {

namespace {
void start(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
  const auto join = [](unsigned high, unsigned low) {
    return static_cast<std::uintptr_t>((static_cast<std::uint64_t>(high) << 32) | low);
  };
  reinterpret_cast<void (*)(void*)>(join(entry_high, entry_low))(
      reinterpret_cast<void*>(join(argument_high, argument_low)));
}
}  // namespace

void prepare(Context& context, void* low, std::size_t bytes, void (*entry)(void*), void* argument) {
  // The ucontext_t itself lies at the low end of the stack that it describes.
  auto* state = new (low) ucontext_t;
  getcontext(state);
  state->uc_stack.ss_sp = static_cast<char*>(low) + sizeof(ucontext_t);
  state->uc_stack.ss_size = bytes - sizeof(ucontext_t);
  state->uc_link = nullptr;
  const std::uint64_t e = reinterpret_cast<std::uintptr_t>(entry);
  const std::uint64_t a = reinterpret_cast<std::uintptr_t>(argument);
  makecontext(state, reinterpret_cast<void (*)()>(start), 4, static_cast<unsigned>(e >> 32),
              static_cast<unsigned>(e), static_cast<unsigned>(a >> 32), static_cast<unsigned>(a));
  context.state = state;
}

void switch_context(Context& from, Context& to) {
  ucontext_t here;
  from.state = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to.state));
}

}  // namespace simt::detail

#else

// Saves the registers that a called function must preserve on the stack that is left, and the
// stack pointer in *from. A new stack is laid out as if it had been left just before entry().
extern "C" void simt_switch_stacks(void** from, void* to);
extern "C" void simt_start_stack();

#if defined(__x86_64__)
// `jmp` instead of `ret`: a return to an address that no call pushed is always mispredicted.
asm(R"(
.text
.p2align 4
.globl simt_switch_stacks
.hidden simt_switch_stacks
.type simt_switch_stacks, @function
simt_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size simt_switch_stacks, . - simt_switch_stacks

.globl simt_start_stack
.hidden simt_start_stack
.type simt_start_stack, @function
simt_start_stack:
  .cfi_startproc
  .cfi_undefined rip
  movq %r13, %rdi
  call *%r12
  ud2
  .cfi_endproc
.size simt_start_stack, . - simt_start_stack
)");
#else
asm(R"(
.text
.p2align 4
.globl simt_switch_stacks
.hidden simt_switch_stacks
.type simt_switch_stacks, %function
simt_switch_stacks:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  br x30
.size simt_switch_stacks, . - simt_switch_stacks

.globl simt_start_stack
.hidden simt_start_stack
.type simt_start_stack, %function
simt_start_stack:
  .cfi_startproc
  .cfi_undefined x30
  mov x0, x20
  blr x19
  brk #1
  .cfi_endproc
.size simt_start_stack, . - simt_start_stack
)");
#endif

namespace simt::detail {

void prepare(Context& context, void* low, std::size_t bytes, void (*entry)(void*), void* argument) {
  auto* top = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(low) + bytes);
#if defined(__x86_64__)
  // r15 r14 r13 r12 rbx rbp rip, and two words so that the stack is aligned when entry is called.
  void** sp = top - 9;
  sp[0] = sp[1] = sp[4] = sp[5] = sp[7] = sp[8] = nullptr;
  sp[2] = argument;
  sp[3] = reinterpret_cast<void*>(entry);
  sp[6] = reinterpret_cast<void*>(&simt_start_stack);
#else
  void** sp = top - 20;
  for (int i = 0; i < 20; ++i) sp[i] = nullptr;
  sp[0] = reinterpret_cast<void*>(entry);               // x19
  sp[1] = argument;                                     // x20
  sp[11] = reinterpret_cast<void*>(&simt_start_stack);  // x30
#endif
  context.state = sp;
}

// noipa: the compiler must take it that everything may change across a switch.
__attribute__((noipa)) void switch_context(Context& from, Context& to) {
  simt_switch_stacks(&from.state, to.state);
}

}  // namespace simt::detail

#endif
