# The case table on every device, one entry a suite and device: cases.cpu.agreement and so on. On the
# emulator also in every order, with the address and undefined-behaviour sanitizers, and in the
# build that counts and checks each access. Entries of a device that is not there are skipped.

# etude_case_test(<name> <program> <suite> <device> [ENVIRONMENT <settings...>])
function(etude_case_test name program suite device)
  cmake_parse_arguments(ARG "" "" "ENVIRONMENT" ${ARGN})
  add_test(NAME cases.${name} COMMAND ${program} --test-suite=cases.${suite})
  set_tests_properties(cases.${name} PROPERTIES
    LABELS "kernels;${device}"
    TIMEOUT 1200
    SKIP_RETURN_CODE 77
    ENVIRONMENT "ETUDE_TEST_DEVICES=${device};OMP_WAIT_POLICY=passive;${ARG_ENVIRONMENT}"
    FAIL_REGULAR_EXPRESSION "test cases: +0 ")
endfunction()

foreach(device cpu cuda)
  foreach(suite agreement repeatability nan)
    etude_case_test(${device}.${suite} etude-case-tests ${suite} ${device})
  endforeach()
endforeach()
# Each algorithm of the CPU's convolutions on every shape that it can do, not only where it is chosen.
foreach(algorithm gather planar winograd2 winograd4)
  foreach(suite agreement repeatability nan)
    etude_case_test(cpu.${algorithm}.${suite} etude-case-tests ${suite} cpu
      ENVIRONMENT "ETUDE_CONV_CPU=${algorithm};ETUDE_CASES=conv2d")
  endforeach()
endforeach()
if(NOT TARGET etude_simt OR NOT ETUDE_SIMT)
  return()
endif()
foreach(suite agreement orders nan)
  etude_case_test(simt.${suite} etude-case-tests ${suite} simt)
endforeach()
if(ETUDE_SANITIZE)
  return()  # the whole tree has them
endif()

# The same program with another build of the kernels. It comes with its own runtime, which stands
# before the plain one in etude_kernels on the linker's line.
function(etude_case_program program namespace)
  add_executable(${program} case_main.cpp case_runner.cpp test_cases.cpp)
  target_compile_definitions(${program} PRIVATE ETUDE_SIMT_BUILD=${namespace})
  target_link_libraries(${program} PRIVATE ${ARGN} etude_cases doctest::doctest etude_options)
endfunction()

etude_case_program(etude-case-tests-counting simt_counting etude_simt_counting)
etude_case_test(simt.counting etude-case-tests-counting agreement simt)

etude_add_simt_backend(etude_simt_sanitized_kernels simt_sanitized
  RUNTIME etude_simt_sanitized OPTIONS ${SIMT_SANITIZE})
etude_case_program(etude-case-tests-sanitized simt_sanitized etude_simt_sanitized_kernels)
etude_case_test(simt.sanitized etude-case-tests-sanitized agreement simt
  ENVIRONMENT UBSAN_OPTIONS=print_stacktrace=1)
