// report.html: one self-contained page about a run, made from the files of its folder alone.
#pragma once

#include "apps/run_folder.h"

namespace etude::apps {

// Reads run.json, metrics.jsonl and every eval-*.json, and writes report.html. No scripts, nothing
// loaded from elsewhere; light and dark; readable on a phone and on paper.
void write_report(const RunFolder& folder);

// The page of a cross-validation: mean and spread over its folds (cv.json).
void write_cv_report(const std::filesystem::path& folder, const Json& cv);

}  // namespace etude::apps
