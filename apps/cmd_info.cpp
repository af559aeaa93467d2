// etude info: what this build and this machine can do.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/commands.h"
#include "apps/json.h"
#include "apps/version.h"
#include "engine/device.h"
#include "engine/error.h"
#include "kernels/vendor/loader.h"

namespace etude::apps {

namespace {

struct DeviceLine {
  std::string name;
  bool available = false;
  std::string remark;  // the kernel table, or why it is not there
};

std::vector<DeviceLine> device_lines() {
  std::vector<DeviceLine> lines;
  for (const Device device : available_devices())
    lines.push_back({to_string(device), true,
                     fmt::format("kernels {}; {}", kernels_for<float>(device).name,
                                 describe(device))});
  for (const DeviceKind kind : {DeviceKind::cuda, DeviceKind::simt}) {
    const std::string name = to_string(Device{kind});
    const bool listed = std::any_of(lines.begin(), lines.end(), [&](const DeviceLine& line) {
      return line.name == name || line.name.rfind(name + ":", 0) == 0;
    });
    if (!listed) lines.push_back({name, false, device_problem({kind})});
  }
  return lines;
}

// NVIDIA's libraries: name and version, and why one cannot be used.
std::vector<std::pair<std::string, std::string>> vendor_lines() {
  const Vendor& library = vendor();
  if (!library.table) return {{"libetude-vendor", library.problem}};
  std::vector<std::pair<std::string, std::string>> lines;
  for (int i = 0; i < library.table->libraries; ++i) {
    const std::string name = library.table->library_name(i);
    const char* problem = library.table->library_problem(i);
    lines.emplace_back(name, problem ? problem : "ready");
  }
  return lines;
}

int info(bool as_json) {
  const auto devices = device_lines();
  const auto isas = available_isas();
  if (as_json) {
    Json json = {{"etude", version()}};
    json["devices"] = Json::array();
    for (const auto& line : devices)
      json["devices"].push_back(
          {{"name", line.name}, {"available", line.available}, {"remark", line.remark}});
    json["auto"] = to_string(parse_device("auto"));
    json["instruction_sets"] = isas;
    json["instruction_set"] = chosen_isa();
    json["threads"] = num_threads();
    for (const auto& [name, text] : library_versions()) json["libraries"][name] = text;
    for (const auto& [name, text] : vendor_lines()) json["vendor"][name] = text;
    fmt::print("{}\n", json.dump(2));
    return exit_done;
  }
  fmt::print("etude {}\n\ndevices\n", version());
  for (const auto& line : devices)
    fmt::print("  {:<12}{}{}\n", line.name, line.available ? "" : "not available: ", line.remark);
  fmt::print("  {:<12}{}\n\n", "auto", "chooses " + to_string(parse_device("auto")));
  std::string others;
  for (const auto& isa : isas) {
    if (!others.empty()) others += ", ";
    others += isa;
  }
  fmt::print("instruction set  {} (this processor: {}; ETUDE_ISA overrides)\n", chosen_isa(),
             others);
  fmt::print("threads          {} (results do not depend on it)\n\nlibraries\n", num_threads());
  for (const auto& [name, text] : library_versions()) fmt::print("  {:<15}{}\n", name, text);
  fmt::print("\nvendor libraries (benchmarks, linear layers on request)\n");
  for (const auto& [name, text] : vendor_lines()) fmt::print("  {}: {}\n", name, text);
  return exit_done;
}

}  // namespace

Command info_command(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("info", "Devices, instruction set, threads and versions");
  sub->add_flag("--json", *json, "One JSON object on stdout");
  sub->footer("Example:\n  etude info");
  return {sub, [json] { return info(*json); }};
}

}  // namespace etude::apps
