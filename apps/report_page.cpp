#include "apps/report_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/svg.h"
#include "apps/version.h"

namespace etude::apps {

namespace {

std::string as_text(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::string text;
    for (const Json& part : value) {
      if (!text.empty()) text += ", ";
      text += as_text(part);
    }
    return text.empty() ? "-" : text;
  }
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.dump();
}

}  // namespace

std::string page(const std::string& title, const std::string& subtitle, const std::string& body,
                 const std::string& source) {
  return fmt::format(
      "<!DOCTYPE html>\n"
      "<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<main>\n"
      "<header><h1>{0}</h1><p>{2}</p></header>\n{3}"
      "<footer>Made by etude {4}. {5}</footer>\n</main>\n</body>\n</html>\n",
      escape(title), report_style(), escape(subtitle), body, version(), escape(source));
}

std::string tiles(const std::vector<Tile>& list) {
  std::string out = "<div class=\"tiles\">\n";
  for (std::size_t i = 0; i < list.size(); ++i)
    out += fmt::format("<div class=\"tile{}\"><b>{}</b><span>{}</span></div>\n",
                       i == 0 ? " first" : "", escape(list[i].value), escape(list[i].caption));
  return out + "</div>\n";
}

std::string card(const std::string& content, const std::string& css) {
  return fmt::format("<div class=\"card{}{}\">\n{}</div>\n", css.empty() ? "" : " ", css, content);
}

std::string section(const std::string& title, const std::string& content) {
  return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", escape(title), content);
}

std::string key_table(const Json& object) {
  std::string out = "<table>\n";
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      for (const auto& [inner, inner_value] : value.items())
        out += fmt::format("<tr><td class=\"key\">{}</td><td class=\"wide\">{}</td></tr>\n",
                           escape(key + "." + inner), escape(as_text(inner_value)));
      continue;
    }
    out += fmt::format("<tr><td class=\"key\">{}</td><td class=\"wide\">{}</td></tr>\n",
                       escape(key), escape(as_text(value)));
  }
  return out + "</table>\n";
}

std::string table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<table>\n<tr>";
  for (std::size_t c = 0; c < head.size(); ++c)
    out += fmt::format("<th{}>{}</th>", c > 0 ? " class=\"n\"" : "", escape(head[c]));
  out += "</tr>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      out += fmt::format("<td{}>{}</td>", c > 0 ? " class=\"n\"" : "", row[c]);
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string metered(double share) {
  return fmt::format("{:.3f}<span class=\"meter\"><i style=\"width:{:.0f}%\"></i></span>", share,
                     100 * std::clamp(share, 0.0, 1.0));
}

}  // namespace etude::apps
