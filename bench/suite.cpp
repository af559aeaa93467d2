#include "bench/suite.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "data/csv.h"

namespace etude::bench {
namespace {

std::vector<SuiteRow> rows_of(const data::Csv& csv, const std::string& suite) {
  const int name = csv.column("name"), problem = csv.column("problem");
  std::vector<SuiteRow> rows;
  for (int i = 0; i < csv.rows(); ++i) {
    try {
      for (Problem& p : parse_problems(csv.text(i, problem)))
        rows.push_back({suite, csv.text(i, name), std::move(p)});
    } catch (const Error& error) {
      fail("{}: {}", csv.where(i), error.what());
    }
  }
  check(!rows.empty(), "{}: no problems in it", csv.name());
  return rows;
}

}  // namespace

std::string SuiteRow::id() const { return suite + "/" + name + "/" + problem.kernel; }

std::vector<SuiteRow> parse_suite(const std::string& text, const std::string& name) {
  return rows_of(data::Csv::parse(text, name), name);
}

std::vector<std::string> suite_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(ETUDE_BENCH_SUITES, ignored))
    if (entry.path().extension() == ".csv") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<SuiteRow> read_suite(const std::string& suite) {
  std::filesystem::path path = suite;
  if (path.extension() != ".csv")
    path = std::filesystem::path(ETUDE_BENCH_SUITES) / (suite + ".csv");
  if (!std::filesystem::exists(path)) {
    std::string names;
    for (const std::string& name : suite_names()) names += (names.empty() ? "" : ", ") + name;
    fail("no suite '{}' ({} is not there); there are {}", suite, path.string(), names);
  }
  return rows_of(data::Csv::read(path), path.stem().string());
}

}  // namespace etude::bench
