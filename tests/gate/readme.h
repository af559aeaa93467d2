// Tables that live in a README and are written by a program.
#pragma once

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace etude::gate {

// The README with `text` between the lines <!-- NAME:begin --> and <!-- NAME:end -->.
inline std::string with_table(const std::string& path, const std::string& name,
                              const std::string& text) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  std::string readme(std::istreambuf_iterator<char>(file), {});
  const std::string begin = "<!-- " + name + ":begin -->\n", end = "<!-- " + name + ":end -->";
  const std::size_t from = readme.find(begin), to = readme.find(end);
  if (from == std::string::npos || to == std::string::npos || to < from)
    throw std::runtime_error(path + ": no lines '" + begin.substr(0, begin.size() - 1) + "' and '" +
                             end + "' for the table");
  return readme.replace(from + begin.size(), to - from - begin.size(), text);
}

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  if (!file) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace etude::gate
