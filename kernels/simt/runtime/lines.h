// From code addresses to source lines.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace simt::detail {

struct Line {
  std::string file;  // empty where unknown
  int line = 0;
  bool in_shim = false;  // within a shim's function that was inlined there
};

// The source lines of return addresses, as binutils' addr2line tells them, one call for all. Of
// inlined functions the innermost that is not one of ours or the standard library's counts: the
// kernel's line rather than the inside of atomicAdd(). Needs line tables (-g1).
std::vector<Line> lines_of(std::span<const void* const> return_addresses);

}  // namespace simt::detail
