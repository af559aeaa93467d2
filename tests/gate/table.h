// The gate's table: a row for each kernel and architecture, kept in kernels/cuda/gate.csv.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/gate/cubin.h"

namespace etude::gate {

struct Row {
  std::string file, kernel;  // "conv2d_gemm.cu", "gemm_gather<64>"
  std::int64_t arch = 0;
  std::int64_t threads = 0;  // of the largest block by the kernel's launch bounds; 0: not stated
  std::int64_t registers = 0;
  std::int64_t shared = 0;  // static, bytes
  std::int64_t blocks = 0;  // on a multiprocessor; of 256 threads where the kernel states none
  std::int64_t stack = 0, spills = 0, local = 0, generic = 0, float_atomics = 0;
  std::int64_t loop = 0;  // instructions in the main loop
  double ffma = 0;        // FFMAs among them, in percent

  std::string name() const { return file + " " + kernel + " sm_" + std::to_string(arch); }
};

struct Table {
  std::string compiler;
  std::vector<Row> rows;  // by file, kernel, architecture
};

// Of every .cubin file under `folder`, each in a folder named FILE.cu.cubins or FILE.cu.o.cubins.
Table read_cubins(const std::string& folder);

Table read_table(const std::string& path);
void write_table(const Table& table, const std::string& path);

// What no kernel may have, whatever the table says.
std::vector<std::string> broken_limits(const Table& table);

// What is worse in `now` than in the committed table, and rows that only one of them has. Rows of
// architectures that `now` was not compiled for are left out.
std::vector<std::string> worse(const Table& now, const Table& committed);
// What is better: the table should be written anew.
std::vector<std::string> better(const Table& now, const Table& committed);

// For people: a line a kernel, architectures side by side.
std::string summary(const Table& table);

}  // namespace etude::gate
