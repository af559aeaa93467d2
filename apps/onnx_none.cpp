// Stands in for onnx.cpp where libonnx was not found when this was built.
#include "apps/onnx.h"

namespace etude::apps {

bool onnx_available() { return false; }

OnnxGraph to_onnx(Module&, const Shape&, const std::string&,
                  const std::map<std::string, std::string>&) {
  fail("export: this etude was built without ONNX; install libonnx-dev and build again");
}

}  // namespace etude::apps
