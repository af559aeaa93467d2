// Findings on their way from the host thread that made them to the report handler.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/simt/simt.h"
#include "simt_shim/runtime_types.h"

namespace simt::detail {

struct Finding {
  Report report;
  const void* pc = nullptr;    // a return address; names the line where report.file is empty
  std::uint64_t position = 0;  // of the block in the order of the launch
};

cuda::cudaError_t error_of(Defect);

std::string to_string(Index3 index);  // "(1,0,0)"

// Fills in the source lines and calls the handler.
void deliver(std::vector<Finding>& findings);

}  // namespace simt::detail
