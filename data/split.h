// Splits by song or by group, made before anything is cut into segments.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace etude::data {

struct Split {
  std::vector<int> train, val, test;  // indices into Dataset::items
};

struct SplitOptions {
  std::uint64_t seed = 0;
  double val_fraction = 0.15, test_fraction = 0.15;  // of the items that are divided
  std::string group_by;        // a column: its values never straddle two parts
  std::filesystem::path file;  // a split.csv to take over; items it lacks are an Error
};

// `labels` (one int an item, or none at all) are what the parts are balanced by; items whose label
// is negative are in no part.
//
// Items that carry a split keep it, even where that breaks a group; the others are divided by the
// seed, groups whole, a group of which a member carries a split going with it. An empty `val` is
// then carved from `train` (val_fraction of it), by group. An item whose column `group_by` is empty
// or missing is a group of its own. Parts are sorted. Error for a column nobody has, and when there
// are too few groups for the parts.
Split make_split(const Dataset& dataset, const std::vector<int>& labels,
                 const SplitOptions& options);

// K folds by group (`folds[k]` = test indices of fold k, sorted), balanced by `labels` as above, or
// one fold a value of `column` (in natural order; every item must have it; k is ignored).
// The rest of a fold is its training part, from which make_split() carves `val` when the fold's
// items carry "test" and the others "train".
std::vector<std::vector<int>> make_folds(const Dataset& dataset, const std::vector<int>& labels,
                                         int k, const std::string& column,
                                         const SplitOptions& options);

// CSV with the header `id,split`; an empty split is an item in no part. read_split() takes ids that
// the data set lacks as they are (the corpus may be partial) and an item that the file lacks as an
// Error.
void write_split(const std::filesystem::path& path, const Dataset& dataset, const Split& split);
Split read_split(const std::filesystem::path& path, const Dataset& dataset);
// The same for a `folder` data set whose roots now have other names, which ids begin with: items
// are found by what follows. Empty where that does not fit either.
std::optional<Split> read_moved_split(const std::filesystem::path& path, const Dataset& dataset);

}  // namespace etude::data
