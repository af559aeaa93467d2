// Suites: lists of problems, as files (suites/*.csv).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/problem.h"

namespace etude::bench {

struct SuiteRow {
  std::string suite;  // "resnet18"
  std::string name;   // "layer1"
  Problem problem;
  std::string id() const;  // "resnet18/layer1/conv2d_forward"
};

// A CSV file with the columns name and problem ("conv2d N=16 H=32 ..."); a family's problems are a
// row each. `suite` is a name (suites/NAME.csv of the sources) or the path of a file. Error names
// the file and the line.
std::vector<SuiteRow> read_suite(const std::string& suite);
std::vector<SuiteRow> parse_suite(const std::string& text, const std::string& name);
std::vector<std::string> suite_names();

}  // namespace etude::bench
