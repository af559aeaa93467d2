#include "kernels/simt/runtime/worker.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "kernels/simt/runtime/arena.h"
#include "kernels/simt/runtime/fault.h"

namespace simt::cuda {
constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};
}  // namespace simt::cuda

namespace simt::detail {

constinit MakeObserver make_observer = nullptr;
constinit LaunchFinished launch_finished = nullptr;

namespace {
thread_local Worker* running_worker = nullptr;

Index3 index3(cuda::uint3 i) { return {i.x, i.y, i.z}; }
}  // namespace

bool same_place(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

std::string to_string(Site site) {
  return std::string(site.file) + ":" + std::to_string(site.line);
}

Worker::Worker()
    : signal_stack_(new char[SignalStack::kBytes]), fault_stack_(new char[kFaultStack]) {}

Worker& Worker::mine() {
  thread_local Worker worker;
  return worker;
}

Worker* Worker::running() { return running_worker; }

Worker& Worker::in_kernel() {
  if (running_worker) return *running_worker;
  std::fputs("simt: a device function was called outside a kernel\n", stderr);
  std::abort();
}

void Worker::run(Launch& launch) {
  const SignalStack signals(signal_stack_.get());
  set_up(launch);
  if (observer_) observer_->begin_launch(launch);
  for (;;) {
    const std::uint64_t position = launch.next.fetch_add(1);
    if (position >= launch.blocks || position > launch.stop.load()) break;
    run_block(position);
  }
  if (observer_) observer_->end_launch();
  launch_ = nullptr;
}

void Worker::set_up(Launch& launch) {
  launch_ = &launch;
  last_array_ = nullptr;
  count_ = launch.threads;
  const cuda::dim3 b = launch.block;
  if (threads_.size() < count_) threads_.resize(count_);
  if (shape_.x != b.x || shape_.y != b.y || shape_.z != b.z) {
    for (unsigned i = 0; i < count_; ++i)
      threads_[i].index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
    shape_ = b;
  }
  warps_.resize((count_ + kWarp - 1) / kWarp);
  for (unsigned w = 0; w < warps_.size(); ++w) {
    const unsigned lanes = std::min(kWarp, count_ - w * kWarp);
    warps_[w].exists = lanes == kWarp ? ~0u : (1u << lanes) - 1;
  }
  if (!stacks_ || stacks_->bytes() != launch.options.stack_bytes)
    stacks_ = std::make_unique<StackPool>(launch.options.stack_bytes);
  dynamic_.resize(launch.dynamic_bytes);
  arrays_.clear();
  char* const tls = launch.module ? launch.module->tls() : nullptr;
  tls_ = tls;
  for (const SharedArray* array : launch.arrays)
    arrays_.emplace_back(tls + array->offset, array->bytes);
  order_ = launch.thread_order(0);
  if (launch.counting && make_observer && !own_observer_) own_observer_ = make_observer(*this);
  observer_ = launch.counting ? own_observer_.get() : nullptr;
  cuda::blockDim = launch.block;
  cuda::gridDim = launch.grid;
}

void Worker::run_block(std::uint64_t position) {
  const std::uint64_t block = launch_->block_at(position);
  const cuda::dim3 g = launch_->grid;
  cuda::blockIdx = {static_cast<unsigned>(block % g.x), static_cast<unsigned>(block / g.x % g.y),
                    static_cast<unsigned>(block / g.x / g.y)};
  position_ = position;
  if (!launch_->same_order_in_all_blocks()) order_ = launch_->thread_order(block);
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].ended = false;
    threads_[i].waits = Waits::No;
    threads_[i].copies.clear();
  }
  for (Warp& warp : warps_) {
    warp.ended = 0;
    warp.groups.clear();
  }
  started_ = ended_ = arrived_ = ready_begin_ = ready_end_ = 0;
  sum_ = any_ = 0;
  all_ = 1;
  if (launch_->options.poison)
    for (const auto& [address, bytes] : arrays_) fill_poison(address, bytes);
  dynamic_.poison(launch_->options.poison);
  if (observer_) observer_->begin_block();

  running_worker = this;
  in_block_ = false;
  go_to_fresh_stack(host_, &host_asan_);
  after_switch(host_asan_, nullptr, nullptr);
  running_worker = nullptr;

  stacks_->reset();
  if (observer_) observer_->end_block();
  if (!dynamic_.intact()) {
    Finding finding{{Defect::SharedBounds, launch_->name, {}, {}, {}, 0, {}, 0}, nullptr, position};
    finding.report.block = {cuda::blockIdx.x, cuda::blockIdx.y, cuda::blockIdx.z};
    finding.report.message = "some thread wrote next to the block's " +
                             std::to_string(dynamic_.bytes()) + " bytes of dynamic shared memory";
    launch_->add(std::move(finding), true);
  }
}

// ---- the loop
// ------------------------------------------------------------------------------------

void Worker::enter_loop(void* raw) {
  auto& worker = *static_cast<Worker*>(raw);
  if (worker.in_block_) {
    after_switch(nullptr, nullptr, nullptr);
  } else {
    after_switch(nullptr, &worker.host_low_, &worker.host_bytes_);
    worker.in_block_ = true;
  }
  worker.loop();
}

void Worker::go_to_fresh_stack(Context& from, void** save) {
  Stack* const stack = stacks_->take();
  Context fresh;
  prepare(fresh, stack->low(), stack->bytes(), enter_loop, this);
  fresh_ = stack;
  before_switch(save, stack->low(), stack->bytes());
  switch_context(from, fresh);
}

// Stays on one stack for as long as its threads do not wait; a thread that waited and then ends
// returns into the loop on its own stack.
void Worker::loop() {
  Stack* const stack = fresh_;
  for (;;) {
    if (any_ready()) {
      // This stack is done with: nobody can take it before the switch.
      stacks_->give_back(stack);
      Thread& next = threads_[pop_ready()];
      running_ = static_cast<unsigned>(&next - threads_.data());
      Context nowhere;
      before_switch(nullptr, next.stack->low(), next.stack->bytes());
      switch_context(nowhere, next.context);
    } else if (started_ < count_) {
      run_next_thread(stack);
    } else if (ended_ == count_) {
      leave_block();
    } else {
      resolve_stall();
    }
  }
}

void Worker::run_next_thread(Stack* stack) {
  const unsigned i = order_[started_++];
  running_ = i;
  threads_[i].stack = stack;
  cuda::threadIdx = threads_[i].index;
  launch_->run_thread(launch_->arguments);
  thread_ended(running_);
}

void Worker::leave_block() {
  Context nowhere;
  before_switch(nullptr, host_low_, host_bytes_);
  switch_context(nowhere, host_);
  __builtin_unreachable();
}

// Leaves the running thread on its stack until somebody makes it ready.
void Worker::suspend() {
  const unsigned i = running_;
  Thread& self = threads_[i];
  if (!any_ready()) {
    if (started_ < count_) {
      go_to_fresh_stack(self.context, &self.asan);
      after_switch(self.asan, nullptr, nullptr);
      resume(i);
      return;
    }
    resolve_stall();
  }
  Thread& next = threads_[pop_ready()];
  if (&next != &self) {
    running_ = static_cast<unsigned>(&next - threads_.data());
    before_switch(&self.asan, next.stack->low(), next.stack->bytes());
    switch_context(self.context, next.context);
    after_switch(self.asan, nullptr, nullptr);
  }
  resume(i);
}

void Worker::resume(unsigned i) {
  running_ = i;
  cuda::threadIdx = threads_[i].index;
}

void Worker::yield() {
  push_ready(running_);
  if (started_ == count_) return suspend();
  const unsigned i = running_;
  go_to_fresh_stack(threads_[i].context, &threads_[i].asan);
  after_switch(threads_[i].asan, nullptr, nullptr);
  resume(i);
}

void Worker::thread_ended(unsigned i) {
  Thread& self = threads_[i];
  if (!self.copies.pending().empty()) {
    const Copy& copy = self.copies.pending().front();
    note(i, Defect::PendingCopy, &copy.site, nullptr,
         "the thread ended without waiting for " + std::to_string(self.copies.pending().size()) +
             " cp.async copies, of which this is the first");
  }
  self.ended = true;
  ++ended_;
  Warp& warp = warps_[i / kWarp];
  warp.ended |= 1u << (i % kWarp);
  if (observer_) observer_->thread_ended(i);
  if (!warp.groups.empty()) complete_if_all_arrived(i / kWarp);
  if (arrived_ > 0 && arrived_ + ended_ == count_)
    fail(Defect::EarlyExit, &barrier_site_, nullptr,
         "the thread ended, but thread " + thread_text(barrier_first_) + " and " +
             std::to_string(arrived_ - 1) + " more wait here in " + barrier_what_);
}

// ---- the block's barrier
// -------------------------------------------------------------------------

void Worker::arrive(const char* what, Site site) {
  if (arrived_ == 0) {
    barrier_what_ = what;
    barrier_site_ = site;
    barrier_first_ = running_;
  } else if (!same_place(site, barrier_site_)) {
    fail(Defect::BarrierDivergence, &site, nullptr,
         "the thread comes to " + std::string(what) + ", but thread " +
             thread_text(barrier_first_) + " waits in " + barrier_what_ + " at " +
             to_string(barrier_site_));
  }
  ++arrived_;
  if (arrived_ + ended_ < count_) {
    Thread& self = current();
    self.waits = Waits::Barrier;
    self.what = what;
    self.site = site;
    suspend();
    return;
  }
  if (ended_ > 0) {
    const auto first = std::ranges::find_if(threads_, &Thread::ended) - threads_.begin();
    fail(Defect::EarlyExit, &site, nullptr,
         "the thread waits in " + std::string(what) + ", but thread " +
             thread_text(static_cast<unsigned>(first)) + " and " + std::to_string(ended_ - 1) +
             " more have ended");
  }
  arrived_ = 0;
  last_sum_ = std::exchange(sum_, 0);
  last_all_ = std::exchange(all_, 1);
  last_any_ = std::exchange(any_, 0);
  if (observer_) observer_->block_barrier();
  for (unsigned k = 0; k < count_; ++k) {
    const unsigned i = order_[k];
    if (i == running_) continue;
    threads_[i].waits = Waits::No;
    push_ready(i);
  }
}

void Worker::barrier(const char* what, Site site) { arrive(what, site); }

int Worker::barrier_reduce(Reduce reduce, int predicate, Site site) {
  sum_ += predicate != 0;
  all_ &= predicate != 0;
  any_ |= predicate != 0;
  static constexpr const char* kNames[] = {"__syncthreads_count", "__syncthreads_and",
                                           "__syncthreads_or"};
  arrive(kNames[static_cast<int>(reduce)], site);
  // Still this barrier's: the next one is complete only after every thread has read them.
  return reduce == Reduce::Count ? last_sum_ : reduce == Reduce::And ? last_all_ : last_any_;
}

// ---- nobody can go on
// ----------------------------------------------------------------------------

void Worker::resolve_stall() {
  for (unsigned w = 0; w < warps_.size(); ++w) resolve_active_masks(w, false);
  if (!any_ready()) report_deadlock();
}

void Worker::report_deadlock() {
  // Lanes that wait for other lanes are told before threads that wait for the whole block: they
  // are what holds the block up.
  for (unsigned w = 0; w < warps_.size(); ++w) {
    for (const Group& g : warps_[w].groups) {
      const std::uint32_t missing = g.mask & warps_[w].exists & ~warps_[w].ended & ~g.arrived;
      const unsigned absent = w * kWarp + static_cast<unsigned>(__builtin_ctz(missing));
      running_ = w * kWarp + static_cast<unsigned>(__builtin_ctz(g.arrived));
      char mask[16];
      std::snprintf(mask, sizeof mask, "0x%08x", g.mask);
      fail(Defect::WarpDivergence, &g.site, nullptr,
           "the thread waits in " + std::string(g.what) + " with mask " + mask + ", but thread " +
               thread_text(absent) + " waits in " + threads_[absent].what + " at " +
               to_string(threads_[absent].site));
    }
  }
  running_ = barrier_first_;
  fail(Defect::BarrierDivergence, &barrier_site_, nullptr, "the block cannot go on");
}

// ---- findings
// ------------------------------------------------------------------------------------

std::string Worker::thread_text(unsigned i) const { return to_string(index3(threads_[i].index)); }

std::string Worker::whereabouts() const {
  return launch_->name + ", block " + to_string(index3(cuda::blockIdx)) + ", thread " +
         thread_text(running_);
}

bool Worker::is_shared(const void* address, std::size_t bytes) const {
  const auto* p = static_cast<const char*>(address);
  if (dynamic_.guards(p))
    return p >= dynamic_.begin() && p + bytes <= dynamic_.begin() + dynamic_.bytes();
  if (!tls_ || launch_->module->arrays.empty()) return true;  // stripped: cannot tell
  if (p < tls_ || p >= tls_ + launch_->module->tls_bytes) return false;
  const auto offset = static_cast<std::size_t>(p - tls_);
  // Mostly it is in the array that the last one was in.
  if (!last_array_ || offset < last_array_->offset ||
      offset >= last_array_->offset + last_array_->bytes)
    last_array_ = launch_->module->array_at(offset);
  return last_array_ && offset + bytes <= last_array_->offset + last_array_->bytes;
}

namespace {
Finding finding(const Launch& launch, std::uint64_t position, cuda::uint3 thread, Defect defect,
                const Site* site, const void* pc, std::string message) {
  Finding f;
  f.report.defect = defect;
  f.report.kernel = launch.name;
  f.report.block = index3(cuda::blockIdx);
  f.report.thread = index3(thread);
  if (site) {
    f.report.file = site->file;
    f.report.line = site->line;
  }
  f.report.message = std::move(message);
  f.pc = pc;
  f.position = position;
  return f;
}
}  // namespace

void Worker::note(unsigned i, Defect defect, const Site* site, const void* pc,
                  std::string message) {
  launch_->add(
      finding(*launch_, position_, threads_[i].index, defect, site, pc, std::move(message)), false);
}

void Worker::fail(Defect defect, const Site* site, const void* pc, std::string message) {
  launch_->add(finding(*launch_, position_, current().index, defect, site, pc, std::move(message)),
               true);
  leave_block();
}

// ---- what the shims call
// -------------------------------------------------------------------------

void block_barrier(Site site) { Worker::in_kernel().barrier("__syncthreads", site); }
int block_barrier_reduce(Reduce reduce, int predicate, Site site) {
  return Worker::in_kernel().barrier_reduce(reduce, predicate, site);
}
void* dynamic_shared() { return Worker::in_kernel().dynamic().begin(); }
unsigned lane_id() { return Worker::in_kernel().lane(); }
unsigned warp_id() { return Worker::in_kernel().warp(); }

}  // namespace simt::detail
