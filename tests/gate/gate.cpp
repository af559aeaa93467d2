// The gate over nvcc's own output: reads the cubins that the build of the CUDA kernels left behind
// and compares them with the committed table. Exit 0: good; 1: a limit is broken or a kernel is
// worse than in the table, each named; 2: usage.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "tests/gate/readme.h"
#include "tests/gate/table.h"

namespace {

constexpr const char* kUsage =
    "usage: etude-gate [--update] [--quiet] [--cubins DIR] [--table FILE] [--readme FILE]\n"
    "  --update  write the table, and the README's copy, from what the compiler made\n"
    "  --quiet   print what is wrong only\n";

void print(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  fmt::print("{}:\n", title);
  for (const std::string& line : lines) fmt::print("  {}\n", line);
}

int run(const std::vector<std::string>& arguments) {
  using namespace etude::gate;
  std::string cubins = ETUDE_CUBINS, path = ETUDE_GATE_TABLE, readme = ETUDE_GATE_README;
  bool update = false, quiet = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& flag = arguments[i];
    if (flag == "--update") {
      update = true;
    } else if (flag == "--quiet") {
      quiet = true;
    } else if (i + 1 < arguments.size() &&
               (flag == "--cubins" || flag == "--table" || flag == "--readme")) {
      (flag == "--cubins" ? cubins : flag == "--table" ? path : readme) = arguments[++i];
    } else {
      fmt::print(stderr, "etude-gate: unexpected '{}'\n{}", flag, kUsage);
      return 2;
    }
  }
  const Table now = read_cubins(cubins);
  if (!quiet) fmt::print("{}\n", summary(now));
  if (update) {
    write_table(now, path);
    if (!readme.empty()) write_file(readme, with_table(readme, "gate", summary(now)));
  }
  const std::vector<std::string> broken = broken_limits(now);
  print("limits", broken);
  const Table committed = read_table(path);
  std::vector<std::string> problems = worse(now, committed);
  if (now.compiler == committed.compiler) {
    print("worse than the table (./run gate --update accepts)", problems);
    if (!quiet) print("better than the table (./run gate --update keeps)", better(now, committed));
  } else {
    // Another compiler allocates registers its own way: its limits count, not its differences.
    print(fmt::format("nvcc {}, the table is of {}; different, and no failure", now.compiler,
                      committed.compiler)
              .c_str(),
          problems);
    problems.clear();
  }
  fmt::print("{} rows, {} broken limits, {} worse than the table\n", now.rows.size(), broken.size(),
             problems.size());
  return broken.empty() && problems.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "etude-gate: {}\n", error.what());
    return 1;
  }
}
