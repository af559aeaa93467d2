#include "data/parallel.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/device.h"

namespace etude::data {

bool parallel_for_files(int n, int threads, const std::function<void(int)>& work,
                        const std::function<bool(int done, int total)>& progress) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  threads = std::min(threads, n);

  std::mutex mutex;
  std::condition_variable changed;
  int next = 0, done = 0, running = threads;
  bool stop = false;
  std::map<int, std::exception_ptr> errors;

  const auto worker = [&] {
    set_num_threads(1);  // of this thread: the parallelism is over files
    std::unique_lock lock(mutex);
    while (!stop && next < n) {
      const int i = next++;
      lock.unlock();
      std::exception_ptr error;
      try {
        work(i);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error) {
        errors.emplace(i, error);
        stop = true;
      } else {
        ++done;
      }
      changed.notify_one();
    }
    --running;
    changed.notify_one();
  };

  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) pool.emplace_back(worker);
  {
    std::unique_lock lock(mutex);
    int told = -1;
    while (running > 0 || told < done) {
      if (told == done) {
        // Wakes now and then without news, too, so that a wish to stop is soon heard.
        changed.wait_for(lock, std::chrono::milliseconds(200));
      }
      told = done;
      if (!progress || stop) continue;
      lock.unlock();
      bool go_on = true;
      try {
        go_on = progress(told, n);
      } catch (...) {
        lock.lock();
        errors.emplace(-1, std::current_exception());
        stop = true;
        continue;
      }
      lock.lock();
      if (!go_on) stop = true;
    }
  }
  for (std::thread& thread : pool) thread.join();
  if (!errors.empty()) std::rethrow_exception(errors.begin()->second);
  return !stop && done == n;
}

}  // namespace etude::data
