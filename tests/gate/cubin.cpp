#include "tests/gate/cubin.h"

#include <cxxabi.h>
#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace etude::gate {
namespace {

constexpr std::uint8_t kEntry = 0x10;  // in a symbol's st_other
constexpr std::int64_t kReserved = 1024;

// A file in memory, every access checked.
class Bytes {
 public:
  Bytes(std::string path, std::string bytes) : path_(std::move(path)), bytes_(std::move(bytes)) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(path_ + ": " + what);
  }
  std::string_view view(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) fail("cut off, or no cubin");
    return std::string_view(bytes_).substr(at, size);
  }
  template <class T>
  T read(std::uint64_t at) const {
    T value;
    std::memcpy(&value, view(at, sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text(std::uint64_t at) const {
    const std::size_t end = bytes_.find('\0', at);
    if (end == std::string::npos) fail("a name without end");
    return bytes_.substr(at, end - at);
  }

 private:
  std::string path_, bytes_;
};

struct Section {
  std::string name;
  Elf64_Shdr header;
};

std::vector<Section> read_sections(const Bytes& file, const Elf64_Ehdr& header) {
  std::vector<Section> sections;
  const auto at = [&](unsigned i) {
    return file.read<Elf64_Shdr>(header.e_shoff + std::uint64_t{i} * sizeof(Elf64_Shdr));
  };
  const std::uint64_t names = at(header.e_shstrndx).sh_offset;
  for (unsigned i = 0; i < header.e_shnum; ++i)
    sections.push_back({file.text(names + at(i).sh_name), at(i)});
  return sections;
}

// Calls f(attribute, data) for each attribute of a .nv.info section. Format 4 has a size and data;
// the others have their value in place of the size.
template <class F>
void each_attribute(std::string_view info, F f) {
  std::size_t i = 0;
  while (i + 4 <= info.size()) {
    const auto format = static_cast<unsigned char>(info[i]);
    const auto attribute = static_cast<unsigned char>(info[i + 1]);
    std::uint16_t size = 0;
    std::memcpy(&size, info.data() + i + 2, 2);
    i += 4;
    if (format != 4) continue;
    if (size > info.size() - i) break;
    std::vector<std::uint32_t> words(size / 4);
    std::memcpy(words.data(), info.data() + i, words.size() * 4);
    f(attribute, words);
    i += size;
  }
}

void erase_all(std::string& text, std::string_view part) {
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos;)
    text.erase(at, part.size());
}

}  // namespace

std::string readable_name(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), std::free);
  if (status != 0) return symbol;
  std::string name = demangled.get();
  erase_all(name, "(anonymous namespace)::");
  erase_all(name, "etude::cuda::");
  erase_all(name, "(int)");
  erase_all(name, "(bool)");
  // The return type of a template ends, and the parameters begin, outside all angle brackets.
  int depth = 0;
  std::size_t begin = 0, end = name.size();
  for (std::size_t i = 0; i < end; ++i) {
    const char c = name[i];
    if (c == '<') ++depth;
    if (c == '>') --depth;
    if (depth == 0 && c == ' ') begin = i + 1;
    if (depth == 0 && c == '(') end = i;
  }
  return name.substr(begin, end - begin);
}

Cubin read_cubin(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path + ": cannot be opened");
  const Bytes file(path, {std::istreambuf_iterator<char>(stream), {}});
  const auto header = file.read<Elf64_Ehdr>(0);
  constexpr Elf64_Half kCuda = 190;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != kCuda)
    file.fail("no cubin");

  Cubin cubin;
  cubin.arch = static_cast<int>(header.e_flags >> 8 & 0xff);
  const std::vector<Section> sections = read_sections(file, header);
  const auto contents = [&](const Section& s) {
    return file.view(s.header.sh_offset, s.header.sh_type == SHT_NOBITS ? 0 : s.header.sh_size);
  };

  std::map<std::string, Kernel> kernels;
  for (const Section& section : sections) {
    if (section.name == ".note.nv.tkinfo") {
      const std::string_view text = contents(section);
      const std::size_t at = text.find(", V");
      if (at != std::string_view::npos) cubin.compiler = text.substr(at + 2).data();
    }
    if (!section.name.starts_with(".text.")) continue;
    const std::string_view bytes = contents(section);
    if (bytes.size() % sizeof(Instruction) != 0)
      file.fail(section.name + ": no whole instructions");
    Kernel& kernel = kernels[section.name.substr(6)];
    kernel.symbol = section.name.substr(6);
    kernel.name = readable_name(kernel.symbol);
    kernel.code.resize(bytes.size() / sizeof(Instruction));
    std::memcpy(kernel.code.data(), bytes.data(), bytes.size());
  }

  std::vector<std::string> symbols;  // by index
  for (const Section& section : sections) {
    if (section.header.sh_type != SHT_SYMTAB) continue;
    if (section.header.sh_link >= sections.size()) file.fail("a symbol table without names");
    const std::uint64_t names = sections[section.header.sh_link].header.sh_offset;
    for (std::uint64_t i = 0; i < section.header.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto symbol = file.read<Elf64_Sym>(section.header.sh_offset + i * sizeof(Elf64_Sym));
      symbols.push_back(file.text(names + symbol.st_name));
      const auto kernel = kernels.find(symbols.back());
      if (kernel != kernels.end() && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC)
        kernel->second.entry = symbol.st_other & kEntry;
    }
  }

  for (const Section& section : sections) {
    if (section.name == ".nv.info") {
      each_attribute(contents(section), [&](unsigned attribute, const auto& words) {
        if (words.size() != 2 || words[0] >= symbols.size()) return;
        const auto kernel = kernels.find(symbols[words[0]]);
        if (kernel == kernels.end()) return;
        if (attribute == 0x2f) kernel->second.registers = static_cast<int>(words[1]);
        if (attribute == 0x11) kernel->second.stack = words[1];
      });
    } else if (section.name.starts_with(".nv.info.")) {
      Kernel& kernel = kernels[section.name.substr(9)];
      each_attribute(contents(section), [&](unsigned attribute, const auto& words) {
        if ((attribute == 0x05 || attribute == 0x10) && words.size() == 3)
          kernel.threads = static_cast<int>(words[0] * words[1] * words[2]);
        if (attribute == 0x55)
          for (std::size_t i = 0; i < words.size(); i += 2) kernel.spills += words[i] == 1;
      });
    } else if (section.name.starts_with(".nv.shared.")) {
      const auto kernel = kernels.find(section.name.substr(11));
      if (kernel == kernels.end()) continue;
      const auto size = static_cast<std::int64_t>(section.header.sh_size);
      kernel->second.shared = cubin.arch >= 90 ? size - kReserved : size;
    }
  }
  for (auto& [symbol, kernel] : kernels) {
    if (kernel.entry && kernel.registers == 0) file.fail(symbol + ": no register count");
    cubin.kernels.push_back(std::move(kernel));
  }
  return cubin;
}

}  // namespace etude::gate
