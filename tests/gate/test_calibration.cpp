// The reader of cubins against what the compiler says of the same kernels, for every architecture.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "tests/gate/sass.h"

namespace etude::gate {
namespace {

struct Verbose {  // of ptxas -v
  long registers = 0, stack = 0, spill_stores = 0, spill_loads = 0, shared = 0;
};

struct Compiled {
  Cubin cubin;
  std::map<std::string, Verbose> verbose;  // by symbol
};

std::map<std::string, Verbose> parse_verbose(std::istream& text) {
  static const std::regex entry("Compiling entry function '(\\w+)'");
  static const std::regex frame(
      "(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
  static const std::regex used("Used (\\d+) registers");
  static const std::regex shared("(\\d+) bytes smem");
  std::map<std::string, Verbose> result;
  std::string line, symbol;
  std::smatch m;
  while (std::getline(text, line)) {
    if (std::regex_search(line, m, entry)) symbol = m[1];
    Verbose& v = result[symbol];
    if (std::regex_search(line, m, frame)) {
      v.stack = std::stol(m[1]);
      v.spill_stores = std::stol(m[2]);
      v.spill_loads = std::stol(m[3]);
    }
    if (std::regex_search(line, m, used)) v.registers = std::stol(m[1]);
    if (std::regex_search(line, m, shared)) v.shared = std::stol(m[1]);
  }
  result.erase("");
  return result;
}

Compiled compile(const std::string& source, int arch) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("etude-gate-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string cubin = folder / "kernels.cubin", log = folder / "log";
  const std::string command = std::string(ETUDE_NVCC) +
                              " -std=c++20 -fmad=false -Xptxas -v -cubin" +
                              " -I" ETUDE_SOURCE " -arch=sm_" + std::to_string(arch) + " -o " +
                              cubin + " " ETUDE_SOURCE "/" + source + " 2> " + log;
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream text(log);
  Compiled result{read_cubin(cubin), parse_verbose(text)};
  std::filesystem::remove_all(folder);
  return result;
}

const Kernel& find(const Cubin& cubin, const std::string& name) {
  const auto kernel = std::find_if(cubin.kernels.begin(), cubin.kernels.end(),
                                   [&](const Kernel& k) { return k.name == name; });
  REQUIRE_MESSAGE(kernel != cubin.kernels.end(), "no kernel " << name);
  return *kernel;
}

void check_agreement(const Compiled& compiled) {
  CHECK(!compiled.verbose.empty());
  CHECK(compiled.verbose.size() == compiled.cubin.kernels.size());
  for (const Kernel& kernel : compiled.cubin.kernels) {
    INFO("sm_" << compiled.cubin.arch << " " << kernel.name);
    CHECK(kernel.entry);
    REQUIRE(compiled.verbose.count(kernel.symbol) == 1);
    const Verbose& v = compiled.verbose.at(kernel.symbol);
    CHECK(kernel.registers == v.registers);
    CHECK(kernel.stack == v.stack);
    CHECK(kernel.shared == v.shared);
    CHECK((kernel.spills > 0) == (v.spill_loads + v.spill_stores > 0));
    CHECK((find_unwanted(kernel, compiled.cubin.arch).local > 0) == (v.stack > 0));
  }
}

}  // namespace

TEST_SUITE("gate.calibration") {
  TEST_CASE("names are readable") {
    CHECK(readable_name("_ZN8examples11sgemm_tiledEiiPKfS1_Pf") == "examples::sgemm_tiled");
    CHECK(readable_name("_ZN5etude4cuda31_GLOBAL__N__273da8d0_5_c2_cu_f22ttILi3ELb1EEEvPf") ==
          "tt<3, true>");
    CHECK(readable_name("plain") == "plain");
  }

  TEST_CASE("the calibration kernels") {
    for (const int arch : {75, 80, 86, 89, 90, 100, 120}) {
      INFO("sm_" << arch);
      const Compiled compiled = compile("tests/gate/calibration.cu", arch);
      const Cubin& cubin = compiled.cubin;
      CHECK(cubin.arch == arch);
      CHECK(cubin.compiler.starts_with("V"));
      check_agreement(compiled);

      const auto unwanted = [&](const std::string& name) {
        return find_unwanted(find(cubin, "calibration::" + name), arch);
      };
      CHECK(find(cubin, "calibration::spills").spills > 100);
      CHECK(unwanted("spills").local > 100);
      CHECK(find(cubin, "calibration::local_array").spills == 0);
      CHECK(find(cubin, "calibration::local_array").stack == 2048);
      CHECK(unwanted("local_array").local > 0);
      CHECK(unwanted("generic_load").generic == 1);
      CHECK(unwanted("generic_store").generic == 1);
      CHECK(unwanted("float_red").float_atomics == 1);
      CHECK(unwanted("double_red").float_atomics == 1);
      CHECK(unwanted("float_atomic").float_atomics == 1);
      CHECK(unwanted("shared_float_atomic").float_atomics >= 1);
      CHECK(unwanted("integer_atomics").float_atomics == 0);
      for (const char* clean :
           {"bounded", "ffma_loop", "nested_ffma_loop", "no_loop", "integer_atomics"}) {
        const Unwanted none = unwanted(clean);
        INFO(clean);
        CHECK(none.local == 0);
        CHECK(none.generic == 0);
        CHECK(none.float_atomics == 0);
      }
      CHECK(find(cubin, "calibration::bounded").threads == 384);
      CHECK(find(cubin, "calibration::bounded").shared == 384 * 4);
      CHECK(find(cubin, "calibration::no_loop").threads == 0);
      CHECK(find(cubin, "templated<4, true, float>").entry);

      // Beside the FFMAs a counter, its comparison and the branch, and now and then a move.
      const MainLoop loop = find_main_loop(find(cubin, "calibration::ffma_loop"), arch);
      CHECK(loop.ffma == 64);
      CHECK(loop.instructions >= 64 + 2);
      CHECK(loop.instructions <= 64 + 6);
      const MainLoop nested = find_main_loop(find(cubin, "calibration::nested_ffma_loop"), arch);
      CHECK(nested.ffma == 32);
      CHECK(nested.instructions <= 32 + 6);
      CHECK(find_main_loop(find(cubin, "calibration::no_loop"), arch).instructions == 0);
    }
  }

  TEST_CASE("kernels with static shared memory, shuffles, loops and tensor cores") {
    for (const char* source : {"sgemm", "reduce", "mma_gemm"}) {
      const std::string path = std::string("kernels/simt/examples/") + source + ".cu";
      check_agreement(compile(path, 80));
      check_agreement(compile(path, 120));
    }
    const Cubin sgemm = compile("kernels/simt/examples/sgemm.cu", 86).cubin;
    const MainLoop loop = find_main_loop(find(sgemm, "examples::sgemm_tiled"), 86);
    CHECK(loop.ffma == 8 * 64);  // 8 deep, 8 x 8 a thread
    CHECK(loop.share() > 0.85);
    CHECK(loop.share() < 0.95);
  }

  TEST_CASE("what is no cubin is named") {
    CHECK_THROWS_WITH_AS(read_cubin("/nonexistent"), "/nonexistent: cannot be opened",
                         std::runtime_error);
    CHECK_THROWS_AS(read_cubin(ETUDE_SOURCE "/tests/gate/calibration.cu"), std::runtime_error);
  }
}

}  // namespace etude::gate
