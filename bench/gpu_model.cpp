#include "bench/gpu_model.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>

#include "data/csv.h"

namespace etude::bench {
namespace {

constexpr double kLaunch = 3e-6;  // seconds

// Lines of `table` that begin with # are comments.
data::Csv read_gate(const std::string& table) {
  const std::string text = table.starts_with("#")
                               ? table.substr(std::min(table.find('\n'), table.size() - 1) + 1)
                               : table;
  return data::Csv::parse(text, "gate.csv");
}

std::string family(const std::string& kernel) { return kernel.substr(0, kernel.find('<')); }

Compiled find_in(const data::Csv& csv, const std::string& kernel, int arch) {
  const int name = csv.column("kernel"), sm = csv.column("arch"), ffma = csv.column("ffma"),
            blocks = csv.column("blocks");
  for (const bool exact : {true, false})
    for (int i = 0; i < csv.rows(); ++i) {
      if (csv.text(i, sm) != std::to_string(arch)) continue;
      const std::string& row = csv.text(i, name);
      if (exact ? row != kernel : family(row) != family(kernel)) continue;
      const double share = csv.text(i, ffma).empty() ? 0 : csv.number(i, ffma) / 100;
      return {share > 0 ? share : 1, csv.integer(i, blocks)};
    }
  return {};
}

}  // namespace

const std::vector<Gpu>& gpus() {
  static const std::vector<Gpu> all = {
      {"T4", 75, 8.1e12, 320e9, 40, 64},       {"A100", 80, 19.5e12, 2039e9, 108, 64},
      {"3090", 86, 35.6e12, 936e9, 82, 128},   {"4090", 89, 82.6e12, 1008e9, 128, 128},
      {"H100", 90, 67e12, 3350e9, 132, 128},   {"B200", 100, 75e12, 8000e9, 148, 128},
      {"5090", 120, 105e12, 1792e9, 170, 128},
  };
  return all;
}

const Gpu* find_gpu(const std::string& name) {
  for (const Gpu& gpu : gpus())
    if (name.find(gpu.name) != std::string::npos) return &gpu;
  return nullptr;
}

Compiled find_compiled(const std::string& table, const std::string& kernel, int arch) {
  return find_in(read_gate(table), kernel, arch);
}

Compiled find_compiled(const std::string& kernel, int arch) {
  static const std::optional<data::Csv> csv = []() -> std::optional<data::Csv> {
    std::ifstream file(ETUDE_GATE_TABLE);
    std::stringstream text;
    if (!(text << file.rdbuf())) return {};
    return read_gate(text.str());
  }();
  return csv ? find_in(*csv, kernel, arch) : Compiled{};
}

ModelTime model_time(const Gpu& gpu, double flops, double bytes, const Counters* counted,
                     const Compiled& compiled) {
  const double compute = flops / (gpu.flops * compiled.math_share);
  const double memory = (counted ? std::max(bytes, counted->bytes) : bytes) / gpu.bandwidth;
  const double shared = counted ? counted->wavefronts / (gpu.sms * gpu.clock()) : 0;
  ModelTime time;
  time.seconds = std::max({compute, memory, shared});
  time.bound = time.seconds == memory    ? "memory"
               : time.seconds == compute ? "compute"
                                         : "shared memory";
  if (counted && counted->blocks > 0 && compiled.blocks > 0) {
    time.waves = counted->blocks / (static_cast<double>(gpu.sms) * compiled.blocks);
    time.seconds *= std::ceil(time.waves) / time.waves;
  }
  time.seconds += kLaunch;
  return time;
}

}  // namespace etude::bench
