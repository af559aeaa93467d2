// Runs the case table. Exit 77, "skipped", where ETUDE_TEST_DEVICES names no device that is there.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/case_runner.h"

#ifdef ETUDE_SIMT_BUILD
namespace etude::ETUDE_SIMT_BUILD {
const Kernels<float>& table();
}
#endif

#ifdef ETUDE_LANES16_BUILD
namespace etude::cpu_lanes16 {
const Kernels<float>& table();
}
#endif

int main(int argc, char** argv) {
#ifdef ETUDE_LANES16_BUILD
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#endif
    etude::add_isa("lanes16", etude::cpu_lanes16::table);
#endif
#ifdef ETUDE_SIMT_BUILD
  etude::use_simt_table(etude::ETUDE_SIMT_BUILD::table());
#endif
  if (etude::test::targets().empty()) {
    std::printf("skipped: none of the devices %s is there; cuda: %s\n",
                std::getenv("ETUDE_TEST_DEVICES"),
                etude::device_problem({etude::DeviceKind::cuda}).c_str());
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
