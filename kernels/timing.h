// How long work takes on its device: by events on the stream, so that the host's own time and the
// calls that are still under way do not count.
#pragma once

#include <vector>

#include "kernels/kernels.h"

namespace etude {

// Milliseconds of each of `calls` calls of f(), which enqueues work on the stream (of our kernels,
// or of a vendor's: kernels/vendor). Waits for the last one.
template <class F>
std::vector<double> time_calls(const Kernels<float>& k, Stream stream, int calls, F f) {
  std::vector<Event> marks(static_cast<std::size_t>(calls) + 1);
  for (Event& mark : marks) mark = k.event_create();
  k.event_record(marks[0], stream);
  for (int i = 0; i < calls; ++i) {
    f();
    k.event_record(marks[i + 1], stream);
  }
  k.event_synchronize(marks.back());
  std::vector<double> milliseconds;
  for (int i = 0; i < calls; ++i) milliseconds.push_back(k.event_elapsed(marks[i], marks[i + 1]));
  for (const Event mark : marks) k.event_destroy(mark);
  return milliseconds;
}

}  // namespace etude
