#include "apps/config_file.h"

#include <algorithm>

#include "apps/usage.h"

namespace etude::apps {

namespace {

// The names of the subcommands on the command line, outermost first: {"data", "verify"}.
std::vector<std::string> called(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    names.push_back(at->get_name());
  }
  return names;
}

const CLI::App* find(const CLI::App& app, const std::vector<std::string>& path) {
  const CLI::App* at = &app;
  for (const auto& name : path) {
    const auto below =
        at->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == name; });
    if (below.empty()) return nullptr;
    at = below.front();
  }
  return at;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) {
    if (!text.empty()) text += ' ';
    text += name;
  }
  return text;
}

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& in) const {
  const auto command = called(app_);
  std::vector<CLI::ConfigItem> kept;
  for (CLI::ConfigItem item : CLI::ConfigTOML::from_config(in)) {
    if (item.name == "++" || item.name == "--") continue;  // section marks
    if (item.parents.empty()) item.parents = command;
    const CLI::App* section = find(app_, item.parents);
    check_usage(section != nullptr, "config file: unknown section [{}]; sections are subcommands",
                joined(item.parents));
    if (!section->get_option_no_throw("--" + item.name))
      std::replace(item.name.begin(), item.name.end(), '_', '-');
    const CLI::Option* option = section->get_option_no_throw("--" + item.name);
    check_usage(option && option->get_configurable(),
                "config file: unknown key `{}` for `{}`; see `etude {} --help`", item.name,
                joined(item.parents), joined(item.parents));
    if (item.parents == command) kept.push_back(std::move(item));
  }
  return kept;
}

}  // namespace etude::apps
