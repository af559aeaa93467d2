// Pictures and the page of a benchmark run; everything inline, nothing fetched.
#pragma once

#include <string>
#include <vector>

#include "bench/gpu_model.h"
#include "bench/result.h"

namespace etude::bench {

// A problem on the GPUs of gpu_model.h.
struct ModelledRow {
  std::string name;            // "resnet18/layer1/conv2d_forward"
  std::string kernel;          // "": not counted, so only FLOPs and bytes
  std::vector<ModelTime> gpu;  // as gpus()
};

// Rows against the machine's roof: GFLOP/s over flop/byte, both logarithmic. A whole <svg> element,
// with its style where it is to be a file of its own.
std::string roofline_svg(const std::vector<Result>& results, bool standalone);

// "modelled" stands over it: times of all GPUs, a line a problem.
std::string modelled_table(const std::vector<ModelledRow>& rows);

// The whole page.
std::string report_html(const std::vector<Result>& results,
                        const std::vector<ModelledRow>& modelled,
                        const nlohmann::ordered_json& context);

}  // namespace etude::bench
