// The device of a command, and what computes its linear layers.
#pragma once

#include <string>

#include "engine/device.h"

namespace etude::apps {

// Parses --device and says on stderr what it is. `linear_provider`: own or cublas; empty: what
// ETUDE_LINEAR says, or own. Error, with the reason, for what is not there.
Device choose_device(const std::string& name, const std::string& linear_provider = {});

// ETUDE_LINEAR, or "own".
std::string default_linear_provider();

// "cpu avx512", "cuda cublas": what decides about the bits of a result.
std::string where_it_runs(Device device);

}  // namespace etude::apps
