// What the lanes of a warp do together: shuffles, votes, __syncwarp.
#include <cstdio>

#include "kernels/simt/runtime/worker.h"

namespace simt::detail {

namespace {
std::string hex(std::uint32_t mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}
}  // namespace

void Worker::meet(std::uint32_t mask, void* payload, Combine combine, const char* what, Site site) {
  const std::uint32_t bit = 1u << lane();
  if (!(mask & bit))
    fail(Defect::BadMask, &site, nullptr,
         std::string(what) + " with mask " + hex(mask) + ", which leaves out the calling lane " +
             std::to_string(lane()));
  Warp& warp = warps_[this->warp()];
  std::size_t index = warp.groups.size();
  for (std::size_t i = 0; i < warp.groups.size(); ++i) {
    const Group& g = warp.groups[i];
    if (g.mask == mask && g.combine == combine && same_place(g.site, site)) {
      index = i;
    } else if ((mask & g.arrived) && (g.mask & bit)) {
      // Each waits for the other.
      const unsigned other =
          this->warp() * kWarp + static_cast<unsigned>(__builtin_ctz(g.arrived & mask));
      fail(Defect::WarpDivergence, &site, nullptr,
           "the thread comes to " + std::string(what) + " with mask " + hex(mask) +
               ", but thread " + thread_text(other) + " waits for it in " + g.what + " with mask " +
               hex(g.mask) + " at " + to_string(g.site));
    }
  }
  if (index == warp.groups.size()) warp.groups.push_back({mask, 0, combine, what, site, {}});
  Group& group = warp.groups[index];
  group.payload[lane()] = payload;
  group.arrived |= bit;
  if (((group.arrived | warp.ended) & mask & warp.exists) == (mask & warp.exists)) {
    complete(warp, this->warp(), index);
    return;
  }
  Thread& self = current();
  self.waits = Waits::Lanes;
  self.mask = mask;
  self.what = what;
  self.site = site;
  suspend();
}

// All have come: the results are made, and everybody but the running thread becomes ready.
void Worker::complete(Warp& warp, unsigned warp_index, std::size_t index) {
  Group& group = warp.groups[index];
  if (group.combine) group.combine(group.arrived, group.payload);
  if (observer_) observer_->lanes_met(warp_index, group.arrived, group.combine == nullptr);
  for (std::uint32_t rest = group.arrived; rest; rest &= rest - 1) {
    const unsigned i = warp_index * kWarp + static_cast<unsigned>(__builtin_ctz(rest));
    threads_[i].waits = Waits::No;
    if (i != running_) push_ready(i);
  }
  if (index + 1 != warp.groups.size()) group = warp.groups.back();
  warp.groups.pop_back();
}

// A lane that ended is not waited for any more.
void Worker::complete_if_all_arrived(unsigned warp_index) {
  Warp& warp = warps_[warp_index];
  for (std::size_t i = warp.groups.size(); i-- > 0;) {
    const Group& g = warp.groups[i];
    if (((g.arrived | warp.ended) & g.mask & warp.exists) == (g.mask & warp.exists))
      complete(warp, warp_index, i);
  }
}

std::uint32_t Worker::active_mask(Site site) {
  Thread& self = current();
  self.waits = Waits::ActiveMask;
  self.what = "__activemask";
  self.site = site;
  resolve_active_masks(warp(), true);
  suspend();
  return self.result;
}

// Lanes that ask at the same place are active together.
void Worker::resolve_active_masks(unsigned warp_index, bool only_if_all) {
  const Warp& warp = warps_[warp_index];
  std::uint32_t asking = 0;
  for (std::uint32_t rest = warp.exists & ~warp.ended; rest; rest &= rest - 1) {
    const auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    const unsigned i = warp_index * kWarp + lane;
    if (threads_[i].waits == Waits::ActiveMask) asking |= 1u << lane;
  }
  if (!asking || (only_if_all && asking != (warp.exists & ~warp.ended))) return;
  while (asking) {
    const Site site =
        threads_[warp_index * kWarp + static_cast<unsigned>(__builtin_ctz(asking))].site;
    std::uint32_t together = 0;
    for (std::uint32_t rest = asking; rest; rest &= rest - 1) {
      const auto lane = static_cast<unsigned>(__builtin_ctz(rest));
      if (same_place(threads_[warp_index * kWarp + lane].site, site)) together |= 1u << lane;
    }
    if (observer_) observer_->lanes_met(warp_index, together, false);
    for (std::uint32_t rest = together; rest; rest &= rest - 1) {
      const unsigned i = warp_index * kWarp + static_cast<unsigned>(__builtin_ctz(rest));
      threads_[i].waits = Waits::No;
      threads_[i].result = together;
      push_ready(i);
    }
    asking &= ~together;
  }
}

void collective(std::uint32_t mask, void* payload, Combine combine, const char* what, Site site) {
  Worker::in_kernel().meet(mask, payload, combine, what, site);
}

std::uint32_t active_mask(Site site) { return Worker::in_kernel().active_mask(site); }

}  // namespace simt::detail
