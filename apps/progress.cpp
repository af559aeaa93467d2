#include "apps/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace etude::apps {

namespace {

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void clear_line() { std::fputs("\r\x1b[2K", stderr); }

// One bar is drawn at a time; note() has to know whether there is one.
bool bar_visible = false;

}  // namespace

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool progress_on_terminal() {
  static const bool on = [] {
    const char* term = std::getenv("TERM");
    return isatty(STDERR_FILENO) != 0 && term && std::strcmp(term, "dumb") != 0;
  }();
  return on;
}

void note(const std::string& text) {
  if (bar_visible) clear_line();
  bar_visible = false;
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

std::string format_seconds(double seconds) {
  const long s = std::lround(std::max(0.0, seconds));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

ProgressBar::ProgressBar(std::string label, long total, std::string unit)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), start_(Clock::now()) {}

ProgressBar::~ProgressBar() { finish(); }

void ProgressBar::update(long done, const std::string& extra) {
  if (!progress_on_terminal()) return;
  if (start_done_ < 0)
    start_done_ = std::max(0L, done - 1);  // a resumed epoch starts in its middle
  const auto now = Clock::now();
  if (visible_ && done < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  const double elapsed = seconds_since(start_);
  const double rate = elapsed > 0 ? static_cast<double>(done - start_done_) / elapsed : 0;
  const std::string right =
      fmt::format(" {}/{}  {:.{}f} {}/s  ETA {}{}{}", done, total_, rate, rate < 10 ? 1 : 0, unit_,
                  rate > 0 ? format_seconds(static_cast<double>(total_ - done) / rate) : "-:--",
                  extra.empty() ? "" : "  ", extra);
  const int room = terminal_width() - 1 - static_cast<int>(label_.size() + right.size()) - 3;
  const int cells = std::clamp(room, 0, 30);
  std::string bar;
  if (cells >= 5) {
    const long full = total_ > 0 ? std::min<long>(cells, cells * done / total_) : 0;
    bar = " [" + std::string(full, '=') + std::string(cells - full, ' ') + "]";
  }
  clear_line();
  fmt::print(stderr, "{}{}{}", label_, bar, right);
  std::fflush(stderr);
  visible_ = bar_visible = true;
}

void ProgressBar::finish(const std::string& line) {
  if (visible_ && bar_visible) clear_line();
  visible_ = bar_visible = false;
  if (!line.empty()) note(line);
}

}  // namespace etude::apps
