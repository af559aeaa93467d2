// What the gate lets pass and what not.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/gate/table.h"

namespace etude::gate {
namespace {

Table example() {
  Row a;
  a.file = "conv2d_gemm.cu", a.kernel = "gemm<64, 32>", a.arch = 80;
  a.threads = 128, a.registers = 168, a.shared = 24576, a.blocks = 3;
  a.loop = 640, a.ffma = 80.0;
  Row b = a;
  b.arch = 90;
  Row c = a;
  c.file = "fill.cu", c.kernel = "fill", c.loop = 0, c.ffma = 0;
  return {"V1.2.3", {a, b, c}};
}

}  // namespace

TEST_SUITE("gate.table") {
  TEST_CASE("a table is read as it was written") {
    const std::string path =
        std::filesystem::temp_directory_path() / ("etude-gate-table-" + std::to_string(getpid()));
    write_table(example(), path);
    const Table back = read_table(path);
    std::filesystem::remove(path);
    CHECK(back.compiler == "V1.2.3");
    CHECK(back.rows.size() == 3);
    CHECK(back.rows[0].kernel == "gemm<64, 32>");
    CHECK(back.rows[0].ffma == 80.0);
    CHECK(worse(back, example()).empty());
    CHECK(worse(example(), back).empty());
    CHECK(better(back, example()).empty());
  }

  TEST_CASE("a change for the worse is named, one for the better is not held against it") {
    const Table before = example();
    Table now = before;
    now.rows[1].registers = 172;
    now.rows[1].blocks = 2;
    REQUIRE(worse(now, before).size() == 1);
    CHECK(worse(now, before)[0] ==
          "conv2d_gemm.cu gemm<64, 32> sm_90: registers 168 -> 172, blocks 3 -> 2");
    CHECK(worse(before, now).empty());
    CHECK(better(before, now).size() == 1);

    now = before;
    now.rows[0].ffma = 79.0;
    CHECK(worse(now, before)[0] == "conv2d_gemm.cu gemm<64, 32> sm_80: ffma 80 -> 79");
    now.rows[0].ffma = 79.8;
    CHECK(worse(now, before).empty());
  }

  TEST_CASE("new and vanished kernels are named, architectures that were not compiled are not") {
    const Table before = example();
    Table now = before;
    now.rows[2].kernel = "fill4";
    const std::vector<std::string> problems = worse(now, before);
    REQUIRE(problems.size() == 2);
    CHECK(problems[0] == "fill.cu fill4 sm_80: not in the table");
    CHECK(problems[1] == "fill.cu fill sm_80: in the table, but there is no such kernel");
    now = before;
    now.rows.erase(now.rows.begin() + 1);
    CHECK(worse(now, before).empty());
  }

  TEST_CASE("limits") {
    const Table good = example();
    CHECK(broken_limits(good).empty());
    const auto with = [&](auto change) {
      Table table = example();
      change(table.rows[0]);
      return broken_limits(table).size();
    };
    CHECK(with([](Row& r) { r.spills = r.local = 2; }) == 1);
    CHECK(with([](Row& r) { r.local = 2; }) == 1);
    CHECK(with([](Row& r) { r.stack = 8; }) == 1);
    CHECK(with([](Row& r) { r.generic = 1; }) == 1);
    CHECK(with([](Row& r) { r.float_atomics = 1; }) == 1);
    CHECK(with([](Row& r) { r.ffma = 77.9; }) == 1);
    CHECK(with([](Row& r) { r.file = "conv2d_direct.cu"; }) == 1);  // 80 of the 88 it should have
    CHECK(with([](Row& r) { r.ffma = 10, r.loop = 20; }) == 0);     // no multiplication to speak of
  }
}

}  // namespace etude::gate
