// Which GPUs a build has code for. Plain C++, so that it is tested without one.
#pragma once

#include <string_view>

namespace etude::ETUDE_BACKEND {

// `built` is CMake's list, separated by spaces: "75-real 90a-real 120". An entry without "-real" has
// PTX too, which the driver compiles for every later GPU; machine code runs on its own major
// version from its own minor version on; an "a" ties either to that one GPU.
constexpr bool has_code_for(int capability, std::string_view built) {
  while (!built.empty()) {
    const std::size_t end = built.find(' ');
    const std::string_view entry = built.substr(0, end);
    built = end == std::string_view::npos ? std::string_view() : built.substr(end + 1);
    std::size_t digits = 0;
    int number = 0;
    for (; digits < entry.size() && entry[digits] >= '0' && entry[digits] <= '9'; ++digits)
      number = number * 10 + (entry[digits] - '0');
    if (number == 0) continue;
    const std::string_view rest = entry.substr(digits);
    const bool machine_code = !rest.ends_with("-virtual"), ptx = !rest.ends_with("-real");
    if (rest.starts_with("a") ? number == capability
                              : (machine_code && number / 10 == capability / 10 &&
                                 number <= capability) ||
                                    (ptx && number <= capability))
      return true;
  }
  return false;
}

}  // namespace etude::ETUDE_BACKEND
