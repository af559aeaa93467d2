#include "kernels/simt/runtime/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "kernels/simt/runtime/fault.h"
#include "kernels/simt/simt.h"

namespace simt::detail {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlign = 256;
constexpr std::size_t kLeft = 256;  // bytes of red zone looked at before an allocation
constexpr unsigned char kCanary = 0xA5;
constexpr std::uint32_t kMaxAllocations = 1u << 24;

constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

void* reserve(std::size_t bytes, int protection) {
  void* p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

void protect_from_asan([[maybe_unused]] std::uintptr_t begin, [[maybe_unused]] std::uintptr_t end) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(reinterpret_cast<void*>(begin), end - begin);
#endif
}
void show_to_asan([[maybe_unused]] std::uintptr_t begin, [[maybe_unused]] std::uintptr_t end) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void*>(begin), end - begin);
#endif
}

}  // namespace

void fill_poison(void* to, std::size_t bytes) {
  auto* p = static_cast<unsigned char*>(to);
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t pattern;
  std::memset(&pattern, 0, sizeof pattern);
  for (int i = 0; i < 4; ++i) pattern |= std::uint64_t{kPoison} << (16 * i);
  // The pattern's phase follows the address, so that every aligned value reads the same.
  while (bytes > 0 && reinterpret_cast<std::uintptr_t>(p) % 8 != 0) {
    *p = static_cast<unsigned char>(pattern >> (8 * (reinterpret_cast<std::uintptr_t>(p) % 8)));
    ++p, --bytes;
  }
  for (; bytes >= 8; p += 8, bytes -= 8) std::memcpy(p, &pattern, 8);
  std::memcpy(p, &pattern, bytes);
}

Arena& Arena::get() {
  static auto* const arena = new Arena;  // leaked: handlers may ask for it at exit
  return *arena;
}

Arena::Arena() {
  const auto pages = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES));
  total_ = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) / 4 * 3;
  // As many addresses as the system lets us have: 256 GiB without limits.
  for (bytes_ = std::size_t{1} << 38; bytes_ >= (std::size_t{1} << 28); bytes_ /= 2)
    if (void* p = reserve(bytes_, PROT_NONE)) {
      base_ = reinterpret_cast<std::uintptr_t>(p);
      break;
    }
  page_owner_ = static_cast<std::uint32_t*>(
      reserve(bytes_ / kPage * sizeof(std::uint32_t), PROT_READ | PROT_WRITE));
  allocations_ = static_cast<Allocation*>(
      reserve(kMaxAllocations * sizeof(Allocation), PROT_READ | PROT_WRITE));
  if (base_ == 0 || !page_owner_ || !allocations_) throw std::bad_alloc();
  next_ = base_ + kPage;  // the page before the first allocation
}

std::uintptr_t Arena::take_range(std::size_t bytes) {
  if (bytes <= base_ + bytes_ - next_) return std::exchange(next_, next_ + bytes);
  for (auto it = free_ranges_.begin(); it != free_ranges_.end(); ++it) {
    const auto [begin, end] = *it;
    if (end - begin < bytes) continue;
    free_ranges_.erase(it);
    if (end - begin > bytes) free_ranges_[begin + bytes] = end;
    return begin;
  }
  return 0;
}

void* Arena::allocate(std::size_t bytes, bool poison, bool managed) {
  const std::lock_guard lock(mutex_);
  if (bytes > total_ - used_ || count_ == kMaxAllocations) return nullptr;
  const std::size_t body = round_up(std::max<std::size_t>(bytes, 1), kAlign);
  const std::size_t pages = round_up(body + kLeft, kPage);
  const std::uintptr_t region = take_range(pages + kPage);  // and the page behind
  if (region == 0) return nullptr;
  if (mprotect(reinterpret_cast<void*>(region), pages, PROT_READ | PROT_WRITE) != 0) {
    free_ranges_[region] = region + pages + kPage;
    return nullptr;
  }
  const std::uint32_t index = count_++;
  Allocation& a = allocations_[index];
  a = {region + pages - body,
       region + pages - body + bytes,
       region,
       region + pages,
       true,
       managed,
       false};
  opened_.push_back(index);
  show_to_asan(a.region, a.region_end);
  std::memset(reinterpret_cast<void*>(a.begin - kLeft), kCanary, kLeft);
  std::memset(reinterpret_cast<void*>(a.end), kCanary, a.region_end - a.end);
  if (poison) fill_poison(reinterpret_cast<void*>(a.begin), bytes);
  protect_from_asan(a.region, a.begin);
  protect_from_asan(a.end, a.region_end);
  for (std::uintptr_t page = region; page < region + pages + kPage; page += kPage)
    page_owner_[(page - base_) / kPage] = index;
  live_[a.begin] = index;
  used_ += bytes;
  return reinterpret_cast<void*>(a.begin);
}

// The first byte of a red zone that does not hold the canary, or 0.
__attribute__((no_sanitize_address)) std::uintptr_t Arena::overwritten(const Allocation& a) const {
  for (std::uintptr_t at = a.begin - kLeft; at < a.begin; ++at)
    if (*reinterpret_cast<const unsigned char*>(at) != kCanary) return at;
  for (std::uintptr_t at = a.end; at < a.region_end; ++at)
    if (*reinterpret_cast<const unsigned char*>(at) != kCanary) return at;
  return 0;
}

void Arena::free_pages(Allocation& a) {
  a.live = a.closed = false;
  used_ -= a.end - a.begin;
  show_to_asan(a.region, a.region_end);
  void* const p = reinterpret_cast<void*>(a.region);
  const std::size_t bytes = a.region_end - a.region;
  // Gives the pages back and makes them inaccessible.
  if (mmap(p, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
      MAP_FAILED)
    throw std::bad_alloc();
  auto it = free_ranges_.emplace(a.region, a.region_end + kPage).first;
  if (const auto after = std::next(it); after != free_ranges_.end() && after->first == it->second) {
    it->second = after->second;
    free_ranges_.erase(after);
  }
  if (it != free_ranges_.begin())
    if (const auto before = std::prev(it); before->second == it->first) {
      before->second = it->second;
      free_ranges_.erase(it);
    }
}

Arena::Freed Arena::release(void* pointer) {
  const std::lock_guard lock(mutex_);
  const auto it = live_.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (it == live_.end()) return Freed::Unknown;
  Allocation& a = allocations_[it->second];
  const bool hurt = overwritten(a) != 0;
  live_.erase(it);
  free_pages(a);
  return hurt ? Freed::Overwritten : Freed::Ok;
}

void Arena::release_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& [begin, index] : live_) free_pages(allocations_[index]);
  live_.clear();
}

std::size_t Arena::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

const Allocation* Arena::find(std::uintptr_t address) const {
  if (!contains(address)) return nullptr;
  const std::uint32_t index = page_owner_[(address - base_) / kPage];
  return index ? &allocations_[index] : nullptr;
}

std::string Arena::describe(std::uintptr_t address) const {
  const Allocation* a = find(address);
  if (!a) return "device memory that was never allocated";
  const std::string what = (a->live ? "an allocation of " : "a freed allocation of ") +
                           std::to_string(a->end - a->begin) + " bytes";
  if (address < a->begin) return std::to_string(a->begin - address) + " bytes before " + what;
  if (address >= a->end) return std::to_string(address - a->end) + " bytes behind " + what;
  return "byte " + std::to_string(address - a->begin) + " of " + what;
}

std::string Arena::check_red_zones() {
  const std::lock_guard lock(mutex_);
  std::string found;
  for (const auto& [begin, index] : live_) {
    const Allocation& a = allocations_[index];
    if (a.closed) continue;  // nobody has touched it
    const std::uintptr_t at = overwritten(a);
    if (at == 0) continue;
    if (found.empty()) found = describe(at);
    show_to_asan(a.region, a.region_end);
    std::memset(reinterpret_cast<void*>(a.begin - kLeft), kCanary, kLeft);
    std::memset(reinterpret_cast<void*>(a.end), kCanary, a.region_end - a.end);
    protect_from_asan(a.region, a.begin);
    protect_from_asan(a.end, a.region_end);
  }
  return found;
}

void Arena::enter() {
  const std::lock_guard lock(mutex_);
  ++inside_;
}

bool Arena::set_closed(Allocation& a, bool closed) {
  closed = closed && a.live && !a.managed;
  if (a.closed == closed) return true;
  a.closed = closed;
  return mprotect(reinterpret_cast<void*>(a.region), a.region_end - a.region,
                  closed ? PROT_NONE : PROT_READ | PROT_WRITE) == 0;
}

void Arena::leave(bool guard) {
  const std::lock_guard lock(mutex_);
  if (--inside_ > 0) return;
  if (guard != guarding_) {
    for (const auto& [begin, index] : live_) set_closed(allocations_[index], guard);
  } else if (guard) {
    for (const std::uint32_t index : opened_) set_closed(allocations_[index], true);
  }
  opened_.clear();
  guarding_ = guard;
  if (guard) watch_host();
}

// Two threads of a kernel may come here for the same allocation: to the second it is open already.
bool Arena::open(std::uintptr_t address) {
  const std::lock_guard lock(mutex_);
  const Allocation* found = find(address);
  if (!found || !found->live || address < found->region || address >= found->region_end)
    return false;
  const auto index = static_cast<std::uint32_t>(found - allocations_);
  if (found->closed) opened_.push_back(index);
  return set_closed(allocations_[index], false);
}

DeviceAccess::DeviceAccess(std::initializer_list<const void*> pointers) {
  Arena::get().enter();
  for (const void* p : pointers) Arena::get().open(reinterpret_cast<std::uintptr_t>(p));
}
DeviceAccess::~DeviceAccess() { Arena::get().leave(options().guard_host); }

}  // namespace simt::detail
