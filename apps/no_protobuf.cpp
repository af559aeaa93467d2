// Stands in for onnx.cpp and tensorboard.cpp where libonnx and protobuf were not found when this
// was built.
#include "apps/onnx.h"
#include "apps/tensorboard.h"

namespace etude::apps {

bool onnx_available() { return false; }

OnnxGraph to_onnx(Module&, const Shape&, const std::string&,
                  const std::map<std::string, std::string>&) {
  fail("export: this etude was built without ONNX; install libonnx-dev and build again");
}

bool tensorboard_available() { return false; }

EventFile::EventFile(const std::filesystem::path&) {
  fail("train: this etude was built without protobuf; install libonnx-dev and build again");
}
void EventFile::write(const EpochRecord&) {}

}  // namespace etude::apps
