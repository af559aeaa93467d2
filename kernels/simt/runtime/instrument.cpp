// Where kernels of the counting build call back. They are compiled with -fsanitize=thread and
// -fsanitize-coverage=trace-pc but linked without the sanitizers' libraries: the functions that
// those would supply are here, and turn every access and every basic block into a check and an
// event. Linked only into programs that have such kernels, which need __tsan_init().
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/counter.h"
#include "kernels/simt/runtime/pinned.h"
#include "kernels/simt/runtime/profile.h"
#include "kernels/simt/runtime/shadow.h"
#include "kernels/simt/runtime/worker.h"
#include "simt_shim/atomic.h"
#include "simt_shim/builtins.h"

namespace simt::detail {

namespace {

class Instrument final : public Observer {
 public:
  explicit Instrument(Worker& worker) : worker_(worker), shadow_(worker), counter_(worker) {}

  void begin_launch(const Launch& launch) override;
  void begin_block() override;
  void end_block() override { shadow_.settle(); }
  void block_barrier() override;
  void lanes_met(unsigned warp, std::uint32_t lanes, bool orders_memory) override;
  void thread_ended(unsigned thread) override;
  void access(const void* address, std::size_t bytes, Access access, const void* pc) override;
  void copy_issued(const Copy& copy, const void* pc) override;
  void copy_done(const Copy& copy) override;
  void end_launch() override;

  void basic_block(const void* pc) {
    if (counting_) counter_.add(EventKind::Block, 0, 0, pc);
  }
  void whole_or_parts(const void* address, std::size_t bytes, Access access, const void* pc);

 private:
  struct Shared {
    Shadow::Region region;
    std::size_t at;
  };
  // Fails the block where the access is wrong. True if it is one of shared memory.
  bool find_shared(const void* address, std::size_t bytes, Access access, const void* pc,
                   Shared& found);
  void check_global(std::uintptr_t address, std::size_t bytes, Access access, const void* pc);
  void check_other(std::uintptr_t address, Access access, const void* pc);
  void check_alignment(const void* address, std::size_t bytes, Access access, const void* pc);

  Worker& worker_;
  Shadow shadow_;
  Counter counter_;
  bool counting_ = false, checking_ = true;
  const Module* module_ = nullptr;  // of the kernel
  const char *tls_ = nullptr, *tls_end_ = nullptr;
  const Module* own_module_ = nullptr;  // of this library: threadIdx lies in its storage
  const char *own_tls_ = nullptr, *own_tls_end_ = nullptr;
};

const char* verb(Access access) {
  return access == Access::Load ? "read of " : access == Access::Store ? "write of " : "atomic on ";
}

void Instrument::begin_launch(const Launch& launch) {
  counting_ = profiling();
  checking_ = launch.options.checks;
  module_ = launch.module;
  tls_ = module_ ? module_->tls() : nullptr;
  tls_end_ = tls_ ? tls_ + module_->tls_bytes : nullptr;
  own_module_ = module_of(reinterpret_cast<const void*>(&launch_finished));
  own_tls_ = own_module_ ? own_module_->tls() : nullptr;
  own_tls_end_ = own_tls_ ? own_tls_ + own_module_->tls_bytes : nullptr;
  shadow_.begin_launch(launch);
  counter_.begin_launch(launch);
}

void Instrument::begin_block() {
  shadow_.begin_block();
  counter_.begin_block();
}

void Instrument::block_barrier() {
  shadow_.block_barrier();
  if (counting_) counter_.block_barrier();
}

void Instrument::lanes_met(unsigned warp, std::uint32_t lanes, bool orders_memory) {
  shadow_.settle();
  if (orders_memory) shadow_.lanes_synced(warp, lanes);
  if (counting_) counter_.lanes_met(warp, lanes);
}

void Instrument::thread_ended(unsigned thread) {
  shadow_.settle();
  if (counting_) counter_.thread_ended(thread);
}

void Instrument::end_launch() {
  if (counting_) add_counts(counter_.take());
}

void Instrument::check_alignment(const void* address, std::size_t bytes, Access access,
                                 const void* pc) {
  if (!std::has_single_bit(bytes) || reinterpret_cast<std::uintptr_t>(address) % bytes == 0) return;
  worker_.fail(
      Defect::Misaligned, nullptr, pc,
      verb(access) + std::to_string(bytes) + " bytes at an address that is no multiple of that");
}

void Instrument::check_global(std::uintptr_t address, std::size_t bytes, Access access,
                              const void* pc) {
  if (!Arena::get().valid(address, bytes))
    worker_.fail(
        Defect::GlobalBounds, nullptr, pc,
        verb(access) + std::to_string(bytes) + " bytes, " +
            Arena::get().describe(address + (Arena::get().valid(address, 1) ? bytes - 1 : 0)));
}

bool Instrument::find_shared(const void* address, std::size_t bytes, Access access, const void* pc,
                             Shared& found) {
  const auto* p = static_cast<const char*>(address);
  const DynamicShared& dynamic = worker_.dynamic();
  if (p >= dynamic.low() && p < dynamic.high()) {
    if (checking_ && !worker_.is_shared(address, bytes))
      worker_.fail(Defect::SharedBounds, nullptr, pc,
                   verb(access) + std::to_string(bytes) + " bytes, " +
                       std::to_string(p - dynamic.begin()) + " from the beginning of the block's " +
                       std::to_string(dynamic.bytes()) + " bytes of dynamic shared memory");
    found = {Shadow::Region::Dynamic, static_cast<std::size_t>(p - dynamic.low())};
    return true;
  }
  if (p < tls_ || p >= tls_end_) return false;
  const auto offset = static_cast<std::size_t>(p - tls_);
  const SharedArray* array = module_->array_at(offset);
  if (array) {
    if (checking_ && offset + bytes > array->offset + array->bytes)
      worker_.fail(
          Defect::SharedBounds, nullptr, pc,
          verb(access) + std::to_string(bytes) + " bytes across the end of " + array_name(*array));
    found = {Shadow::Region::Static, offset};
    return true;
  }
  // threadIdx and the like are thread-local too; what no variable owns is next to an array.
  const auto it =
      std::ranges::upper_bound(module_->other_tls, offset, {}, &Module::Variable::offset);
  if (it != module_->other_tls.begin() && offset < std::prev(it)->offset + std::prev(it)->bytes)
    return false;
  if (checking_ && !module_->arrays.empty())
    worker_.fail(Defect::SharedBounds, nullptr, pc,
                 verb(access) + std::to_string(bytes) + " bytes next to a shared array");
  return false;
}

void Instrument::check_other(std::uintptr_t address, Access access, const void* pc) {
  const auto* p = reinterpret_cast<const char*>(address);
  const Stack& stack = *worker_.current().stack;
  if (p >= stack.low() && p < stack.low() + stack.bytes()) return;  // local variables
  if ((p >= tls_ && p < tls_end_) || (p >= own_tls_ && p < own_tls_end_)) return;
  const auto* arguments = static_cast<const char*>(worker_.launch().arguments);
  if (p >= arguments && p < arguments + worker_.launch().argument_bytes) return;
  if ((module_ && module_->contains(address)) || is_pinned(address)) return;  // __constant__ ...
  if (module_of(p)) return;
  char text[32];
  std::snprintf(text, sizeof text, "%p", static_cast<const void*>(p));
  worker_.fail(
      Defect::GlobalBounds, nullptr, pc,
      verb(access) + std::string("address ") + text + ", which is host memory or none at all");
}

void Instrument::access(const void* address, std::size_t bytes, Access access, const void* pc) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  static constexpr EventKind kGlobal[] = {EventKind::GlobalLoad, EventKind::GlobalStore,
                                          EventKind::GlobalAtomic};
  static constexpr EventKind kShared[] = {EventKind::SharedLoad, EventKind::SharedStore,
                                          EventKind::SharedAtomic};
  shadow_.settle();
  if (Arena::get().contains(value)) {
    if (checking_) check_alignment(address, bytes, access, pc);
    if (checking_) check_global(value, bytes, access, pc);
    if (counting_) counter_.add(kGlobal[static_cast<int>(access)], value, bytes, pc);
    return;
  }
  Shared shared;
  if (find_shared(address, bytes, access, pc, shared)) {
    if (checking_) check_alignment(address, bytes, access, pc);
    if (checking_) shadow_.access(shared.region, shared.at, address, bytes, access, pc);
    if (counting_) counter_.add(kShared[static_cast<int>(access)], value, bytes, pc);
    return;
  }
  if (checking_) check_other(value, access, pc);
}

// A struct that no single instruction moves: as 16 bytes at a time, or as its alignment allows.
void Instrument::whole_or_parts(const void* address, std::size_t bytes, Access kind,
                                const void* pc) {
  const auto* p = static_cast<const char*>(address);
  while (bytes > 0) {
    const auto value = reinterpret_cast<std::uintptr_t>(p);
    std::size_t part = 16;
    while (part > bytes || value % part != 0) part /= 2;
    access(p, part, kind, pc);
    p += part;
    bytes -= part;
  }
}

void Instrument::copy_issued(const Copy& copy, const void* pc) {
  shadow_.settle();
  const std::size_t read = copy.bytes - copy.zero_fill;
  const auto from = reinterpret_cast<std::uintptr_t>(copy.global);
  if (read > 0 && checking_ && !Arena::get().contains(from)) check_other(from, Access::Load, pc);
  if (read > 0 && counting_) counter_.add(EventKind::GlobalLoad, from, read, pc);
  Shared shared;
  if (!find_shared(copy.shared, copy.bytes, Access::Store, pc, shared)) return;
  if (counting_)
    counter_.add(EventKind::SharedStore, reinterpret_cast<std::uintptr_t>(copy.shared), copy.bytes,
                 pc);
  if (checking_) shadow_.copy_issued(shared.region, shared.at, copy.shared, copy.bytes, pc);
}

void Instrument::copy_done(const Copy& copy) {
  Shared shared;
  if (checking_ && find_shared(copy.shared, copy.bytes, Access::Store, nullptr, shared))
    shadow_.copy_done(shared.region, shared.at, copy.bytes);
}

Instrument* running() {
  Worker* const worker = Worker::running();
  return worker ? static_cast<Instrument*>(worker->observer()) : nullptr;
}

}  // namespace

void on_atomic(const void* address, std::size_t bytes, const void* pc) {
  if (Instrument* const i = running()) i->access(address, bytes, Access::Atomic, pc);
}

}  // namespace simt::detail

// ---- the sanitizers' names
// -----------------------------------------------------------------------
//
// As names for the linker only: a compiler that builds this file with sanitizers declares these
// functions itself, with types of its own.

namespace simt::detail {

void tsan_init() __asm__("__tsan_init");
void tsan_init() {
  make_observer = [](Worker& worker) { return std::unique_ptr<Observer>(new Instrument(worker)); };
  launch_finished = close_launch;
}

#define SIMT_CALLBACK(name, bytes, kind)                                                         \
  void tsan_##name(void* address) __asm__("__tsan_" #name);                                      \
  void tsan_##name(void* address) {                                                              \
    if (auto* const i = running()) i->access(address, bytes, kind, __builtin_return_address(0)); \
  }
#define SIMT_CALLBACKS(bytes)                                 \
  SIMT_CALLBACK(read##bytes, bytes, Access::Load)             \
  SIMT_CALLBACK(write##bytes, bytes, Access::Store)           \
  SIMT_CALLBACK(unaligned_read##bytes, bytes, Access::Load)   \
  SIMT_CALLBACK(unaligned_write##bytes, bytes, Access::Store) \
  SIMT_CALLBACK(volatile_read##bytes, bytes, Access::Load)    \
  SIMT_CALLBACK(volatile_write##bytes, bytes, Access::Store)
SIMT_CALLBACKS(1)
SIMT_CALLBACKS(2)
SIMT_CALLBACKS(4)
SIMT_CALLBACKS(8)
SIMT_CALLBACKS(16)
#undef SIMT_CALLBACKS
#undef SIMT_CALLBACK

void tsan_read_range(void* address, std::size_t bytes) __asm__("__tsan_read_range");
void tsan_read_range(void* address, std::size_t bytes) {
  if (auto* const i = running())
    i->whole_or_parts(address, bytes, Access::Load, __builtin_return_address(0));
}
void tsan_write_range(void* address, std::size_t bytes) __asm__("__tsan_write_range");
void tsan_write_range(void* address, std::size_t bytes) {
  if (auto* const i = running())
    i->whole_or_parts(address, bytes, Access::Store, __builtin_return_address(0));
}
void tsan_func_entry(void*) __asm__("__tsan_func_entry");
void tsan_func_entry(void*) {}
void tsan_func_exit(void*) __asm__("__tsan_func_exit");
void tsan_func_exit(void*) {}
void tsan_vptr_update(void**, void*) __asm__("__tsan_vptr_update");
void tsan_vptr_update(void**, void*) {}
void tsan_vptr_read(void**) __asm__("__tsan_vptr_read");
void tsan_vptr_read(void**) {}

void trace_pc() __asm__("__sanitizer_cov_trace_pc");
void trace_pc() {
  if (auto* const i = running()) i->basic_block(__builtin_return_address(0));
}

// -fsanitize=bounds: an index outside an array whose size the compiler knows. The layout is GCC's.
struct UbsanType {
  std::uint16_t kind, info;
  char name[1];
};
struct UbsanBounds {
  const char* file;
  std::uint32_t line, column;
  const UbsanType *array, *index;
};
void out_of_bounds(const UbsanBounds* data,
                   std::uintptr_t index) __asm__("__ubsan_handle_out_of_bounds");
void out_of_bounds(const UbsanBounds* data, std::uintptr_t index) {
  const std::string message = "index " + std::to_string(static_cast<std::intptr_t>(index)) +
                              " of an array " + data->array->name;
  const Site site{data->file, static_cast<int>(data->line)};
  if (Worker* const worker = Worker::running())
    worker->fail(Defect::SharedBounds, &site, nullptr, message);
  std::fprintf(stderr, "simt: %s:%d: %s\n", site.file, site.line, message.c_str());
}

// The compiler's own atomics, where kernels use them (guards of static variables do).
#define SIMT_ATOMIC(bits, result, name, expression, ...)                                   \
  result tsan_atomic##bits##_##name(__VA_ARGS__) __asm__("__tsan_atomic" #bits "_" #name); \
  result tsan_atomic##bits##_##name(__VA_ARGS__) {                                         \
    on_atomic(const_cast<const Word##bits*>(p), bits / 8, __builtin_return_address(0));    \
    return expression;                                                                     \
  }
#define SIMT_ATOMICS(bits)                                                                         \
  using Word##bits = std::uint##bits##_t;                                                          \
  SIMT_ATOMIC(bits, Word##bits, load, __atomic_load_n(p, __ATOMIC_SEQ_CST),                        \
              const volatile Word##bits* p, int)                                                   \
  SIMT_ATOMIC(bits, void, store, __atomic_store_n(p, v, __ATOMIC_SEQ_CST), volatile Word##bits* p, \
              Word##bits v, int)                                                                   \
  SIMT_ATOMIC(bits, Word##bits, exchange, __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST),             \
              volatile Word##bits* p, Word##bits v, int)                                           \
  SIMT_ATOMIC(bits, Word##bits, fetch_add, __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST),             \
              volatile Word##bits* p, Word##bits v, int)                                           \
  SIMT_ATOMIC(bits, bool, compare_exchange_strong,                                                 \
              __atomic_compare_exchange_n(p, seen, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST),  \
              volatile Word##bits* p, Word##bits* seen, Word##bits v, int, int)
SIMT_ATOMICS(8)
SIMT_ATOMICS(16)
SIMT_ATOMICS(32)
SIMT_ATOMICS(64)
#undef SIMT_ATOMICS
#undef SIMT_ATOMIC

}  // namespace simt::detail
