// What nvcc made of a kernel, read from a cubin: the ELF file of one architecture that ptxas writes
// and a fat binary contains. No tool of the toolkit is needed.
//
// The format is not documented. What is used of it, as CUDA 11 to 13 write it for sm_75 and up:
//
//   header flags, bits 8-15        architecture: 75, 80, ...
//   .note.nv.tkinfo                the compiler's version, as text: "V13.0.88"
//   .text.<symbol>                 code: 16 bytes an instruction, the opcode in the lowest 9 bits
//   .nv.shared.<symbol>            its size is the static shared memory; from sm_90 on, with the
//                                  1024 bytes that the driver keeps for itself in each block
//   .nv.info                       attributes (format byte, attribute byte, 16-bit size, data) of
//                                  all kernels: registers 0x2f and stack frame 0x11, each with
//                                  the index of the kernel's symbol and the value
//   .nv.info.<symbol>              those of one kernel: launch bounds 0x05 or block size 0x10 (x,
//   y,
//                                  z), and 0x55, pairs (1, offset) of the instructions that spill
//
// test_calibration.cpp compares it with what the compiler itself says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace etude::gate {

struct Instruction {
  std::uint64_t low = 0, high = 0;
  unsigned opcode() const { return low & 0x1ff; }
};

struct Kernel {
  std::string symbol;
  std::string name;         // without return type, parameters and outer namespaces
  bool entry = false;       // a kernel, not a function that kernels call
  int registers = 0;        // a thread
  std::int64_t stack = 0;   // bytes a thread
  std::int64_t spills = 0;  // instructions that store or load what found no register
  std::int64_t shared = 0;  // static, bytes a block
  int threads = 0;          // the largest block by its launch bounds; 0: none stated
  std::vector<Instruction> code;
};

struct Cubin {
  int arch = 0;          // 80 for sm_80
  std::string compiler;  // "V13.0.88", empty if the file does not say
  std::vector<Kernel> kernels;
};

// Throws std::runtime_error that names the file and what is wrong with it.
Cubin read_cubin(const std::string& path);

// "conv2d_gemm<64, 64>" of a mangled kernel's name.
std::string readable_name(const std::string& symbol);

}  // namespace etude::gate
