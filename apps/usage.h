// Mistakes on the command line.
#pragma once

#include "engine/error.h"

namespace etude::apps {

// Exit code 2: the command cannot be meant like this.
class UsageError : public Error {
 public:
  using Error::Error;
};

template <class... Args>
void check_usage(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]]
    throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace etude::apps
