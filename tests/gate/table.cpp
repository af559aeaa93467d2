#include "tests/gate/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <tuple>

#include "tests/gate/occupancy.h"
#include "tests/gate/sass.h"

namespace etude::gate {
namespace {

constexpr int kAssumedThreads = 256;

// Columns of numbers, in the order of the file. `sign` is +1 where more is worse, -1 where less is,
// 0 where a change is neither.
struct Column {
  const char* name;
  std::int64_t Row::*value;
  int sign;
};
constexpr Column kColumns[] = {
    {"threads", &Row::threads, 0},
    {"registers", &Row::registers, 1},
    {"shared", &Row::shared, 1},
    {"blocks", &Row::blocks, -1},
    {"stack", &Row::stack, 1},
    {"spills", &Row::spills, 1},
    {"local", &Row::local, 1},
    {"generic", &Row::generic, 1},
    {"float_atomics", &Row::float_atomics, 1},
    {"loop", &Row::loop, 0},
};
constexpr double kShareSlack = 0.5;  // percent points

// The least share of FFMAs in the main loop. Kernels whose loop has few FFMAs (they add slices) are
// not meant.
struct ShareRule {
  const char* files;
  double percent;
};
constexpr ShareRule kShares[] = {{"conv2d_gemm", 78}, {"conv2d_direct", 88}};
constexpr double kFewFfmas = 32;

auto key(const Row& row) { return std::tie(row.file, row.kernel, row.arch); }

Row make_row(const std::string& file, const Kernel& kernel, int arch) {
  Row row;
  row.file = file;
  row.kernel = kernel.name;
  row.arch = arch;
  row.threads = kernel.threads;
  row.registers = kernel.registers;
  row.shared = kernel.shared;
  row.blocks = blocks_per_multiprocessor(kernel, arch,
                                         kernel.threads > 0 ? kernel.threads : kAssumedThreads);
  row.stack = kernel.stack;
  row.spills = kernel.spills;
  const Unwanted unwanted = find_unwanted(kernel, arch);
  row.local = unwanted.local;
  row.generic = unwanted.generic;
  row.float_atomics = unwanted.float_atomics;
  const MainLoop loop = find_main_loop(kernel, arch);
  row.loop = loop.instructions;
  row.ffma = std::round(1000 * loop.share()) / 10;
  return row;
}

// Fields of a line; one with a comma is in quotes.
std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  return fields;
}

std::string header() {
  std::string text = "file,kernel,arch";
  for (const Column& c : kColumns) text += std::string(",") + c.name;
  return text + ",ffma";
}

std::set<std::int64_t> architectures(const Table& table) {
  std::set<std::int64_t> result;
  for (const Row& row : table.rows) result.insert(row.arch);
  return result;
}

// What changed from one row to another, where `wanted(sign of the change)`: +1 worse, -1 better.
std::string changes(const Row& from, const Row& to, int wanted) {
  std::string text;
  const auto say = [&](const char* name, auto before, auto after) {
    text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", name, before, after);
  };
  for (const Column& c : kColumns) {
    const std::int64_t before = from.*c.value, after = to.*c.value;
    const int sign = (after > before) - (after < before);
    if (sign * c.sign == wanted) say(c.name, before, after);
  }
  const double change = to.ffma - from.ffma;
  if (std::abs(change) > kShareSlack && (change < 0 ? 1 : -1) == wanted)
    say("ffma", from.ffma, to.ffma);
  return text;
}

// The values of a kernel on each architecture: "40" if all are alike, else "40 42 40".
template <class F>
std::string side_by_side(const std::vector<const Row*>& rows, F value) {
  std::set<std::string> different;
  std::string all;
  for (const Row* row : rows) {
    const std::string text = value(*row);
    different.insert(text);
    all += (all.empty() ? "" : " ") + text;
  }
  return different.size() == 1 ? *different.begin() : all;
}

}  // namespace

Table read_cubins(const std::string& folder) {
  Table table;
  namespace fs = std::filesystem;
  std::map<std::tuple<std::string, std::string, std::int64_t>, Row> rows;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".cubin") continue;
    std::string file = entry.path().parent_path().filename();
    file = file.substr(0, file.find(".cu")) + ".cu";
    const Cubin cubin = read_cubin(entry.path());
    table.compiler = cubin.compiler;
    for (const Kernel& kernel : cubin.kernels) {
      Row row = make_row(file, kernel, cubin.arch);
      rows.emplace(std::tuple(row.file, row.kernel, row.arch), std::move(row));
    }
  }
  for (auto& [k, row] : rows) table.rows.push_back(std::move(row));
  if (table.rows.empty())
    throw std::runtime_error(folder + ": no cubins; build the target etude_cuda first");
  return table;
}

Table read_table(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened; --update writes it");
  Table table;
  std::string line;
  std::getline(file, line);
  const std::string prefix = "# compiler ";
  if (!line.starts_with(prefix))
    throw std::runtime_error(path + ":1: expected '" + prefix + "...'");
  table.compiler = line.substr(prefix.size());
  std::getline(file, line);
  if (line != header()) throw std::runtime_error(path + ":2: expected '" + header() + "'");
  for (int number = 3; std::getline(file, line); ++number) {
    const std::vector<std::string> fields = split(line);
    if (fields.size() != std::size(kColumns) + 4)
      throw std::runtime_error(fmt::format("{}:{}: {} fields, expected {}", path, number,
                                           fields.size(), std::size(kColumns) + 4));
    Row row{fields[0], fields[1], std::stol(fields[2])};
    for (std::size_t i = 0; i < std::size(kColumns); ++i)
      row.*kColumns[i].value = std::stol(fields[i + 3]);
    row.ffma = std::stod(fields.back());
    table.rows.push_back(std::move(row));
  }
  return table;
}

void write_table(const Table& table, const std::string& path) {
  std::ofstream file(path);
  file << "# compiler " << table.compiler << "\n" << header() << "\n";
  for (const Row& row : table.rows) {
    const bool quote = row.kernel.find(',') != std::string::npos;
    file << row.file << (quote ? ",\"" : ",") << row.kernel << (quote ? "\"," : ",") << row.arch;
    for (const Column& c : kColumns) file << "," << row.*c.value;
    file << fmt::format(",{:.1f}\n", row.ffma);
  }
  file.flush();
  if (!file) throw std::runtime_error(path + ": cannot be written");
}

std::vector<std::string> broken_limits(const Table& table) {
  std::vector<std::string> problems;
  for (const Row& row : table.rows) {
    const auto forbid = [&](std::int64_t count, const char* what) {
      if (count > 0) problems.push_back(fmt::format("{}: {} {}", row.name(), count, what));
    };
    forbid(row.spills, "instructions spill registers");
    // A spill is local memory too; once is enough.
    if (row.spills == 0) {
      forbid(row.local, "loads and stores of local memory");
      forbid(row.local == 0 ? row.stack : 0, "bytes of stack");
    }
    forbid(row.generic, "generic loads and stores");
    forbid(row.float_atomics, "float atomics or compare-and-swaps");
    for (const ShareRule& rule : kShares)
      if (row.file.starts_with(rule.files) && row.ffma < rule.percent &&
          row.ffma * static_cast<double>(row.loop) >= 100 * kFewFfmas)
        problems.push_back(
            fmt::format("{}: {} % FFMA in the main loop of {} instructions, at least {}",
                        row.name(), row.ffma, row.loop, rule.percent));
  }
  return problems;
}

std::vector<std::string> worse(const Table& now, const Table& committed) {
  std::vector<std::string> problems;
  const std::set<std::int64_t> built = architectures(now);
  const auto find = [](const Table& table, const Row& row) -> const Row* {
    const auto at = std::find_if(table.rows.begin(), table.rows.end(),
                                 [&](const Row& other) { return key(other) == key(row); });
    return at == table.rows.end() ? nullptr : &*at;
  };
  for (const Row& row : now.rows) {
    const Row* before = find(committed, row);
    if (!before) {
      problems.push_back(row.name() + ": not in the table");
      continue;
    }
    const std::string text = changes(*before, row, 1);
    if (!text.empty()) problems.push_back(row.name() + ": " + text);
  }
  for (const Row& row : committed.rows)
    if (built.count(row.arch) && !find(now, row))
      problems.push_back(row.name() + ": in the table, but there is no such kernel");
  return problems;
}

std::vector<std::string> better(const Table& now, const Table& committed) {
  std::vector<std::string> notes;
  for (const Row& row : now.rows)
    for (const Row& before : committed.rows)
      if (key(row) == key(before))
        if (const std::string text = changes(before, row, -1); !text.empty())
          notes.push_back(row.name() + ": " + text);
  return notes;
}

std::string summary(const Table& table) {
  std::string text = "Architectures, in this order where they differ:";
  for (const std::int64_t arch : architectures(table)) text += fmt::format(" sm_{}", arch);
  text += ". nvcc " + table.compiler + ".\n\n";
  text +=
      "| file | kernel | threads | registers | static shared | blocks/SM | FFMA in main loop |\n";
  text += "|---|---|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < table.rows.size();) {
    std::vector<const Row*> rows;
    const Row& first = table.rows[i];
    for (; i < table.rows.size() && table.rows[i].file == first.file &&
           table.rows[i].kernel == first.kernel;
         ++i)
      rows.push_back(&table.rows[i]);
    const auto number = [&](std::int64_t Row::*value) {
      return side_by_side(rows, [&](const Row& row) { return std::to_string(row.*value); });
    };
    const bool has_loop = first.loop > 0;
    const auto [least, most] = std::minmax_element(
        rows.begin(), rows.end(), [](const Row* a, const Row* b) { return a->ffma < b->ffma; });
    const std::string share =
        !has_loop ? ""
                  : fmt::format("{:.0f}-{:.0f} % of {}", (*least)->ffma, (*most)->ffma, first.loop);
    text += fmt::format("| {} | `{}` | {} | {} | {} | {} | {} |\n", first.file, first.kernel,
                        first.threads ? std::to_string(first.threads) : "", number(&Row::registers),
                        number(&Row::shared), number(&Row::blocks), share);
  }
  return text;
}

}  // namespace etude::gate
