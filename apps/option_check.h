// Checks of option values, whose messages a reader of the command line understands.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>
#include <type_traits>

#include "engine/error.h"

namespace etude::apps {

// Checks the value of an option: a number from `low` to `high`, or from `low` on. The message says
// so in words; the help shows type and default only.
template <class T>
CLI::Validator number_in(T low, T high) {
  CLI::Validator check("");
  check.operation([=](std::string& text) -> std::string {
    T value{};
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    // NaN is in no range.
    if (error == std::errc() && rest == end && value >= low && value <= high) return {};
    return fmt::format(
        "expected {} {}, not {}", std::is_integral_v<T> ? "a whole number" : "a number",
        high == std::numeric_limits<T>::max() ? fmt::format("of {} or more", low)
                                              : fmt::format("from {} to {}", low, high),
        text.empty() ? "nothing" : text);
  });
  return check;
}

template <class T>
CLI::Validator number_from(T low) {
  return number_in(low, std::numeric_limits<T>::max());
}

}  // namespace etude::apps
