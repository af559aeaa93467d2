// The stacks of threads that wait, and ASan's view of the switches between them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace simt::detail {

// One stack, with an inaccessible page below it.
class Stack {
 public:
  Stack(std::size_t bytes, std::size_t index);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  char* low() const { return low_; }
  std::size_t bytes() const { return bytes_; }
  bool guards(const void* address) const;

 private:
  char* mapping_;
  std::size_t mapped_;
  char* low_;
  std::size_t bytes_;
};

// Stacks of one host thread, made when first needed and used again, the latest first.
class StackPool {
 public:
  explicit StackPool(std::size_t bytes) : bytes_(bytes) {}

  std::size_t bytes() const { return bytes_; }
  Stack* take();
  void give_back(Stack* stack) { free_.push_back(stack); }
  void reset();  // all are free again
  const Stack* guarded(const void* address) const;

 private:
  std::size_t bytes_;
  std::vector<std::unique_ptr<Stack>> all_;
  std::vector<Stack*> free_;
};

// ASan keeps the bounds of the current stack, so that every switch has to be announced to it.
#if defined(__SANITIZE_ADDRESS__)
inline void before_switch(void** save, const void* low, std::size_t bytes) {
  __sanitizer_start_switch_fiber(save, low, bytes);
}
inline void after_switch(void* saved, const void** left_low, std::size_t* left_bytes) {
  __sanitizer_finish_switch_fiber(saved, left_low, left_bytes);
}
#else
inline void before_switch(void**, const void*, std::size_t) {}
inline void after_switch(void*, const void**, std::size_t*) {}
#endif

}  // namespace simt::detail
