// What a kernel costs, counted on the emulator: --simt-profile.
#pragma once

#include <string>
#include <vector>

namespace etude::bench {

// `what` and `settings` are a problem (problem.h), or `what` is part of the names of cases of the
// case table, which are run forward and backward. Prints a table of source lines for each kernel
// that runs. Throws Error for what it does not know.
void simt_profile(const std::string& what, const std::vector<std::string>& settings);

}  // namespace etude::bench
