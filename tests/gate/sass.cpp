#include "tests/gate/sass.h"

#include <algorithm>
#include <map>
#include <vector>

namespace etude::gate {
namespace {

// Bits 73 to 75 of RED and ATOMG before sm_90: 3 float, 4 half, 6 double, else integers.
bool has_float_type(Instruction i) {
  const unsigned type = i.high >> 9 & 7;
  return type == 3 || type == 4 || type == 6;
}

bool is_float_atomic(Instruction i, int arch) {
  switch (i.opcode()) {
    case kATOM_F:
    case kATOMG_F:
    case kRED_F:
    case kATOM_CAS:
    case kATOMS_CAS:
    case kATOMG_CAS:
    case kATOM_CAS_G:
      return true;
    case kATOM:
    case kATOMG:
    case kRED:
      return arch < 90 && has_float_type(i);
    default:
      return false;
  }
}

bool is_unconditional(Instruction i) { return (i.low >> 12 & 0xf) == 7; }

struct Loop {
  std::int64_t begin, end;  // first and last instruction
  std::int64_t ffma = 0;
};

}  // namespace

std::int64_t branch_target(const Kernel& kernel, std::int64_t index, int arch) {
  const Instruction i = kernel.code[static_cast<std::size_t>(index)];
  constexpr unsigned kHighBits = 18;
  auto high = static_cast<std::int64_t>(i.high & ((1u << kHighBits) - 1));
  if (high >> (kHighBits - 1)) high -= std::int64_t{1} << kHighBits;
  std::int64_t words = high * (std::int64_t{1} << 30) | static_cast<std::int64_t>(i.low >> 34);
  if (arch >= 90) words = words * 256 | static_cast<std::int64_t>(i.low >> 16 & 0xff);
  return index + 1 + words / 4;
}

Unwanted find_unwanted(const Kernel& kernel, int arch) {
  Unwanted found;
  for (const Instruction i : kernel.code) {
    const unsigned op = i.opcode();
    found.local += op == kLDL || op == kSTL;
    found.generic += op == kLD || op == kST || op == kATOM || op == kATOM_F || op == kATOM_CAS;
    found.float_atomics += is_float_atomic(i, arch);
  }
  return found;
}

MainLoop find_main_loop(const Kernel& kernel, int arch) {
  std::map<std::int64_t, std::int64_t> ends;  // by beginning
  const auto size = static_cast<std::int64_t>(kernel.code.size());
  for (std::int64_t i = 0; i < size; ++i) {
    if (kernel.code[static_cast<std::size_t>(i)].opcode() != kBRA) continue;
    const std::int64_t target = branch_target(kernel, i, arch);
    if (target >= 0 && target <= i) ends[target] = std::max(ends[target], i);
  }
  std::vector<Loop> loops;
  for (const auto& [begin, end] : ends) {
    Loop loop{begin, end};
    bool whole = true;
    for (std::int64_t i = begin; i <= end; ++i) {
      const Instruction instruction = kernel.code[static_cast<std::size_t>(i)];
      loop.ffma += instruction.opcode() == kFFMA;
      if (instruction.opcode() == kEXIT && is_unconditional(instruction)) whole = false;
    }
    if (whole && loop.ffma > 0) loops.push_back(loop);
  }
  const Loop* best = nullptr;
  for (const Loop& loop : loops) {
    const bool innermost = std::none_of(loops.begin(), loops.end(), [&](const Loop& inner) {
      return &inner != &loop && inner.begin >= loop.begin && inner.end <= loop.end &&
             2 * inner.ffma >= loop.ffma;
    });
    if (innermost && (!best || loop.ffma > best->ffma)) best = &loop;
  }
  return best ? MainLoop{best->end - best->begin + 1, best->ffma} : MainLoop{};
}

}  // namespace etude::gate
