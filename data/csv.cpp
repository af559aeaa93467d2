#include "data/csv.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "data/files.h"

namespace etude::data {
namespace {

constexpr std::string_view kBlank = " \t";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Cuts text into rows of fields, one character at a time.
class Scanner {
 public:
  Scanner(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  bool done() const { return at_ >= text_.size(); }
  int line() const { return line_; }

  // The next row; empty for a blank line.
  std::vector<std::string> row() {
    std::vector<std::string> fields;
    for (;;) {
      fields.push_back(field());
      if (done() || text_[at_] != ',') break;
      ++at_;
    }
    end_of_line();
    if (fields.size() == 1 && fields[0].empty()) fields.clear();
    return fields;
  }

 private:
  bool at_line_end() const { return done() || text_[at_] == '\n' || text_[at_] == '\r'; }

  void end_of_line() {
    if (done()) return;
    if (text_[at_] == '\r') ++at_;
    if (!done() && text_[at_] == '\n') ++at_;
    ++line_;
  }

  void skip_blanks() {
    while (!done() && kBlank.find(text_[at_]) != std::string_view::npos) ++at_;
  }

  std::string field() {
    skip_blanks();
    if (!done() && text_[at_] == '"') return quoted();
    const std::size_t first = at_;
    while (!at_line_end() && text_[at_] != ',') ++at_;
    return std::string(trimmed(text_.substr(first, at_ - first)));
  }

  std::string quoted() {
    const int opened = line_;
    std::string out;
    for (++at_;; ++at_) {
      check(!done(), "{}:{}: a quoted field is never closed; add the missing \"", name_, opened);
      const char c = text_[at_];
      if (c == '"') {
        if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
          ++at_;  // a doubled quote stands for one
        } else {
          ++at_;
          break;
        }
      }
      // CRLF counts once, by its CR.
      if (c == '\r' || (c == '\n' && text_[at_ - 1] != '\r')) ++line_;
      out += c;
    }
    skip_blanks();
    check(
        at_line_end() || text_[at_] == ',',
        "{}:{}: text after a closing quote; expected a comma or the end of the line (quotes inside "
        "a field are doubled)",
        name_, line_);
    return out;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

Csv Csv::read(const std::filesystem::path& path, const CsvOptions& options) {
  return parse(read_file(path), path.string(), options);
}

Csv Csv::parse(std::string_view text, const std::string& name, const CsvOptions& options) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  check(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"),
        "{}: text is UTF-16; save the file as UTF-8", name);
  check(text.find('\0') == std::string_view::npos,
        "{}: holds zero bytes; expected comma-separated text", name);

  Csv csv;
  csv.name_ = name;
  Scanner scanner(text, csv.name_);
  while (!scanner.done() && csv.header_.empty()) csv.header_ = scanner.row();
  check(!csv.header_.empty(), "{}: the file is empty; expected a header line with column names",
        name);

  const std::size_t width = csv.header_.size();
  while (!scanner.done()) {
    Row row;
    row.line = scanner.line();
    row.fields = scanner.row();
    if (row.fields.empty()) continue;
    while (row.fields.size() > width && row.fields.back().empty()) row.fields.pop_back();
    if (row.fields.size() != width && !options.ragged)
      fail("{}:{}: row has {} fields, the header has {} ({})", name, row.line, row.fields.size(),
           width, fmt::join(csv.header_, ", "));
    csv.rows_.push_back(std::move(row));
  }
  return csv;
}

int Csv::find(std::string_view name) const {
  const auto exact = std::find(header_.begin(), header_.end(), name);
  if (exact != header_.end()) return static_cast<int>(exact - header_.begin());
  int found = -1;
  for (std::size_t i = 0; i < header_.size(); ++i) {
    if (lower(header_[i]) != lower(name)) continue;
    if (found >= 0) return -1;
    found = static_cast<int>(i);
  }
  return found;
}

int Csv::column(std::string_view name) const {
  const int found = find(name);
  if (found < 0)
    fail("{}: no column \"{}\"; the header has: {}{}", name_, name, fmt::join(header_, ", "),
         header_.size() == 1 ? " (fields are separated by commas)" : "");
  return found;
}

const std::string& Csv::text(int row, int column) const {
  static const std::string empty;
  const auto& fields = rows_[row].fields;
  return column >= 0 && static_cast<std::size_t>(column) < fields.size() ? fields[column] : empty;
}

double Csv::number(int row, int column) const {
  const std::string& field = text(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc{} || end != field.data() + field.size() || !std::isfinite(value))
    fail("{}: column \"{}\" holds \"{}\"; expected a number", where(row), header_[column], field);
  return value;
}

int Csv::integer(int row, int column) const {
  const double value = number(row, column);
  check(value == std::floor(value) && std::abs(value) <= std::numeric_limits<int>::max(),
        "{}: column \"{}\" holds \"{}\"; expected a whole number", where(row), header_[column],
        text(row, column));
  return static_cast<int>(value);
}

std::string Csv::where(int row) const { return fmt::format("{}:{}", name_, rows_[row].line); }

std::string csv_field(std::string_view text) {
  const bool plain = text.find_first_of(",\"\r\n") == std::string_view::npos &&
                     trimmed(text).size() == text.size();
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace etude::data
