// What a row of the benchmark has to say, and how it is told: table, CSV, JSON.
#pragma once

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/counters.h"
#include "bench/machine.h"

namespace etude::bench {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

struct Result {
  std::string suite, name, kernel, settings;  // the problem
  std::string provider, note;
  std::string cache;  // "warm": the same buffers again; "cold": buffers that no cache holds
  int threads = 0;
  bool gpu = false;
  Machine machine{};  // what the row is given in percent of

  std::vector<double> seconds;    // a call each
  std::vector<double> processor;  // the same in processor time of all threads; not of a GPU
  double flops = 0, bytes = 0, items = 0;
  std::string unit;
  std::size_t workspace = 0;
  double error = kUnknown;          // max|y - reference| / max|reference|
  std::optional<bool> repeats;      // a second call gave the same bits
  double versus = kUnknown;         // time of the fastest other provider / this time
  std::optional<Counters> counted;  // etude:simt: no time
  std::string failure;              // why there is nothing

  double quantile(double q) const;
  double median() const { return quantile(0.5); }
  double rate(double amount) const { return amount / median(); }  // a second
  double intensity() const { return bytes > 0 ? flops / bytes : kUnknown; }
  // The least time that the machine's peaks allow: the larger of arithmetic and traffic.
  double least_seconds() const;
  // "memory", "compute"; "" where the problem does not say both (whole models move what they move).
  const char* bound() const;
  double speed_of_light() const { return least_seconds() / median(); }
};

// q of 0 ... 1, linear between samples; NaN where there are none.
double quantile(std::vector<double> samples, double q);

// Larger errors are no rounding: the row is marked, and the program's exit status is 1.
inline constexpr double kWrong = 1e-4;
bool wrong(const Result& result);

// Sets `versus` in rows of the same problem, threads and cache.
void compare(std::vector<Result>& results);

std::string table_header();
std::string table_row(const Result& result);  // a line; for counts, what was counted

std::string to_csv(const std::vector<Result>& results);
// `context`: machine, versions, what was skipped.
nlohmann::ordered_json to_json(const std::vector<Result>& results,
                               const nlohmann::ordered_json& context);

// "12.3 us", "4.56 ms"
std::string duration(double seconds);

}  // namespace etude::bench
