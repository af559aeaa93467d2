// The suite "cases", where the build has the tests.
#pragma once

#include "bench/runner.h"
#include "bench/suite.h"

namespace etude::bench {

std::vector<SuiteRow> case_suite();
std::unique_ptr<Runner> make_case(const Problem& problem, Device device);

}  // namespace etude::bench
