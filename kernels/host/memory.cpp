// Memory and streams of the back ends that run on the host: everything happens at once, so a
// stream is a null handle and waiting is free. An event is the time at which it was recorded.
#include <sys/mman.h>
#include <time.h>

#include <cstdlib>
#include <cstring>

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

// Large blocks are aligned for huge pages and ask for them: one page fault per 2 MB, not per 4 KB.
void* memory_alloc(std::size_t bytes) {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  const std::size_t alignment = bytes >= 2 * huge_page ? huge_page : 64;
  const std::size_t rounded = (bytes + 63) / 64 * 64;
  void* block = nullptr;
  if (posix_memalign(&block, alignment, rounded) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (alignment == huge_page) madvise(block, rounded / huge_page * huge_page, MADV_HUGEPAGE);
#endif
  return block;
}
void memory_free(void* p) { std::free(p); }
void memory_copy(Stream, void* dst, const void* src, std::size_t bytes, CopyKind) {
  if (bytes) std::memcpy(dst, src, bytes);
}
void memory_zero(Stream, void* dst, std::size_t bytes) {
  if (bytes) std::memset(dst, 0, bytes);
}
void* host_alloc(std::size_t bytes) { return memory_alloc(bytes); }
void host_free(void* p) { memory_free(p); }
int device_count() { return 1; }
const char* device_name(int) { return "the processor"; }
const char* device_problem(int index) { return index == 0 ? "" : "there is one only"; }
void device_select(int) {}
Stream stream_create() { return {}; }
void stream_destroy(Stream) {}
void stream_synchronize(Stream) {}
Event event_create() { return {std::calloc(1, sizeof(timespec))}; }
void event_destroy(Event e) { std::free(e.handle); }
void event_record(Event e, Stream) {
  clock_gettime(CLOCK_MONOTONIC, static_cast<timespec*>(e.handle));
}
void event_wait(Stream, Event) {}
void event_synchronize(Event) {}
double event_elapsed(Event from, Event to) {
  const auto* a = static_cast<const timespec*>(from.handle);
  const auto* b = static_cast<const timespec*>(to.handle);
  return static_cast<double>(b->tv_sec - a->tv_sec) * 1e3 +
         static_cast<double>(b->tv_nsec - a->tv_nsec) * 1e-6;
}
void range_push(const char*) {}
void range_pop() {}

}  // namespace etude::ETUDE_BACKEND
