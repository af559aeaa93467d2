#include "kernels/simt/runtime/report.h"

#include <cstdio>
#include <mutex>

#include "kernels/simt/runtime/lines.h"

namespace simt {

namespace {
std::mutex handler_mutex;
ReportHandler handler = [](const Report& report) {
  std::fprintf(stderr, "%s\n", to_string(report).c_str());
};
}  // namespace

const char* to_string(Defect defect) {
  switch (defect) {
    case Defect::BarrierDivergence:
      return "barrier divergence";
    case Defect::EarlyExit:
      return "early exit before a barrier";
    case Defect::WarpDivergence:
      return "warp divergence";
    case Defect::BadMask:
      return "bad mask";
    case Defect::GlobalBounds:
      return "global access out of bounds";
    case Defect::SharedBounds:
      return "shared access out of bounds";
    case Defect::Misaligned:
      return "misaligned access";
    case Defect::Uninitialised:
      return "uninitialised shared read";
    case Defect::SharedRace:
      return "shared memory race";
    case Defect::PendingCopy:
      return "missing cp.async wait";
    case Defect::StackOverflow:
      return "stack overflow";
    case Defect::Trap:
      return "trap";
  }
  return "defect";
}

std::string to_string(const Report& r) {
  std::string text = "simt: ";
  text.append(to_string(r.defect)).append(" in ").append(r.kernel);
  text.append(", block ").append(detail::to_string(r.block));
  text.append(", thread ").append(detail::to_string(r.thread));
  if (!r.file.empty()) text.append(", ").append(r.file).append(":").append(std::to_string(r.line));
  return text.append(": ").append(r.message);
}

ReportHandler set_report_handler(ReportHandler next) {
  const std::lock_guard lock(handler_mutex);
  std::swap(handler, next);
  return next;
}

namespace detail {

std::string to_string(Index3 i) {
  char text[48];
  std::snprintf(text, sizeof text, "(%u,%u,%u)", i.x, i.y, i.z);
  return text;
}

cuda::cudaError_t error_of(Defect defect) {
  switch (defect) {
    case Defect::GlobalBounds:
    case Defect::SharedBounds:
    case Defect::StackOverflow:
      return cuda::cudaErrorIllegalAddress;
    case Defect::Misaligned:
      return cuda::cudaErrorMisalignedAddress;
    default:
      return cuda::cudaErrorLaunchFailure;
  }
}

void deliver(std::vector<Finding>& findings) {
  std::vector<const void*> pcs;
  for (const Finding& f : findings)
    if (f.report.file.empty() && f.pc) pcs.push_back(f.pc);
  const std::vector<Line> lines = lines_of(pcs);
  std::size_t next = 0;
  ReportHandler call;
  {
    const std::lock_guard lock(handler_mutex);
    call = handler;
  }
  for (Finding& f : findings) {
    if (f.report.file.empty() && f.pc) {
      f.report.file = lines[next].file;
      f.report.line = lines[next++].line;
    }
    f.report.error = error_of(f.report.defect);
    if (call) call(f.report);
  }
}

}  // namespace detail
}  // namespace simt
