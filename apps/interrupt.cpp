#include "apps/interrupt.h"

#include <atomic>
#include <csignal>

namespace etude::apps {

namespace {

std::atomic<bool> signal_seen = false;
static_assert(std::atomic<bool>::is_always_lock_free);

// Only async-signal-safe work: the second signal finds the default action and ends the process.
extern "C" void on_signal(int number) {
  signal_seen = true;
  std::signal(number, SIG_DFL);
}

}  // namespace

void install_interrupt_handlers() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return signal_seen; }

void check_interrupted() {
  if (interrupted()) throw Interrupted{};
}

}  // namespace etude::apps
