// Whether a page is well-formed.
#pragma once

#include <cctype>
#include <string>
#include <vector>

namespace etude::testing {

// The first fault of an XML document: tags that do not close, attributes without quotes, raw "<" or
// "&" in text. Empty for a well-formed one. (No entity or name-character rules: not a parser.)
inline std::string xml_fault(const std::string& text) {
  std::vector<std::string> open;
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '&') {
      const auto end = text.find(';', at);
      if (end == std::string::npos || end - at > 8) return "raw & at " + std::to_string(at);
    }
    if (text[at] != '<') {
      ++at;
      continue;
    }
    if (text.compare(at, 2, "<!") == 0) {
      at = text.find('>', at) + 1;
      continue;
    }
    // To the end of the tag, quotes skipped.
    std::size_t end = at + 1;
    char quote = 0;
    for (; end < text.size() && (quote || text[end] != '>'); ++end) {
      if (text[end] == '<') return "raw < at " + std::to_string(end);
      if (quote ? text[end] == quote : text[end] == '"' || text[end] == '\'')
        quote = quote ? 0 : text[end];
      if (!quote && text[end] == '=' && text[end + 1] != '"')
        return "no quote at " + std::to_string(end);
    }
    if (end >= text.size()) return "open tag at " + std::to_string(at);
    std::size_t name_end = at + 1;
    while (std::isalnum(static_cast<unsigned char>(text[name_end])) || text[name_end] == '/')
      ++name_end;
    const std::string name = text.substr(at + 1, name_end - at - 1);
    if (name[0] == '/') {
      if (open.empty() || open.back() != name.substr(1)) return name + " at " + std::to_string(at);
      open.pop_back();
    } else if (text[end - 1] != '/') {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

}  // namespace etude::testing
