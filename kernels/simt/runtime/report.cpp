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

std::string index_text(Index3 i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}
}  // namespace

const char* to_string(Defect defect) {
  switch (defect) {
    case Defect::BarrierDivergence: return "barrier divergence";
    case Defect::EarlyExit: return "early exit before a barrier";
    case Defect::WarpDivergence: return "warp divergence";
    case Defect::BadMask: return "bad mask";
    case Defect::GlobalBounds: return "global access out of bounds";
    case Defect::SharedBounds: return "shared access out of bounds";
    case Defect::Misaligned: return "misaligned access";
    case Defect::Uninitialised: return "uninitialised shared read";
    case Defect::SharedRace: return "shared memory race";
    case Defect::PendingCopy: return "missing cp.async wait";
    case Defect::StackOverflow: return "stack overflow";
    case Defect::Trap: return "trap";
  }
  return "defect";
}

std::string to_string(const Report& r) {
  std::string text = "simt: " + std::string(to_string(r.defect)) + " in " + r.kernel + ", block " +
                     index_text(r.block) + ", thread " + index_text(r.thread);
  if (!r.file.empty()) text += ", " + r.file + ":" + std::to_string(r.line);
  return text + ": " + r.message;
}

ReportHandler set_report_handler(ReportHandler next) {
  const std::lock_guard lock(handler_mutex);
  std::swap(handler, next);
  return next;
}

namespace detail {

cuda::cudaError_t error_of(Defect defect) {
  switch (defect) {
    case Defect::GlobalBounds:
    case Defect::SharedBounds:
    case Defect::StackOverflow: return cuda::cudaErrorIllegalAddress;
    case Defect::Misaligned: return cuda::cudaErrorMisalignedAddress;
    default: return cuda::cudaErrorLaunchFailure;
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
