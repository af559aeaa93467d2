// Comma-separated values as RFC 4180 has them, with the liberties that annotation files take.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"

namespace etude::data {

struct CsvOptions {
  // Rows may be shorter or longer than the header (DEAM's dynamic annotations); else such a row is
  // an Error. Empty fields beyond the header are always dropped.
  bool ragged = false;
};

// A table in memory. The first row is the header; columns are found by name, never by position.
//
// Understood: quoted fields with commas, line breaks and doubled quotes inside; LF, CRLF and CR
// line ends; a UTF-8 byte order mark; blank lines (skipped). White space around a field and around
// its quotes is dropped, inside quotes it is kept. Every Error names the file and the line.
class Csv {
 public:
  static Csv read(const std::filesystem::path& path, const CsvOptions& options = {});
  // `name` stands for the file in messages.
  static Csv parse(std::string_view text, const std::string& name, const CsvOptions& options = {});

  const std::vector<std::string>& header() const { return header_; }
  int rows() const { return static_cast<int>(rows_.size()); }
  const std::vector<std::string>& row(int row) const { return rows_[row].fields; }

  // The position of a column: its exact name, else the only one that differs in upper and lower
  // case. Error that lists the columns there are; find() answers -1 instead.
  int column(std::string_view name) const;
  int find(std::string_view name) const;

  // A field; empty where a ragged row has ended.
  const std::string& text(int row, int column) const;
  // The field as a finite number; Error for anything else.
  double number(int row, int column) const;
  // The field as an integer ("12", also "12.0").
  int integer(int row, int column) const;

  // "FILE:LINE", for messages about a row.
  std::string where(int row) const;
  const std::string& name() const { return name_; }

 private:
  struct Row {
    std::vector<std::string> fields;
    int line = 0;  // where it starts, 1-based
  };
  std::string name_;
  std::vector<std::string> header_;
  std::vector<Row> rows_;
};

// The text as one field: quoted where it has to be.
std::string csv_field(std::string_view text);

}  // namespace etude::data
