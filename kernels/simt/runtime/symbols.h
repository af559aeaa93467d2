// What the program's own symbol tables say: the names of kernels, and where their __shared__ arrays
// lie within a host thread's thread-local storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simt::detail {

struct SharedArray {
  std::size_t offset, bytes;  // within the module's thread-local block
  std::string_view symbol;    // mangled: _ZZ<owner>E<name>...
  std::string_view owner;     // the mangled function without its _Z
};

// The program itself or a library it loaded.
struct Module {
  std::string path;
  std::uintptr_t bias;  // run-time address minus address in the file
  struct Range {
    std::uintptr_t begin, end;
  };
  std::vector<Range> segments;
  std::size_t tls_module = 0;  // 0: no thread-local storage
  std::size_t tls_bytes = 0;

  struct Function {
    std::uintptr_t begin;
    std::size_t bytes;
    std::string_view symbol;
  };
  std::vector<Function> functions;  // by address
  std::vector<SharedArray> arrays;  // by offset
  struct Variable {
    std::size_t offset, bytes;
  };
  std::vector<Variable> other_tls;  // by offset: thread-locals that are not __shared__

  std::string_view file;  // its contents, mapped for as long as the program runs

  bool contains(std::uintptr_t address) const;
  const Function* function_at(std::uintptr_t address) const;
  const SharedArray* array_at(std::size_t tls_offset) const;
  // This host thread's copy of the block.
  char* tls() const;
};

// The module that a code or data address belongs to, or null. Modules are read once, when first
// asked for, and kept.
const Module* module_of(const void* address);

// A mangled function name without return type and parameters: "ns::transpose<32>".
std::string short_name(std::string_view symbol);
// "tile" of a SharedArray.
std::string array_name(const SharedArray& array);

}  // namespace simt::detail
