#include "kernels/simt/runtime/lines.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string_view>

#include "kernels/simt/runtime/symbols.h"

namespace simt::detail {

namespace {

bool is_ours(std::string_view file) {
  for (const auto* part : {"/simt_shim/", "/simt/include/", "/include/c++/", "/usr/lib/gcc"})
    if (file.find(part) != file.npos) return true;
  return false;
}

std::string quoted(const std::string& path) {
  std::string result = "'";
  for (const char c : path) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// "dir/file.cu:12 (discriminator 3)" -> {dir/file.cu, 12}
Line parse(std::string_view text) {
  if (const auto extra = text.find(" ("); extra != text.npos) text = text.substr(0, extra);
  const auto colon = text.rfind(':');
  if (colon == text.npos || text.starts_with("??")) return {};
  const int line = std::atoi(std::string(text.substr(colon + 1)).c_str());
  return line > 0 ? Line{std::string(text.substr(0, colon)), line, false} : Line{};
}

using Cache = std::map<const void*, Line>;

// addr2line -a prints each address ("0x..."), then its frames, the innermost first.
void ask(const Module& module, std::span<const void* const> addresses, Cache& cache) {
  std::string command = "addr2line -a -i -e " + quoted(module.path);
  for (const void* address : addresses) {
    char text[32];  // -1: into the call rather than behind it
    std::snprintf(
        text, sizeof text, " %#zx",
        static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(address) - 1 - module.bias));
    command += text;
  }
  command += " 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return;
  char buffer[8192];
  std::size_t index = 0;  // one past the address that the frames belong to
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    std::string_view text = buffer;
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.starts_with("0x")) {
      ++index;
      continue;
    }
    if (index == 0 || index > addresses.size()) continue;
    Line& known = cache[addresses[index - 1]];
    Line frame = parse(text);
    if (frame.line == 0 || (known.line != 0 && !is_ours(known.file))) continue;
    frame.in_shim = known.line != 0 || is_ours(frame.file);
    known = std::move(frame);
  }
  pclose(pipe);
}

}  // namespace

std::vector<Line> lines_of(std::span<const void* const> addresses) {
  static std::mutex mutex;
  static auto* const cache = new Cache;
  const std::lock_guard lock(mutex);
  std::map<const Module*, std::vector<const void*>> unknown;
  for (const void* address : addresses)
    if (const auto [it, is_new] = cache->try_emplace(address); is_new)
      if (const Module* module = module_of(address)) unknown[module].push_back(address);
  constexpr std::size_t kBatch = 512;  // a command line has a limit
  for (const auto& [module, list] : unknown)
    for (std::size_t i = 0; i < list.size(); i += kBatch)
      ask(*module, std::span(list).subspan(i, std::min(kBatch, list.size() - i)), *cache);
  std::vector<Line> result;
  result.reserve(addresses.size());
  for (const void* address : addresses) result.push_back((*cache)[address]);
  return result;
}

}  // namespace simt::detail
