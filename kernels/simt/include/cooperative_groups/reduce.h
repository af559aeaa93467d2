// cooperative_groups::reduce over tiles and coalesced groups, in the order of a butterfly.
#pragma once

#include "cooperative_groups.h"

namespace simt::cuda::cooperative_groups {

template <class T>
struct plus {
  T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct less {  // the smaller of the two
  T operator()(T a, T b) const { return b < a ? b : a; }
};
template <class T>
struct greater {
  T operator()(T a, T b) const { return a < b ? b : a; }
};
template <class T>
struct bit_and {
  T operator()(T a, T b) const { return a & b; }
};
template <class T>
struct bit_or {
  T operator()(T a, T b) const { return a | b; }
};
template <class T>
struct bit_xor {
  T operator()(T a, T b) const { return a ^ b; }
};

template <unsigned Size, class Parent, class T, class Operation>
T reduce(const thread_block_tile<Size, Parent>& tile, T value, Operation operation, SIMT_SITE) {
  for (unsigned offset = Size / 2; offset > 0; offset /= 2)
    value = operation(value, tile.shfl_xor(value, offset, site));
  return value;
}
template <class T, class Operation>
T reduce(const coalesced_group& group, T value, Operation operation, SIMT_SITE) {
  T result = group.shfl(value, 0, site);
  for (unsigned rank = 1; rank < group.size(); ++rank)
    result = operation(result, group.shfl(value, static_cast<int>(rank), site));
  return result;
}

}  // namespace simt::cuda::cooperative_groups
