// A folder of classes: one folder a class, its name the class name, audio files at any depth in it.
#pragma once

#include <filesystem>

#include "data/dataset.h"

namespace etude::data {

// Classes in natural order of their names ("2" before "10"); folders without audio are no classes.
//
// options.groups: CSV with a column `file` (relative to a root, "/" as separator), optionally
// `split` (train, val, test; empty: not said), and any other columns, which become Item::columns.
// Files that the CSV does not list are left out with a warning, and so are listed files that are
// missing or lie in no class. `listed_elsewhere` (where given) collects the listed files that this
// root lacks instead of warning: with several roots, only the caller knows whether another has
// them.
Dataset load_folder(const std::filesystem::path& root, const DatasetOptions& options,
                    std::vector<std::string>* listed_elsewhere = nullptr);

}  // namespace etude::data
