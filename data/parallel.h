// Work on many files at once, with progress and a way to stop.
#pragma once

#include <functional>

namespace etude::data {

// Calls work(i) for i in [0, n) from `threads` threads (0: as many as the processor runs), which
// take the next i as they become free; each keeps the kernels it calls to itself. progress(done, n)
// comes from the calling thread; false stops after the work in hand. Returns whether all was done
// and nobody stopped. An exception of work stops too and is rethrown, of several the one with the
// smallest i.
bool parallel_for_files(int n, int threads, const std::function<void(int)>& work,
                        const std::function<bool(int done, int total)>& progress = {});

}  // namespace etude::data
