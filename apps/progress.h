// Progress on stderr: a bar with rate and remaining time on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <string>

namespace etude::apps {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start);

// True when stderr is a terminal that can redraw a line.
bool progress_on_terminal();

// One line on stderr; it clears a bar that is being drawn first.
void note(const std::string& text);

// "3:07", "1:02:45".
std::string format_seconds(double seconds);

// A bar for one stretch of work. Off a terminal it prints nothing until finish().
class ProgressBar {
 public:
  // "epoch 3/20", "batches": what the rate counts.
  ProgressBar(std::string label, long total, std::string unit);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Redraws at most ten times a second; `extra` goes to the right ("loss 0.412").
  void update(long done, const std::string& extra = {});
  // Clears the bar and prints `line` where it is not empty.
  void finish(const std::string& line = {});

 private:
  std::string label_, unit_;
  long total_, start_done_ = -1;
  Clock::time_point start_, drawn_;
  bool visible_ = false;
};

}  // namespace etude::apps
