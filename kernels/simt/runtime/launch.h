// One launch: what all host threads that run its blocks share.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/simt/runtime/report.h"
#include "kernels/simt/runtime/symbols.h"
#include "kernels/simt/simt.h"
#include "simt_shim/runtime_api.h"

namespace simt::detail {

struct Launch {
  const void* kernel = nullptr;
  void (*run_thread)(const void*) = nullptr;
  const void* arguments = nullptr;
  std::size_t argument_bytes = 0;
  std::string name;
  std::string_view symbol;  // mangled; empty where unknown
  const Module* module = nullptr;
  cuda::dim3 grid, block;
  unsigned threads = 0;  // of a block
  std::uint64_t blocks = 0;
  std::size_t dynamic_bytes = 0;
  std::vector<const SharedArray*> arrays;  // poisoned before each block
  Options options;
  bool counting = false;  // the kernel calls back for every access

  // Blocks are handed out by position; the permutation turns a position into a block.
  std::atomic<std::uint64_t> next{0};
  // Blocks behind the first that failed are not started, and what they found is dropped: so the
  // reports do not depend on the number of host threads.
  std::atomic<std::uint64_t> stop{UINT64_MAX};
  std::uint64_t block_at(std::uint64_t position) const;
  std::vector<std::uint16_t> thread_order(std::uint64_t block) const;
  bool same_order_in_all_blocks() const { return options.order != Order::Random; }

  void add(Finding finding, bool ends_block);
  std::vector<Finding> take_findings();  // sorted, without those behind `stop`

 private:
  std::mutex mutex_;
  std::vector<Finding> findings_;
};

}  // namespace simt::detail
