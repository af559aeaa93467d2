#include "kernels/simt/runtime/copies.h"

#include <cstring>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

namespace {

void do_copy(Worker& worker, const Copy& copy) {
  const std::uint32_t read = copy.bytes - copy.zero_fill;
  if (read == 16) {  // the usual one without a call
    std::memcpy(copy.shared, copy.global, 16);
  } else {
    std::memcpy(copy.shared, copy.global, read);
    std::memset(static_cast<char*>(copy.shared) + read, 0, copy.zero_fill);
  }
  if (Observer* observer = worker.observer()) observer->copy_done(copy);
}

}  // namespace

void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t zero_fill,
                Site site) {
  Worker& worker = Worker::in_kernel();
  if ((bytes != 4 && bytes != 8 && bytes != 16) || zero_fill > bytes)
    worker.fail(Defect::Misaligned, &site, nullptr,
                "cp.async copies 4, 8 or 16 bytes, not " + std::to_string(bytes));
  const auto to = reinterpret_cast<std::uintptr_t>(shared);
  const auto from = reinterpret_cast<std::uintptr_t>(global);
  if (to % bytes != 0 || from % bytes != 0)
    worker.fail(Defect::Misaligned, &site, nullptr,
                "cp.async of " + std::to_string(bytes) + " bytes " + (to % bytes ? "to" : "from") +
                    " an address that is no multiple of that");
  const std::size_t read = bytes - zero_fill;
  if (read > 0 && Arena::get().contains(from) && !Arena::get().valid(from, read))
    worker.fail(
        Defect::GlobalBounds, &site, nullptr,
        "cp.async of " + std::to_string(read) + " bytes from " + Arena::get().describe(from));
  if (!worker.is_shared(shared, bytes))
    worker.fail(Defect::SharedBounds, &site, nullptr,
                "cp.async of " + std::to_string(bytes) + " bytes to an address outside every " +
                    "shared array");
  const Copy copy{shared, global, static_cast<std::uint32_t>(bytes),
                  static_cast<std::uint32_t>(zero_fill), site};
  if (Observer* observer = worker.observer())
    observer->copy_issued(copy, __builtin_return_address(0));
  if (worker.launch().options.eager_copies) {
    do_copy(worker, copy);
  } else {
    worker.current().copies.add(copy);
  }
}

void copy_commit() { Worker::in_kernel().current().copies.commit(); }

void copy_wait_prior(unsigned groups) {
  Worker& worker = Worker::in_kernel();
  worker.current().copies.wait_prior(groups, [&](const Copy& copy) { do_copy(worker, copy); });
}

}  // namespace simt::detail
