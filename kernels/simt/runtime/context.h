// Switching stacks: the least that is needed to leave a function in the middle and return later.
#pragma once

#include <cstddef>

namespace simt::detail {

// Where execution was left. Valid from the switch away until the switch back.
struct Context {
  void* state = nullptr;
};

// Makes `context` start entry(argument) on the stack [low, low + bytes). entry must not return.
void prepare(Context& context, void* low, std::size_t bytes, void (*entry)(void*), void* argument);

// Leaves execution in `from` and goes on in `to`.
void switch_context(Context& from, Context& to);

}  // namespace simt::detail
