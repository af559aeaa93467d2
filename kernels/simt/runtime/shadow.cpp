#include "kernels/simt/runtime/shadow.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/simt/runtime/lines.h"

namespace simt::detail {

void Shadow::Cells::resize(std::size_t wanted) {
  if (wanted <= count) return;
  free();
  void* p = mmap(nullptr, wanted * sizeof(Cell), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  cells = static_cast<Cell*>(p);
  count = wanted;
}

void Shadow::Cells::free() {
  if (cells) munmap(cells, count * sizeof(Cell));
  cells = nullptr;
  count = 0;
}

Shadow::~Shadow() {
  static_.free();
  dynamic_.free();
}

void Shadow::begin_launch(const Launch& launch) {
  bias_ = launch.module ? launch.module->bias : 0;
  static_.resize(launch.module ? launch.module->tls_bytes : 0);
  dynamic_.resize(static_cast<std::size_t>(worker_.dynamic().high() - worker_.dynamic().low()));
  clock_.resize(launch.threads);
  seen_.resize(std::size_t{launch.threads} * kWarp);
  told_.clear();
}

// Stamps of earlier blocks are smaller than this block's first epoch: nothing has to be cleared.
void Shadow::begin_block() {
  first_epoch_ = ++epoch_;
  std::ranges::fill(clock_, 1u);
  std::ranges::fill(seen_, 0u);
  doubtful_.address = nullptr;
}

void Shadow::block_barrier() {
  settle();
  ++epoch_;
}

void Shadow::lanes_synced(unsigned warp, std::uint32_t lanes) {
  std::uint32_t joined[kWarp] = {};
  const auto each = [&](auto&& visit) {
    for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
      const auto lane = static_cast<unsigned>(__builtin_ctz(rest));
      visit(lane, warp * kWarp + lane);
    }
  };
  each([&](unsigned lane, unsigned thread) {
    for (unsigned l = 0; l < kWarp; ++l)
      joined[l] = std::max(joined[l], seen_[std::size_t{thread} * kWarp + l]);
    joined[lane] = std::max(joined[lane], clock_[thread]);
  });
  each([&](unsigned, unsigned thread) {
    std::copy_n(joined, kWarp, &seen_[std::size_t{thread} * kWarp]);
    ++clock_[thread];
  });
}

bool Shadow::ordered_after(unsigned earlier, std::uint32_t epoch, std::uint32_t clock) const {
  const unsigned now = worker_.thread();
  if (epoch < epoch_ || earlier == now) return true;
  return earlier / kWarp == now / kWarp &&
         clock <= seen_[std::size_t{now} * kWarp + earlier % kWarp];
}

std::uint32_t Shadow::offset(const void* pc) const {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(pc) - bias_);
}

std::string Shadow::place(std::uint32_t offset) const {
  const void* pc = reinterpret_cast<const void*>(bias_ + offset);
  const Line line = lines_of(std::span(&pc, 1))[0];
  return line.line ? " at " + line.file + ":" + std::to_string(line.line) : "";
}

void Shadow::tell(Defect defect, unsigned thread, const void* pc, std::uint32_t other_pc,
                  const std::string& before, const std::string& after) {
  if (!told_.emplace(defect, pc, other_pc).second) return;
  worker_.note(thread, defect, nullptr, pc, before + (other_pc ? place(other_pc) : "") + after);
}

void Shadow::settle() {
  auto& d = doubtful_;
  if (!d.address) return;
  const bool changed = std::memcmp(d.address, d.old, d.bytes) != 0;
  d.address = nullptr;
  if (changed)
    tell(Defect::SharedRace, d.thread, d.pc, d.other_pc,
         "writes over what thread " + worker_.thread_text(d.other) + " wrote",
         ", with no barrier between");
}

void Shadow::check_pending(const Cell& cell, const void* pc, const char* what) {
  tell(Defect::PendingCopy, worker_.thread(), pc, cell.write_pc,
       std::string(what) + " where a cp.async that thread " + worker_.thread_text(cell.writer) +
           " issued",
       " has not been waited for");
}

// Reads that this write may overtake.
bool Shadow::check_readers(const Cell& cell, const void* pc, const char* what) {
  if (cell.read_epoch != epoch_) return true;
  unsigned reader = worker_.thread();
  for (std::uint32_t rest = cell.read_lanes; rest; rest &= rest - 1) {
    const unsigned r = cell.read_warp * kWarp + static_cast<unsigned>(__builtin_ctz(rest));
    if (!ordered_after(r, epoch_, cell.read_clock)) reader = r;
  }
  if (cell.other_read && cell.other_reader / kWarp != worker_.warp()) reader = cell.other_reader;
  if (reader == worker_.thread()) return true;
  tell(Defect::SharedRace, worker_.thread(), pc, cell.read_pc,
       std::string(what) + " what thread " + worker_.thread_text(reader) + " reads",
       ", with no barrier between");
  return false;
}

void Shadow::read(Cell& cell, const void* pc) {
  const auto warp = static_cast<std::uint16_t>(worker_.warp());
  const std::uint32_t clock = clock_[worker_.thread()], bit = 1u << worker_.lane();
  if (cell.read_epoch != epoch_) {
    cell.read_epoch = epoch_;
    cell.other_read = false;
  } else if (cell.read_warp != warp) {
    cell.other_read = true;
    cell.other_reader = static_cast<std::uint16_t>(
        cell.read_warp * kWarp + static_cast<unsigned>(__builtin_ctz(cell.read_lanes)));
  } else if (cell.read_clock == clock) {
    cell.read_lanes |= bit;
    return;
  }
  cell.read_warp = warp;
  cell.read_clock = clock;
  cell.read_lanes = bit;
  cell.read_pc = offset(pc);
}

void Shadow::access(Region region, std::size_t at, const void* address, std::size_t bytes,
                    Access access, const void* pc) {
  settle();
  Cell* const first = cells(region, at);
  const unsigned self = worker_.thread();
  const bool atomic = access == Access::Atomic;
  bool fine = true;  // tell of one byte only
  for (std::size_t i = 0; i < bytes && fine; ++i) {
    Cell& cell = first[i];
    const bool written = cell.write_epoch >= first_epoch_;
    if (cell.pending >= first_epoch_) {
      check_pending(cell, pc, access == Access::Load ? "reads" : "writes");
      fine = false;
    } else if (access != Access::Store && !written) {
      tell(Defect::Uninitialised, self, pc, 0,
           "reads " + std::to_string(bytes) + " bytes that no thread of this block has written",
           "");
      fine = false;
    } else if (written && !ordered_after(cell.writer, cell.write_epoch, cell.write_clock) &&
               !(atomic && cell.atomic)) {
      if (access == Access::Load) {
        tell(Defect::SharedRace, self, pc, cell.write_pc,
             "reads what thread " + worker_.thread_text(cell.writer) + " wrote",
             ", with no barrier between");
      } else if (!doubtful_.address && bytes <= sizeof doubtful_.old) {
        doubtful_.address = address;
        doubtful_.bytes = bytes;
        std::memcpy(doubtful_.old, address, bytes);
        doubtful_.pc = pc;
        doubtful_.thread = self;
        doubtful_.other = cell.writer;
        doubtful_.other_pc = cell.write_pc;
      }
      fine = false;
    } else if (access != Access::Load) {
      fine = check_readers(cell, pc, "writes");
    }
  }
  for (std::size_t i = 0; i < bytes; ++i) {
    Cell& cell = first[i];
    if (access == Access::Load) {
      read(cell, pc);
      continue;
    }
    cell.write_epoch = epoch_;
    cell.write_clock = clock_[self];
    cell.writer = static_cast<std::uint16_t>(self);
    cell.write_pc = offset(pc);
    cell.atomic = atomic;
  }
}

// From now until it is waited for, the copy may write at any time.
void Shadow::copy_issued(Region region, std::size_t at, const void* address, std::size_t bytes,
                         const void* pc) {
  access(region, at, address, bytes, Access::Store, pc);
  doubtful_.address = nullptr;
  for (std::size_t i = 0; i < bytes; ++i) cells(region, at)[i].pending = epoch_;
}

void Shadow::copy_done(Region region, std::size_t at, std::size_t bytes) {
  settle();
  Cell* const first = cells(region, at);
  for (std::size_t i = 0; i < bytes; ++i) {
    first[i].pending = 0;
    first[i].write_epoch = epoch_;
    first[i].write_clock = clock_[worker_.thread()];
    first[i].writer = static_cast<std::uint16_t>(worker_.thread());
  }
}

}  // namespace simt::detail
