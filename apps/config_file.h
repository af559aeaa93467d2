// Config files (TOML or INI) for CLI11: flat keys belong to the subcommand that was called.
#pragma once

#include <CLI/CLI.hpp>

namespace etude::apps {

// In CLI11 2.1 only the main app reads a config file, and a key outside a section belongs to it.
// Here such a key goes to the called subcommand, so that `etude train --config run.toml` reads
//     model = "resnet18"
//     epochs = 20
// A [section] names a subcommand, and holds for that one only. Unknown keys are errors that name
// file, section and key.
class ConfigFile final : public CLI::ConfigTOML {
 public:
  explicit ConfigFile(const CLI::App& app) : app_(app) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override;

 private:
  const CLI::App& app_;
};

}  // namespace etude::apps
