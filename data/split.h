// Splits by song or by group, made before anything is cut into segments.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace etude::data {

struct Split {
  std::vector<int> train, val, test;  // indices into Dataset::items
};

struct SplitOptions {
  std::uint64_t seed = 0;
  double val_fraction = 0.15, test_fraction = 0.15;
  std::string group_by;         // a column: its values never straddle two parts
  std::filesystem::path file;   // a split.csv to take over; items it lacks are an Error
};

// Items that carry a split keep it (a missing `val` is carved from `train`, by group); the others
// are divided by the seed, groups whole, stratified by `labels` (one int an item) where it can be.
Split make_split(const Dataset& dataset, const std::vector<int>& labels,
                 const SplitOptions& options);

// K folds by group (`folds[k]` = test indices of fold k), or one fold a value of `column`.
std::vector<std::vector<int>> make_folds(const Dataset& dataset, const std::vector<int>& labels,
                                         int k, const std::string& column,
                                         const SplitOptions& options);

// CSV with the header `id,split`.
void write_split(const std::filesystem::path& path, const Dataset& dataset, const Split& split);
Split read_split(const std::filesystem::path& path, const Dataset& dataset);

}  // namespace etude::data
