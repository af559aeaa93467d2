// The frame and the small parts that the pages of report.cpp share.
#pragma once

#include <string>
#include <vector>

#include "apps/json.h"

namespace etude::apps {

const char* report_style();

// The whole document around `body`; well-formed as XML too. `source`: where its content comes from.
std::string page(const std::string& title, const std::string& subtitle, const std::string& body,
                 const std::string& source =
                     "Everything on this page comes from the files beside it: run.json, "
                     "metrics.jsonl, eval-*.json.");

struct Tile {
  std::string value, caption;
};
std::string tiles(const std::vector<Tile>& tiles);
std::string card(const std::string& content, const std::string& css = {});
std::string section(const std::string& title, const std::string& content);

// Two columns: the keys of an object and its values as text.
std::string key_table(const Json& object);
// A table; the first column is text, the others are numbers. Cells are escaped already.
std::string table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows);
// "0.873" with a small bar beside it.
std::string metered(double share);

}  // namespace etude::apps
