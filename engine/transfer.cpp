#include "engine/transfer.h"

#include <exception>
#include <utility>

namespace etude {
namespace {

void copy_async(Stream stream, Device device, const Tensor& to, const Tensor& from, CopyKind kind) {
  kernels_for<float>(device).memory_copy(stream, to.raw(), from.raw(), from.bytes(), kind);
}

// For destructors, which must not throw: what is wrong with the device was or will be reported by the
// next call that may.
void finish(Device device, Event event) {
  if (!event.handle) return;
  try {
    const Kernels<float>& k = kernels_for<float>(device);
    k.event_synchronize(event);
    k.event_destroy(event);
  } catch (const std::exception&) {
  }
}

}  // namespace

// ---- to the device ------------------------------------------------------------------------------

Upload::Upload(Tensor host, Device device) : host_(std::move(host)) {
  if (!host_.defined()) return;
  check(host_.device() == cpu_device, "upload: expected a tensor of the host, got one on {}",
        to_string(host_.device()));
  if (shares_host_memory(device)) {
    there_ = host_.to(device);
    return;
  }
  const Kernels<float>& k = kernels_for<float>(device);
  there_ = Tensor(host_.shape(), host_.dtype(), device);
  copied_ = k.event_create();
  // The memory may be a block that work enqueued before still reads: the copy comes after it.
  k.event_record(copied_, current_stream(device));
  k.event_wait(copy_stream(device), copied_);
  copy_async(copy_stream(device), device, there_, host_, CopyKind::host_to_device);
  k.event_record(copied_, copy_stream(device));
}

Tensor Upload::tensor() const {
  if (copied_.handle) {
    const Device device = there_.device();
    kernels_for<float>(device).event_wait(current_stream(device), copied_);
  }
  return there_;
}

// Both blocks go back to their caches: the host's may then be written to by anybody, the device's by
// work on the current stream, which need not have waited for this copy.
Upload::~Upload() { finish(there_.device(), copied_); }

Upload::Upload(Upload&& other) noexcept
    : host_(std::move(other.host_)),
      there_(std::move(other.there_)),
      copied_(std::exchange(other.copied_, {})) {}

Upload& Upload::operator=(Upload&& other) noexcept {
  std::swap(host_, other.host_);
  std::swap(there_, other.there_);
  std::swap(copied_, other.copied_);
  return *this;
}

// ---- to the host --------------------------------------------------------------------------------

Download::Download(const Tensor& source) : device_(source.device()) {
  if (shares_host_memory(device_)) {
    here_ = source.device() == cpu_device ? source.detach().clone() : source.to(cpu_device);
    return;
  }
  const Kernels<float>& k = kernels_for<float>(device_);
  here_ = Tensor::host_for(device_, source.shape(), source.dtype());
  copy_async(current_stream(device_), device_, here_, source, CopyKind::device_to_host);
  copied_ = k.event_create();
  k.event_record(copied_, current_stream(device_));
}

void Download::wait() const {
  if (copied_.handle) kernels_for<float>(device_).event_synchronize(copied_);
}

template <class T>
std::vector<T> Download::get() const {
  wait();
  return here_.to_vector<T>();
}
template std::vector<float> Download::get<float>() const;
template std::vector<double> Download::get<double>() const;
template std::vector<std::int64_t> Download::get<std::int64_t>() const;

double Download::item() const {
  wait();
  return here_.item();
}

Download::~Download() { finish(device_, copied_); }

Download::Download(Download&& other) noexcept
    : device_(other.device_),
      here_(std::move(other.here_)),
      copied_(std::exchange(other.copied_, {})) {}

Download& Download::operator=(Download&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(here_, other.here_);
  std::swap(copied_, other.copied_);
  return *this;
}

}  // namespace etude
