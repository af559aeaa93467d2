#include "data/files.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "data/audio.h"

namespace etude::data {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::error_code error;
  check(fs::exists(path, error), "{}: no such file", path.string());
  check(!fs::is_directory(path, error), "{}: is a folder; expected a file", path.string());
  std::ifstream in(path, std::ios::binary);
  check(in.good(), "{}: cannot be opened ({})", path.string(), std::strerror(errno));
  std::string bytes;
  const auto size = fs::file_size(path, error);
  if (!error) bytes.reserve(size);
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0)
    bytes.append(block, static_cast<std::size_t>(in.gcount()));
  check(!in.bad(), "{}: reading failed ({})", path.string(), std::strerror(errno));
  return bytes;
}

void write_file(const fs::path& path, std::string_view bytes) {
  static std::atomic<unsigned> counter{0};
  std::error_code error;
  if (path.has_parent_path()) {
    fs::create_directories(path.parent_path(), error);
    check(!error, "{}: the folder cannot be made ({})", path.parent_path().string(),
          error.message());
  }
  fs::path temporary = path;
  temporary += fmt::format(".{}-{}.tmp", ::getpid(), counter++);
  {
    std::ofstream out(temporary, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) {
      const int reason = errno;
      fs::remove(temporary, error);
      fail("{}: cannot be written ({})", path.string(), std::strerror(reason));
    }
  }
  fs::rename(temporary, path, error);
  if (error) {
    const std::string reason = error.message();
    fs::remove(temporary, error);
    fail("{}: cannot be replaced ({})", path.string(), reason);
  }
}

std::vector<fs::path> find_below(const fs::path& root,
                                 const std::function<bool(const fs::directory_entry&)>& wanted,
                                 int max_depth) {
  std::vector<fs::path> found;
  std::error_code error;
  const fs::directory_entry self(root, error);
  if (!error && wanted(self)) return {root};
  std::vector<fs::path> level{root};
  // Breadth first: the order is by depth, and within a level by name.
  for (int depth = 0; depth < max_depth && !level.empty(); ++depth) {
    std::vector<fs::path> hits, deeper;
    for (const fs::path& folder : level) {
      fs::directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
      for (const auto end = fs::directory_iterator(); !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (name.starts_with('.') || name == "__MACOSX") continue;
        if (wanted(*it)) {
          hits.push_back(it->path());
        } else if (std::error_code ignored; it->is_directory(ignored)) {
          deeper.push_back(it->path());
        }
      }
    }
    std::sort(hits.begin(), hits.end());
    std::sort(deeper.begin(), deeper.end());
    found.insert(found.end(), hits.begin(), hits.end());
    level = std::move(deeper);
  }
  return found;
}

fs::path find_one_below(const fs::path& root, const std::string& what,
                        const std::function<bool(const fs::directory_entry&)>& wanted,
                        int max_depth) {
  const auto found = find_below(root, wanted, max_depth);
  if (found.empty()) return {};
  const auto depth = [](const fs::path& path) { return std::distance(path.begin(), path.end()); };
  check(found.size() < 2 || depth(found[0]) != depth(found[1]),
        "{}: {} is there twice ({} and {}); give the folder of one of them", root.string(), what,
        found[0].string(), found.size() < 2 ? "" : found[1].string());
  return found[0];
}

std::map<int, fs::path> numbered_audio(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());  // the first of 7.flac and 7.mp3 is taken
  std::map<int, fs::path> files;
  for (const fs::path& path : entries) {
    const std::string stem = path.stem().string();
    int number = 0;
    const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (error == std::errc{} && end == stem.data() + stem.size() && is_audio_file(path))
      files.emplace(number, path);
  }
  return files;
}

void check_root(const std::string& kind, const fs::path& root) {
  std::error_code error;
  check(fs::exists(root, error), "{}: {}: no such folder", kind, root.string());
  check(fs::is_directory(root, error), "{}: {}: is a file; expected the data set's folder", kind,
        root.string());
  fs::directory_iterator probe(root, error);
  check(!error, "{}: {}: cannot be read ({})", kind, root.string(), error.message());
}

bool natural_less(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      const auto run = [&](std::string_view text, std::size_t& at) {
        const std::size_t first = at;
        while (at < text.size() && digit(text[at])) ++at;
        auto digits = text.substr(first, at - first);
        digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
        return digits;
      };
      const auto x = run(a, i), y = run(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i, ++j;
    }
  }
  if (i < a.size() || j < b.size()) return j < b.size();
  return a < b;  // "01" and "1": equal in value, still two names
}

std::string some_of(const std::vector<std::string>& names, std::size_t limit) {
  if (names.size() <= limit) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{}, ... ({} in all)", fmt::join(names.begin(), names.begin() + limit, ", "),
                     names.size());
}

}  // namespace etude::data
