#include <sys/mman.h>

#include <cstring>
#include <new>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

namespace {
constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlign = 128;
constexpr std::size_t kMost = 227 * 1024;
constexpr std::size_t kMargin = 256;  // looked at before the beginning
constexpr unsigned char kCanary = 0xA5;
constexpr std::size_t kBody = (kMost + kAlign + kMargin + kPage - 1) / kPage * kPage;
}  // namespace

DynamicShared::DynamicShared() : mapped_(kBody + 2 * kPage) {
  void* p = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<char*>(p);
  end_ = mapping_ + kPage + kBody;
  if (mprotect(mapping_ + kPage, kBody, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  begin_ = end_;
}

DynamicShared::~DynamicShared() { munmap(mapping_, mapped_); }

void DynamicShared::resize(std::size_t bytes) {
  bytes_ = bytes;
  begin_ = end_ - (bytes + kAlign - 1) / kAlign * kAlign;
  std::memset(begin_ - kMargin, kCanary, kMargin);
  std::memset(begin_ + bytes_, kCanary, static_cast<std::size_t>(end_ - (begin_ + bytes_)));
}

bool DynamicShared::guards(const void* address) const {
  return address >= mapping_ && address < mapping_ + mapped_;
}

void DynamicShared::poison(bool on) {
  if (on) fill_poison(begin_, bytes_);
}

bool DynamicShared::intact() const {
  if (bytes_ == 0) return true;
  for (const char* p = begin_ - kMargin; p < begin_; ++p)
    if (static_cast<unsigned char>(*p) != kCanary) return false;
  for (const char* p = begin_ + bytes_; p < end_; ++p)
    if (static_cast<unsigned char>(*p) != kCanary) return false;
  return true;
}

}  // namespace simt::detail
