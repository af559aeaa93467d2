// Copies between the host and a device that run beside the device's work, so that neither waits.
//
// On devices that share the host's memory (cpu) nothing is copied.
#pragma once

#include <vector>

#include "engine/tensor.h"

namespace etude {

// A tensor of the host on its way to a device. The copy begins at once, on the device's copy stream.
// Any thread may begin one.
//
//   Upload upload(batch, device);       // batch made with Tensor::host_for(device, ...)
//   ... work on the batch before ...
//   const Tensor x = upload.tensor();
class Upload {
 public:
  Upload() = default;
  Upload(Tensor host, Device device);  // `host` must not be written to any more
  ~Upload();                           // waits for the copy: the host's memory may be used again
  Upload(Upload&& other) noexcept;
  Upload& operator=(Upload&& other) noexcept;

  // The numbers on the device. Work enqueued on its current stream after this call waits for them;
  // the host does not.
  Tensor tensor() const;

 private:
  Tensor host_, there_;
  Event copied_;  // null: nothing to wait for
};

// Numbers of a device on their way to the host: enqueued behind the work so far, so that the host can
// go on and look at them later.
class Download {
 public:
  Download() = default;
  explicit Download(const Tensor& source);
  ~Download();
  Download(Download&& other) noexcept;
  Download& operator=(Download&& other) noexcept;

  template <class T>
  std::vector<T> get() const;  // waits for them
  double item() const;         // of a scalar

 private:
  void wait() const;
  Device device_;
  Tensor here_;
  Event copied_;
};

}  // namespace etude
