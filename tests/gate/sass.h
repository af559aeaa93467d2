// Machine code of sm_75 and up (SASS), as far as the gate reads it.
//
// Opcodes are the lowest 9 bits of an instruction; the bits above say which operands are registers,
// immediates or constants. Undocumented, the same from sm_75 to sm_120; test_calibration.cpp has a
// kernel for each. Branch offsets are relative to the next instruction, in bits 34 to 81, in units
// of 4 bytes; from sm_90 on those are the upper bits, and bits 16 to 23 the lower.
#pragma once

#include <cstdint>
#include <span>

#include "tests/gate/cubin.h"

namespace etude::gate {

enum Opcode : unsigned {
  kFFMA = 0x023,
  kHMMA = 0x03c,
  kLDSM = 0x03b,
  kBAR = 0x11d,
  kBRA = 0x147,
  kEXIT = 0x14d,
  kLD = 0x180,  // generic: an address that may be global, shared or local
  kLDG = 0x181,
  kLDL = 0x183,
  kLDS = 0x184,
  kST = 0x185,
  kSTG = 0x186,
  kSTL = 0x187,
  kSTS = 0x188,
  kATOM = 0x18a,  // generic
  kATOM_CAS = 0x18b,
  kATOMS = 0x18c,
  kATOMS_CAS = 0x18d,
  kRED = 0x18e,      // before sm_90 of every type, from there of integers
  kATOM_F = 0x1a2,   // sm_90: float
  kATOMG_F = 0x1a3,  // sm_90: float
  kRED_F = 0x1a6,    // sm_90: float
  kATOMG = 0x1a8,
  kATOMG_CAS = 0x1a9,
  kATOM_CAS_G = 0x1aa,
  kLDGSTS = 0x1ae,
};

// Instructions that no kernel here should have.
struct Unwanted {
  std::int64_t local = 0;    // loads and stores of local memory: spills, arrays indexed at run time
  std::int64_t generic = 0;  // loads and stores that must find out which memory they mean
  std::int64_t float_atomics = 0;  // and compare-and-swap, of which float atomics are made
};
Unwanted find_unwanted(const Kernel& kernel, int arch);

// The innermost loop with most of the FFMAs. A loop is the code from the target of a backward
// branch to that branch; of branches to one target the last counts. Code that the compiler moved
// behind the kernel's end, from where it jumps back, is not a loop: its range has an unconditional
// EXIT. A loop counts as innermost if no loop within it holds half of its FFMAs.
struct MainLoop {
  std::int64_t instructions = 0;  // 0: the kernel has no loop with FFMAs
  std::int64_t ffma = 0;
  double share() const {
    return instructions == 0 ? 0 : static_cast<double>(ffma) / static_cast<double>(instructions);
  }
};
MainLoop find_main_loop(const Kernel& kernel, int arch);

// Index of the instruction that the branch at `index` jumps to.
std::int64_t branch_target(const Kernel& kernel, std::int64_t index, int arch);

}  // namespace etude::gate
