// K-fold cross-validation: a run folder a fold, and their mean and spread.
#pragma once

#include "apps/ensemble.h"

namespace etude::apps {

// Trains fold-1, fold-2, ..., a split each, below `folder` and writes cv.json and report.html
// there. A resumed run goes over finished folds without training. Returns the summary, or null when
// --max-steps stopped it.
Json cross_validate(Experiments& experiments, const std::vector<data::Split>& splits,
                    const std::filesystem::path& folder);

// The lines for people: one a metric, mean and deviation.
std::string cv_text(const Json& summary);

}  // namespace etude::apps
