#include "kernels/simt/runtime/stacks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace simt::detail {

Stack::Stack(std::size_t bytes, std::size_t index) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  // Tops at equal distances would all fall into the same few cache sets: each starts elsewhere.
  const std::size_t colour = index * 1088 % (4 * page) / 64 * 64;
  bytes = (bytes + page - 1) / page * page + 4 * page;
  mapped_ = bytes + page;
  void* mapping = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<char*>(mapping);
  // The number of mappings is limited; a stack without a guard is better than none.
  (void)mprotect(mapping_, page, PROT_NONE);
  low_ = mapping_ + page;
  bytes_ = bytes - colour;
}

Stack::~Stack() { munmap(mapping_, mapped_); }

bool Stack::guards(const void* address) const { return address >= mapping_ && address < low_; }

Stack* StackPool::take() {
  if (free_.empty()) {
    all_.push_back(std::make_unique<Stack>(bytes_, all_.size()));
    return all_.back().get();
  }
  Stack* stack = free_.back();
  free_.pop_back();
#if defined(__SANITIZE_ADDRESS__)
  // Frames that were left for good still have their poison.
  ASAN_UNPOISON_MEMORY_REGION(stack->low(), stack->bytes());
#endif
  return stack;
}

void StackPool::reset() {
  free_.clear();
  for (auto it = all_.rbegin(); it != all_.rend(); ++it) free_.push_back(it->get());
}

const Stack* StackPool::guarded(const void* address) const {
  for (const auto& stack : all_)
    if (stack->guards(address)) return stack.get();
  return nullptr;
}

}  // namespace simt::detail
