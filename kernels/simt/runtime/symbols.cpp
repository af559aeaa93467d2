#include "kernels/simt/runtime/symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

// The dynamic linker's way to a thread-local block; glibc declares it in no public header.
struct TlsIndex {
  unsigned long module, offset;
};
extern "C" void* __tls_get_addr(TlsIndex*);

namespace simt::detail {

namespace {

// [abi:simt_shared], as __shared__ leaves it in a symbol.
constexpr std::string_view kSharedTag = "B11simt_shared";

std::string_view map_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  struct stat status {};
  void* data = MAP_FAILED;
  if (fstat(fd, &status) == 0 && status.st_size > 0)
    data = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (data == MAP_FAILED) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(status.st_size)};
}

// `_ZZ6kernelPfE4tileB11simt_shared` belongs to `6kernelPf`. The name after the E has a length
// before it, which tells the right E from those within the function's name.
std::string_view owner_of(std::string_view symbol) {
  if (!symbol.starts_with("_ZZ")) return {};
  const std::size_t tag = symbol.rfind(kSharedTag);
  for (std::size_t e = symbol.find('E', 3); e < tag; e = symbol.find('E', e + 1)) {
    std::size_t length = 0, at = e + 1;
    while (at < tag && symbol[at] >= '0' && symbol[at] <= '9')
      length = length * 10 + static_cast<std::size_t>(symbol[at++] - '0');
    if (length > 0 && at + length == tag) return symbol.substr(3, e - 3);
  }
  return {};
}

void read_symbols(Module& module) {
  module.file = map_file(module.path);
  const std::string_view file = module.file;
  const auto at = [&]<class T>(std::size_t offset, std::size_t count, const T*) -> const T* {
    if (offset > file.size() || count > (file.size() - offset) / sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(file.data() + offset);
  };
  const auto* header = at(0, 1, static_cast<const ElfW(Ehdr)*>(nullptr));
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return;
  const auto* sections =
      at(header->e_shoff, header->e_shnum, static_cast<const ElfW(Shdr)*>(nullptr));
  if (!sections) return;
  for (int s = 0; s < header->e_shnum; ++s) {
    if (sections[s].sh_type != SHT_SYMTAB || sections[s].sh_link >= header->e_shnum) continue;
    const auto& strings = sections[sections[s].sh_link];
    const std::size_t count = sections[s].sh_size / sizeof(ElfW(Sym));
    const auto* symbols = at(sections[s].sh_offset, count, static_cast<const ElfW(Sym)*>(nullptr));
    const char* names = at(strings.sh_offset, strings.sh_size, static_cast<const char*>(nullptr));
    if (!symbols || !names) continue;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& symbol = symbols[i];
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= strings.sh_size) continue;
      const std::string_view name = names + symbol.st_name;
      const int type = ELF64_ST_TYPE(symbol.st_info);
      if (type == STT_FUNC) {
        module.functions.push_back({module.bias + symbol.st_value, symbol.st_size, name});
      } else if (type == STT_TLS && name.starts_with("_ZZ") &&  // not _ZGV, a guard variable
                 name.find(kSharedTag) != name.npos) {
        module.arrays.push_back({symbol.st_value, symbol.st_size, name, owner_of(name)});
      } else if (type == STT_TLS) {
        module.other_tls.push_back({symbol.st_value, symbol.st_size});
      }
    }
  }
  std::ranges::sort(module.functions, {}, &Module::Function::begin);
  std::ranges::sort(module.arrays, {}, &SharedArray::offset);
  std::ranges::sort(module.other_tls, {}, &Module::Variable::offset);
}

// Leaked on purpose: kernels may run while static objects are destroyed.
struct Modules {
  std::mutex mutex;
  std::vector<std::unique_ptr<Module>> all;
};
Modules& modules() {
  static auto* const instance = new Modules;
  return *instance;
}

int visit(dl_phdr_info* info, std::size_t, void* raw) {
  auto& all = *static_cast<std::vector<std::unique_ptr<Module>>*>(raw);
  auto module = std::make_unique<Module>();
  module->bias = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type == PT_LOAD)
      module->segments.push_back(
          {info->dlpi_addr + segment.p_vaddr, info->dlpi_addr + segment.p_vaddr + segment.p_memsz});
    if (segment.p_type == PT_TLS) module->tls_bytes = segment.p_memsz;
  }
  if (module->tls_bytes > 0) module->tls_module = info->dlpi_tls_modid;
  for (const auto& known : all)
    if (!module->segments.empty() && known->contains(module->segments[0].begin)) return 0;
  module->path = info->dlpi_name;
  if (module->path.empty()) {
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length > 0) module->path.assign(path, static_cast<std::size_t>(length));
  }
  read_symbols(*module);
  all.push_back(std::move(module));
  return 0;
}

}  // namespace

bool Module::contains(std::uintptr_t address) const {
  return std::ranges::any_of(segments,
                             [&](Range r) { return address >= r.begin && address < r.end; });
}

const Module::Function* Module::function_at(std::uintptr_t address) const {
  auto it = std::ranges::upper_bound(functions, address, {}, &Function::begin);
  if (it == functions.begin()) return nullptr;
  --it;
  return address < it->begin + std::max<std::size_t>(it->bytes, 1) ? &*it : nullptr;
}

const SharedArray* Module::array_at(std::size_t offset) const {
  auto it = std::ranges::upper_bound(arrays, offset, {}, &SharedArray::offset);
  if (it == arrays.begin()) return nullptr;
  --it;
  return offset < it->offset + it->bytes ? &*it : nullptr;
}

char* Module::tls() const {
  if (tls_module == 0) return nullptr;
  TlsIndex index{tls_module, 0};
  return static_cast<char*>(__tls_get_addr(&index));
}

const Module* module_of(const void* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  auto& known = modules();
  const std::lock_guard lock(known.mutex);
  for (int attempt = 0; attempt < 2; ++attempt) {
    for (const auto& module : known.all)
      if (module->contains(value)) return module.get();
    if (attempt == 0) dl_iterate_phdr(visit, &known.all);  // the first call, or a new library
  }
  return nullptr;
}

std::string short_name(std::string_view symbol) {
  int status = 0;
  char* raw = abi::__cxa_demangle(std::string(symbol).c_str(), nullptr, nullptr, &status);
  std::string name = raw ? raw : std::string(symbol);
  std::free(raw);
  if (status != 0) return name;
  if (name.ends_with(')')) {  // the parameters: back to the parenthesis that opens them
    int depth = 0;
    for (std::size_t i = name.size(); i-- > 0;) {
      depth += name[i] == ')' ? 1 : name[i] == '(' ? -1 : 0;
      if (depth == 0) {
        name.resize(i);
        break;
      }
    }
  }
  if (name.starts_with("void ")) name.erase(0, 5);
  for (std::size_t at; (at = name.find("(anonymous namespace)::")) != name.npos;)
    name.erase(at, std::strlen("(anonymous namespace)::"));
  return name;
}

std::string array_name(const SharedArray& array) {
  const std::size_t tag = array.symbol.rfind(kSharedTag);
  std::size_t at = array.owner.empty() ? 2 : 3 + array.owner.size() + 1;
  while (at < tag && array.symbol[at] >= '0' && array.symbol[at] <= '9') ++at;
  return std::string(array.symbol.substr(at, tag - at));
}

}  // namespace simt::detail
