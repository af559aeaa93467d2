// cp.async: copies from global to shared memory that a thread starts now and waits for later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "simt_shim/detail.h"

namespace simt::detail {

struct Copy {
  void* shared;
  const void* global;
  std::uint32_t bytes, zero_fill;
  Site site;
};

// One thread's copies, by group. A copy is done when the group that it was committed to is waited
// for, which is as late as the hardware may do it: code that does not wait gets the old bytes.
class CopyQueue {
 public:
  void add(const Copy& copy) { copies_.push_back(copy); }
  void commit() { ends_.push_back(copies_.size()); }
  // Takes out what has to be done when all but the latest `groups` groups are waited for.
  template <class Do>
  void wait_prior(std::size_t groups, Do&& do_copy) {
    if (ends_.size() <= groups) return;
    const std::size_t waited = ends_.size() - groups;
    const std::size_t done = ends_[waited - 1];
    for (std::size_t i = 0; i < done; ++i) do_copy(copies_[i]);
    copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(done));
    ends_.erase(ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(waited));
    for (std::size_t& end : ends_) end -= done;
  }
  const std::vector<Copy>& pending() const { return copies_; }
  void clear() {
    copies_.clear();
    ends_.clear();
  }

 private:
  std::vector<Copy> copies_;
  std::vector<std::size_t> ends_;  // of groups, as indices into copies_
};

}  // namespace simt::detail
